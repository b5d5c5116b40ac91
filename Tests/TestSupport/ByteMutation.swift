/// Random damage to bytes of any format.
package enum ByteMutation {
    private static let numbers = [
        0, 1, 2, 7, 8, 63, 64, 127, 128, 255, 256, 65535, 65536, 1 << 24, 0x7FFF_FFFF, 0x8000_0000, 0xFFFF_FFFF,
        1 << 32, 1 << 40,
        Int.max, Int.min, -1, -2,
    ]

    /// One to four random changes.
    package static func mutated(_ original: [UInt8], with other: [UInt8], using random: inout SeededGenerator)
        -> [UInt8]
    {
        var bytes = original
        for _ in 0..<max(1, Int.random(in: -1...4, using: &random)) { mutateOnce(&bytes, with: other, using: &random) }
        return bytes
    }

    private static func mutateOnce(_ bytes: inout [UInt8], with other: [UInt8], using random: inout SeededGenerator) {
        let place = Int.random(in: 0...bytes.count, using: &random)
        let length = min(bytes.count - place, Int.random(in: 0...16, using: &random))
        switch Int.random(in: 0..<9, using: &random) {
        case 0, 1: if place < bytes.count { bytes[place] ^= 1 << UInt8.random(in: 0..<8, using: &random) }
        case 2: if place < bytes.count { bytes[place] = .random(in: 0...255, using: &random) }
        case 3, 4:
            let width = [1, 2, 4, 8].randomElement(using: &random)!
            let number = littleEndian(numbers.randomElement(using: &random)!, width)
            for (index, byte) in number.enumerated() where place + index < bytes.count { bytes[place + index] = byte }
        case 5: bytes.removeSubrange(place..<place + length)
        case 6:
            bytes.insert(contentsOf: bytes[place..<place + length], at: Int.random(in: 0...bytes.count, using: &random))
        case 7: bytes.removeSubrange((bytes.count - length)...)
        default:
            let from = Int.random(in: 0...other.count, using: &random)
            for (index, byte) in other[from..<min(other.count, from + 24)].enumerated()
            where place + index < bytes.count {
                bytes[place + index] = byte
            }
        }
    }
}
