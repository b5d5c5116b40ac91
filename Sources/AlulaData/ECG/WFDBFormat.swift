/// How samples are packed in a signal file; the raw value is WFDB's number of the format (`signal(5)` in its Applications Guide).
public enum WFDBFormat: Int, Sendable, CaseIterable {
    case differences8 = 8
    case littleEndian16 = 16
    case littleEndian24 = 24
    case littleEndian32 = 32
    case bigEndian16 = 61
    case offset8 = 80
    case offset16 = 160
    case packed12 = 212
    case packed10in16 = 310
    case packed10in32 = 311
    case flac8 = 508
    case flac16 = 516
    case flac24 = 524

    /// The value that stands for a sample that was not measured; nil where the format has none.
    public var missing: Int32? {
        switch self {
        case .differences8: nil
        case .littleEndian16, .bigEndian16, .offset16, .flac16: -32768
        case .littleEndian24, .flac24: -8_388_608
        case .littleEndian32: .min
        case .offset8, .flac8: -128
        case .packed12: -2048
        case .packed10in16, .packed10in32: -512
        }
    }

    /// Bits a sample of a FLAC stream; nil for the other formats.
    var flacBits: Int? {
        switch self {
        case .flac8: 8
        case .flac16: 16
        case .flac24: 24
        default: nil
        }
    }

    /// Bytes that `count` samples take; nil where that is no number, or for FLAC.
    func byteCount(_ count: Int) -> Int? {
        let (product, overflow) = count.multipliedReportingOverflow(by: 4)
        guard count >= 0, !overflow else { return nil }
        switch self {
        case .differences8, .offset8: return count
        case .littleEndian16, .bigEndian16, .offset16: return 2 * count
        case .littleEndian24: return 3 * count
        case .littleEndian32: return product
        // An odd last sample ends after its second byte.
        case .packed12: return 3 * (count / 2) + 2 * (count % 2)
        // The third sample of a group is spread over both words.
        case .packed10in16: return 4 * (count / 3) + [0, 2, 4][count % 3]
        case .packed10in32: return 4 * (count / 3) + [0, 2, 3][count % 3]
        case .flac8, .flac16, .flac24: return nil
        }
    }

    /// The most samples that `bytes` bytes hold; nil for FLAC.
    func sampleCount(_ bytes: Int) -> Int? {
        guard var count = byteCount(1).map({ bytes / $0 }) else { return nil }
        switch self {
        case .packed12: count = bytes / 3 * 2 + (bytes % 3 == 2 ? 1 : 0)
        case .packed10in16: count = bytes / 4 * 3 + bytes % 4 / 2
        case .packed10in32: count = bytes / 4 * 3 + [0, 0, 1, 2][bytes % 4]
        default: break
        }
        return count
    }

    /// Unpacks samples from the start of `bytes`, which must hold `byteCount(target.count)`. Differences are not summed yet.
    func unpack(_ bytes: UnsafeRawBufferPointer, into target: UnsafeMutableBufferPointer<Int32>) {
        precondition(byteCount(target.count).map { $0 <= bytes.count } == true, "too few bytes to unpack")
        func byte(_ index: Int) -> Int32 { Int32(bytes[index]) }
        func word(_ index: Int) -> UInt16 {
            UInt16(littleEndian: bytes.loadUnaligned(fromByteOffset: index, as: UInt16.self))
        }
        /// Sign extension of the low bits.
        func signed(_ value: Int32, bits: Int32) -> Int32 { (value << (32 - bits)) >> (32 - bits) }

        switch self {
        case .differences8: for index in target.indices { target[index] = Int32(Int8(bitPattern: bytes[index])) }
        case .offset8: for index in target.indices { target[index] = byte(index) - 128 }
        case .littleEndian16: for index in target.indices { target[index] = Int32(Int16(bitPattern: word(2 * index))) }
        case .bigEndian16:
            for index in target.indices { target[index] = Int32(Int16(bitPattern: word(2 * index).byteSwapped)) }
        case .offset16: for index in target.indices { target[index] = Int32(word(2 * index)) - 32768 }
        case .littleEndian24:
            for index in target.indices {
                let value = byte(3 * index) | byte(3 * index + 1) << 8 | byte(3 * index + 2) << 16
                target[index] = signed(value, bits: 24)
            }
        case .littleEndian32:
            for index in target.indices {
                target[index] = Int32(littleEndian: bytes.loadUnaligned(fromByteOffset: 4 * index, as: Int32.self))
            }
        case .packed12:
            for index in target.indices {
                let start = 3 * (index / 2)
                let value =
                    index % 2 == 0
                    ? byte(start) | (byte(start + 1) & 0x0F) << 8 : byte(start + 2) | (byte(start + 1) & 0xF0) << 4
                target[index] = signed(value, bits: 12)
            }
        case .packed10in16:
            for index in target.indices {
                let start = 4 * (index / 3)
                let value: UInt16 =
                    switch index % 3 {
                    case 0: word(start) >> 1
                    case 1: word(start + 2) >> 1
                    default: word(start) >> 11 | (word(start + 2) >> 11) << 5
                    }
                target[index] = signed(Int32(value & 0x3FF), bits: 10)
            }
        case .packed10in32:
            for index in target.indices {
                // Bits 10k to 10k+9 of a group's 32 lie within two bytes.
                let bit = 10 * (index % 3)
                let start = 4 * (index / 3) + bit / 8
                let pair = byte(start) | byte(start + 1) << 8
                target[index] = signed((pair >> Int32(bit % 8)) & 0x3FF, bits: 10)
            }
        case .flac8, .flac16, .flac24: preconditionFailure("FLAC streams are decoded by FLACDecoder")
        }
    }
}
