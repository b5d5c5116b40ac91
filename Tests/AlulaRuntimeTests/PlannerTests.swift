import AlulaRuntime
import TestSupport
import Testing

@Suite struct PlannerTests {
    private func randomBuffers(_ count: Int, seed: UInt64) -> [PlannedBuffer] {
        var random = RandomNumbers(seed: seed)
        return (0..<count).map { _ in
            let first = Int.random(in: -1...40, using: &random)
            return PlannedBuffer(
                size: Int.random(in: 0...5000, using: &random), first: first, last: first + Int.random(in: 0...12, using: &random))
        }
    }

    @Test(arguments: 0..<40) func buffersLiveTogetherDoNotOverlap(seed: Int) {
        let buffers = randomBuffers(seed * 3, seed: UInt64(seed))
        let plan = Planner.plan(buffers)
        for i in buffers.indices {
            #expect(plan.offsets[i] % Planner.alignment == 0)
            #expect(plan.offsets[i] + buffers[i].size <= plan.byteCount)
            for j in buffers.indices where j < i && buffers[i].isLive(with: buffers[j]) {
                let apart =
                    plan.offsets[i] + buffers[i].size <= plan.offsets[j] || plan.offsets[j] + buffers[j].size <= plan.offsets[i]
                #expect(apart, "seed \(seed): buffers \(i) and \(j)")
            }
        }
        #expect(plan.lowerBound <= plan.byteCount)
    }

    @Test func lowerBoundIsTheMostThatIsLiveAtOnce() {
        let plan = Planner.plan([
            PlannedBuffer(size: 64, first: 0, last: 1), PlannedBuffer(size: 128, first: 1, last: 2),
            PlannedBuffer(size: 192, first: 2, last: 3),
        ])
        #expect(plan.lowerBound == 320)
        #expect(plan.byteCount == 320)
    }

    @Test func aChainNeedsItsTwoLargestNeighboursOnly() {
        let sizes = [640, 1280, 320, 960, 64, 64, 1600]
        let plan = Planner.plan(sizes.enumerated().map { PlannedBuffer(size: $1, first: $0, last: $0 + 1) })
        #expect(plan.byteCount == 1920)
    }

    @Test func nothingNeedsNothing() { #expect(Planner.plan([]).byteCount == 0) }
}
