/// Writes zip archives (APPNOTE 6.3), honest or not.
package struct ZipWriter {
    package struct Entry {
        package var name: String
        package var data: [UInt8]
        /// 0: stored; 8: deflated, `data` being the compressed bytes.
        package var method: UInt16 = 0
        /// Uncompressed bytes, where `data` are compressed or the entry lies.
        package var size: Int?
        package var checksum: UInt32?
        package var flags: UInt16 = 0

        package init(_ name: String, _ data: [UInt8]) { (self.name, self.data) = (name, data) }
    }

    package var entries: [Entry] = []

    package init(_ entries: [Entry] = []) { self.entries = entries }

    package var bytes: [UInt8] {
        var (file, directory): ([UInt8], [UInt8]) = ([], [])
        for entry in entries {
            let offset = file.count
            let common = ZipWriter.header(entry)
            file += [0x50, 0x4B, 3, 4] + common + littleEndian(0, 2) + Array(entry.name.utf8) + entry.data
            directory += [0x50, 0x4B, 1, 2] + littleEndian(20, 2) + common + littleEndian(0, 2 + 2 + 2 + 2 + 4)
            directory += littleEndian(offset, 4) + Array(entry.name.utf8)
        }
        let end =
            [0x50, 0x4B, 5, 6] + littleEndian(0, 4) + littleEndian(entries.count, 2) + littleEndian(entries.count, 2)
        return file + directory + end + littleEndian(directory.count, 4) + littleEndian(file.count, 4) + [0, 0]
    }

    /// What a local header and the directory have in common, up to the length of the name.
    private static func header(_ entry: Entry) -> [UInt8] {
        littleEndian(20, 2) + littleEndian(Int(entry.flags), 2) + littleEndian(Int(entry.method), 2)
            + littleEndian(0, 4)
            + littleEndian(Int(entry.checksum ?? checksum(entry.data)), 4) + littleEndian(entry.data.count, 4)
            + littleEndian(entry.size ?? entry.data.count, 4) + littleEndian(entry.name.utf8.count, 2)
    }

    /// CRC-32 of ISO 3309.
    package static func checksum(_ bytes: [UInt8]) -> UInt32 {
        var sum = UInt32.max
        for byte in bytes {
            sum ^= UInt32(byte)
            for _ in 0..<8 { sum = sum >> 1 ^ (sum & 1 == 1 ? 0xEDB8_8320 : 0) }
        }
        return ~sum
    }

    /// `count` zeros in deflate's fixed code: one literal, then copies of 258 bytes, 13 bits each. At least one and a multiple of 258.
    package static func deflatedZeros(copies: Int) -> [UInt8] {
        var (bytes, bit): ([UInt8], Int) = ([], 0)
        func put(_ value: Bool) {
            if bit % 8 == 0 { bytes.append(0) }
            if value { bytes[bit / 8] |= 1 << UInt8(bit % 8) }
            bit += 1
        }
        func put(code: String) { for digit in code { put(digit == "1") } }
        // Last block, fixed code; literal 0; copies of length 258 at distance 1; end.
        put(code: "1" + "10" + "00110000")
        for _ in 0..<copies { put(code: "11000101" + "00000") }
        put(code: "0000000")
        return bytes
    }
}

/// The low bytes of a number, least first.
package func littleEndian(_ value: Int, _ count: Int) -> [UInt8] {
    (0..<count).map { UInt8(truncatingIfNeeded: UInt64(bitPattern: Int64(value)) >> (8 * UInt64(min($0, 7)))) }
}
