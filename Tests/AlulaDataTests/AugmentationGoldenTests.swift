import AlulaData
import Foundation
import Testing

/// What torchvision and numpy gave; written by Fixtures/make_augmentation.py.
struct AugmentationGolden: Decodable, Sendable {
    struct Operation: Decodable, Sendable, CustomStringConvertible {
        let name: String
        let strength: Double
        let bytes: Data
        var description: String { "\(name) \(strength)" }
    }
    struct Crop: Decodable, Sendable {
        let left, top: Int
        let bytes: Data
    }
    struct ResizedCrop: Decodable, Sendable {
        let share, aspect: Double
        let top, left, height, width: Int
        let bytes: Data
    }
    struct Erasure: Decodable, Sendable {
        let area, aspect: Double
        let height, width: Int
    }
    struct CutBox: Decodable, Sendable {
        let share: Double
        let x, y: Int
        let box: [Int]
    }
    struct Mixed: Decodable, Sendable {
        struct Case: Decodable, Sendable {
            let share: Double
            let values: [Float]
        }
        let inputs: [[Float]]
        let cases: [Case]
    }
    struct Signals: Decodable, Sendable {
        let input, sine, later, earlier, silenced: [Float]
    }
    let width, height: Int
    let picture: Data
    let operations: [Operation]
    let crops: [Crop]
    let resizedCrops: [ResizedCrop]
    let erasures: [Erasure]
    let cutBoxes: [CutBox]
    let mixed: Mixed
    let signals: Signals

    static let recorded: AugmentationGolden = {
        do {
            let data = try Data(contentsOf: URL(fileURLWithPath: fixture("augmentation.json")))
            return try JSONDecoder().decode(AugmentationGolden.self, from: data)
        } catch {
            fatalError("Tests/AlulaDataTests/Fixtures/augmentation.json: \(error)")
        }
    }()

    func image() throws -> Image { try Image(width: width, height: height, bytes: [UInt8](picture)) }
}

@Suite struct AugmentationGoldenTests {
    private let golden = AugmentationGolden.recorded

    @Test(arguments: AugmentationGolden.recorded.operations)
    func operationsGiveTorchvisionsBytes(_ expected: AugmentationGolden.Operation) throws {
        let operation = try #require(ImageOperation(rawValue: expected.name))
        let result = operation.applied(to: try golden.image(), strength: expected.strength)
        let differing = zip(result.bytes, expected.bytes).count { $0 != $1 }
        #expect(differing == 0, "\(differing) of \(expected.bytes.count) bytes")
    }

    @Test func everyOperationHasGoldenBytes() {
        #expect(Set(golden.operations.map(\.name)) == Set(ImageOperation.allCases.map(\.rawValue)))
    }

    @Test func paddedCropsAreTorchvisions() throws {
        for crop in golden.crops {
            let result = try golden.image().moved(fromRight: crop.left - 4, fromBelow: crop.top - 4)
            #expect(result.bytes == [UInt8](crop.bytes), "\(crop.left), \(crop.top)")
        }
    }

    @Test func resizedCropsAreTorchvisions() throws {
        let image = try golden.image()
        for crop in golden.resizedCrops {
            let (width, height) = sides(
                area: crop.share * Double(golden.width * golden.height), aspect: crop.aspect)
            #expect(width == crop.width && height == crop.height)
            let result = try image.part(crop.left, crop.top, crop.width, crop.height).resized(
                width: golden.width, height: golden.height, filter: .bilinear)
            #expect(result.bytes == [UInt8](crop.bytes))
        }
    }

    @Test func erasedBoxesAndCutBoxesAreTorchvisions() {
        #expect(golden.erasures.count == 12)
        for erasure in golden.erasures {
            let (height, width) = sides(area: erasure.area, aspect: erasure.aspect)
            #expect(height == erasure.height && width == erasure.width)
        }
        for cut in golden.cutBoxes {
            let box = BatchMixing.box(40, 32, share: cut.share, middle: (cut.y, cut.x))
            let edges = [
                box.rows.lowerBound, box.rows.upperBound, box.columns.lowerBound, box.columns.upperBound,
            ]
            #expect(edges == cut.box, "\(cut.share)")
        }
    }

    @Test func mixedInputsAreTorchvisions() {
        let (a, b) = (golden.mixed.inputs[0], golden.mixed.inputs[1])
        for mixed in golden.mixed.cases {
            let result = BatchMixing.mixed(a, b, mixed.share) + BatchMixing.mixed(b, a, mixed.share)
            #expect(zip(result, mixed.values).allSatisfy { abs($0 - $1) < 1e-6 }, "\(mixed.share)")
        }
    }

    @Test func signalsAreNumpys() {
        func changed(_ change: (inout [Float]) -> Void) -> [Float] {
            var values = golden.signals.input
            change(&values)
            return values
        }
        let sine = changed {
            SignalAugmentation.addSine(&$0, leads: 3, lead: 1, perSample: 0.31 / 100, phase: 1.25, height: 0.7)
        }
        #expect(zip(sine, golden.signals.sine).allSatisfy { abs($0 - $1) < 1e-6 })
        #expect(sine != golden.signals.input)
        #expect(changed { SignalAugmentation.shift(&$0, leads: 3, by: 7) } == golden.signals.later)
        #expect(changed { SignalAugmentation.shift(&$0, leads: 3, by: -11) } == golden.signals.earlier)
        #expect(changed { SignalAugmentation.silence(&$0, leads: 3, 13..<17) } == golden.signals.silenced)
    }
}
