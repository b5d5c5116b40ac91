import AlulaGraph
import EfficientFormer
import Testing

@Suite struct CheckpointTests {
    @Test func everyHalfConvertsExactly() throws {
        let patterns = (0...UInt16.max).map { $0 }
        let tensor = CheckpointTensor("x", .f16, [65536], TensorData(elements: patterns))
        let floats = try tensor.floats()
        for pattern in patterns {
            let (found, expected) = (floats[Int(pattern)], Float(Float16(bitPattern: pattern)))
            guard found.bitPattern == expected.bitPattern || found.isNaN && expected.isNaN else {
                Issue.record("pattern \(pattern): \(found), not \(expected)")
                return
            }
        }
    }

    @Test func everyBrainFloatConvertsExactly() throws {
        let patterns = (0...UInt16.max).map { $0 }
        let floats = try CheckpointTensor("x", .bf16, [256, 256], TensorData(elements: patterns)).floats()
        #expect(floats.map(\.bitPattern) == patterns.map { UInt32($0) << 16 })
        #expect(floats[1].isSubnormal)
    }

    @Test func doublesRoundToTheNearestFloat() throws {
        let values = [0.1, -1e-46, 1e300, .nan, 16_777_217]
        let floats = try CheckpointTensor("x", .f64, [5], TensorData(elements: values)).floats()
        #expect(floats[0] == 0.1 && floats[1] == 0 && floats[1].sign == .minus && floats[2] == .infinity)
        #expect(floats[3].isNaN && floats[4] == 16_777_216)
    }

    @Test func unalignedDataAreRead() throws {
        let bytes: [UInt8] = [0, 0, 0, 0x80, 0x3F, 0, 0, 0, 0xC0]
        let storage = bytes.withUnsafeBytes { Bytes(copying: $0) }
        let tensor = CheckpointTensor("x", .f32, [2], TensorData(storage, 1..<9))
        #expect(try tensor.floats() == [1, -2])
    }

    @Test func useIsRemembered() throws {
        var checkpoint = Checkpoint()
        for name in ["a", "b", "c"] {
            try checkpoint.add(CheckpointTensor(name, .f32, [1], TensorData(elements: [Float(1)])))
        }
        #expect(checkpoint["b"] != nil)
        #expect(checkpoint.unusedNames == ["a", "b", "c"])
        _ = try checkpoint.floats("c")
        _ = checkpoint.take("a")
        #expect(checkpoint.unusedNames == ["b"])
        #expect(throws: CheckpointError.missing(name: "d")) { try checkpoint.floats("d") }
    }

    @Test func inconsistentTensorsAreRefused() throws {
        var checkpoint = Checkpoint()
        let one = TensorData(elements: [Float(1)])
        try checkpoint.add(CheckpointTensor("a", .f32, [], one))
        #expect(throws: CheckpointError.duplicate(name: "a")) {
            try checkpoint.add(CheckpointTensor("a", .f32, [1], one))
        }
        for shape in [[2], [-1, -1], [Int.max, 2], [0]] {
            #expect(throws: CheckpointError.sizeMismatch(name: "b", dataType: .f32, shape: shape, bytes: 4)) {
                try checkpoint.add(CheckpointTensor("b", .f32, shape, one))
            }
        }
        #expect(throws: CheckpointError.notInteger(name: "a", dataType: .f32)) { try checkpoint["a"]?.integers() }
        #expect(throws: CheckpointError.notFloat(name: "i", dataType: .u8)) {
            try CheckpointTensor("i", .u8, [4], one).floats()
        }
    }

    @Test(arguments: [DataType.i16, .i32, .i64, .u8, .u64])
    func integersOfAllWidthsAreRead(_ type: DataType) throws {
        let data =
            switch type {
            case .i16: TensorData(elements: [Int16(1), 200])
            case .i32: TensorData(elements: [Int32(1), 200])
            case .u8: TensorData(elements: [UInt8(1), 200])
            case .u64: TensorData(elements: [UInt64(1), 200])
            default: TensorData(elements: [Int64(1), 200])
            }
        #expect(try CheckpointTensor("x", type, [2], data).integers() == [1, 200])
    }

    /// Weights stored in 16 bits give the graph of those weights in f32.
    @Test(arguments: [DataType.f16, .bf16])
    func sixteenBitWeightsBuildTheSameGraph(_ type: DataType) throws {
        let (configuration, original) = try sample()
        let narrow = try original.changed { tensor in
            guard tensor.dataType == .f32 else { return tensor }
            let elements = tensor.data.array(of: Float.self).map { value in
                type == .f16 ? Float16(value).bitPattern : UInt16(truncatingIfNeeded: value.bitPattern >> 16)
            }
            return tensor.with(dataType: type, data: TensorData(elements: elements))
        }
        let widened = try narrow.changed { tensor in
            guard tensor.dataType == type else { return tensor }
            let elements = tensor.data.array(of: UInt16.self).map { bits in
                type == .f16 ? Float(Float16(bitPattern: bits)) : Float(bitPattern: UInt32(bits) << 16)
            }
            return tensor.with(dataType: .f32, data: TensorData(elements: elements))
        }
        expectEqual(
            try EfficientFormer.build(configuration, narrow).graph,
            try EfficientFormer.build(configuration, widened).graph, "\(type)")
    }
}
