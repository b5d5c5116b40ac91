/// The cyclic redundancy check of Castagnoli's polynomial, as TFRecord files use it (RFC 3720, appendix B.4).
package enum CRC32C {
    package static func value(_ bytes: [UInt8]) -> UInt32 {
        ~bytes.reduce(UInt32.max) { table[Int(UInt8(truncatingIfNeeded: $0) ^ $1)] ^ $0 >> 8 }
    }

    /// Rotated and moved, so that a check over data that hold checks is no weaker.
    package static func masked(_ bytes: [UInt8]) -> UInt32 {
        let check = value(bytes)
        return (check >> 15 | check << 17) &+ 0xA282_EAD8
    }

    private static let table: [UInt32] = (0..<256).map { byte in
        (0..<8).reduce(UInt32(byte)) { value, _ in value & 1 == 1 ? value >> 1 ^ 0x82F6_3B78 : value >> 1 }
    }
}
