/// How many training examples are held out for validation, and which, where a data set comes without such a part.
///
/// The same share of every class is held out (stratified), so that a class is missing in neither part. The choice depends on the seed
/// and the labels only: training without these examples and measuring on them need no list to agree on.
public struct HoldOut: Sendable, Equatable {
    /// In 0...1, rounded to whole examples by class. With 0 nothing is held out: everything is there to train on.
    public var share: Double
    public var seed: UInt64

    public init(share: Double = 0.1, seed: UInt64 = 0) {
        precondition((0...1).contains(share), "a share lies in 0...1")
        (self.share, self.seed) = (share, seed)
    }

    /// The examples of both parts, each in the order of the data.
    ///
    /// - Parameter labels: The class of every example, 0 and up.
    public func split(_ labels: [Int]) -> (kept: [Int], held: [Int]) {
        var counts = [Int](repeating: 0, count: (labels.max() ?? -1) + 1)
        for label in labels { counts[label] += 1 }
        var wanted = counts.map { Int((Double($0) * share).rounded()) }
        var isHeld = [Bool](repeating: false, count: labels.count)
        for index in ExampleOrder(count: labels.count, seed: seed).indices(epoch: 0) where wanted[labels[index]] > 0 {
            wanted[labels[index]] -= 1
            isHeld[index] = true
        }
        return (labels.indices.filter { !isHeld[$0] }, labels.indices.filter { isHeld[$0] })
    }
}
