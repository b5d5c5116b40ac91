import AlulaGraph

/// Random damage to a safetensors file, and what must hold whatever the reader makes of it.
package enum SafetensorsMutation {
    private static let tokens = [
        "{", "}", "[", "]", ":", ",", "\"", "\\", "\\u0000", "\\ud83d\\ude00", "\\ud800", "null", "true", "1.5", "-1",
        "-0",
        "1e9", "01", "[]", "{}", "\"\"", "\"dtype\"", "\"shape\"", "\"data_offsets\"", "\"__metadata__\"", "\"F32\"",
        "\"I8\"",
        "\"F8_E4M3\"", "[0,0]", "[0,1]", "alula.pad.0", "\u{0}", "\u{e9}", "\u{1F600}", " ", "\n",
    ]
    private static let numbers = [
        "0", "1", "2", "8", "63", "64", "65", "255", "256", "4095", "65536", "2147483647", "2147483648", "4294967295",
        "4294967296", "9223372036854775807", "9223372036854775808", "18446744073709551615", "18446744073709551616",
        "-1",
    ]

    /// One to six random changes. Most of the time the header's length is then made to fit again.
    package static func mutated(_ original: [UInt8], with other: [UInt8], using random: inout SeededGenerator)
        -> [UInt8]
    {
        var bytes = original
        let dataBytes = max(0, original.count - 8 - (headerLength(original) ?? 0))
        // One change often leaves a valid file, several hardly ever.
        for _ in 0..<max(1, Int.random(in: -3...6, using: &random)) { mutateOnce(&bytes, with: other, using: &random) }
        if Int.random(in: 0..<4, using: &random) > 0, bytes.count >= 8 {
            setHeaderLength(&bytes, max(0, bytes.count - 8 - dataBytes))
        }
        return bytes
    }

    private static func mutateOnce(_ bytes: inout [UInt8], with other: [UInt8], using random: inout SeededGenerator) {
        let place = Int.random(in: 0...bytes.count, using: &random)
        let length = min(bytes.count - place, Int.random(in: 0...16, using: &random))
        let range = place..<place + length
        switch Int.random(in: 0..<9, using: &random) {
        case 0: if place < bytes.count { bytes[place] ^= 1 << UInt8.random(in: 0..<8, using: &random) }
        case 1: if place < bytes.count { bytes[place] = .random(in: 0...255, using: &random) }
        case 2: bytes.insert(contentsOf: Array(tokens.randomElement(using: &random)!.utf8), at: place)
        case 3: bytes.removeSubrange(range)
        case 4: bytes.insert(contentsOf: bytes[range], at: Int.random(in: 0...bytes.count, using: &random))
        case 5: bytes.removeSubrange((bytes.count - length)...)
        case 6: bytes.append(contentsOf: [UInt8](repeating: 0, count: length))
        case 7:
            let from = Int.random(in: 0...other.count, using: &random)
            bytes.insert(contentsOf: other[from..<min(other.count, from + 40)], at: place)
        default: replaceNumber(&bytes, after: place, using: &random)
        }
    }

    /// Replaces the next run of digits.
    private static func replaceNumber(_ bytes: inout [UInt8], after place: Int, using random: inout SeededGenerator) {
        let isDigit = { (byte: UInt8) in byte >= 0x30 && byte <= 0x39 }
        guard let start = bytes[place...].firstIndex(where: isDigit) else { return }
        let end = bytes[start...].firstIndex { !isDigit($0) } ?? bytes.count
        bytes.replaceSubrange(start..<end, with: Array(numbers.randomElement(using: &random)!.utf8))
    }

    private static func headerLength(_ bytes: [UInt8]) -> Int? {
        guard bytes.count >= 8 else { return nil }
        return Int(exactly: bytes[0..<8].reversed().reduce(UInt64(0)) { $0 << 8 | UInt64($1) })
            .flatMap { $0 <= bytes.count - 8 ? $0 : nil }
    }

    private static func setHeaderLength(_ bytes: inout [UInt8], _ length: Int) {
        for index in 0..<8 { bytes[index] = UInt8(truncatingIfNeeded: length >> (8 * index)) }
    }

    // MARK: What must hold

    package enum Outcome {
        case refused(SafetensorsError)
        case accepted(tensors: Int)
        /// A bug in Alula.
        case inconsistent(String)
    }

    /// Reads the bytes and, if they are accepted, every tensor in them and the file written from them.
    package static func check(_ bytes: [UInt8]) -> Outcome {
        let file: SafetensorsFile
        do { file = try SafetensorsFile(bytes: Bytes(bytes)) } catch {
            let message = error.message
            return message.isPlainMessage
                ? .refused(error) : .inconsistent("message is not one printable line: \(message)")
        }
        var end = 0
        for entry in file.entries {
            guard entry.range.lowerBound == end else { return .inconsistent("\(entry) does not begin at \(end)") }
            end = entry.range.upperBound
            guard file.entry(named: entry.name) == entry else { return .inconsistent("\(entry) is not found by name") }
            let data = file.data(of: entry)
            guard data.count == entry.shape.reduce(entry.dataType.size, *) else {
                return .inconsistent("\(entry) has \(data.count) bytes")
            }
            // Kernels may read the slack after the end.
            var sum = 0
            for offset in 0..<data.count + Bytes.slack {
                sum &+= Int(data.baseAddress.load(fromByteOffset: offset, as: UInt8.self))
            }
            withExtendedLifetime(data) { if sum < 0 { print(sum) } }
        }
        return rewrite(file) ?? .accepted(tensors: file.entries.count)
    }

    /// Writes the file again and compares; nil if all is well.
    private static func rewrite(_ file: SafetensorsFile) -> Outcome? {
        do {
            var writer = SafetensorsWriter(padding: false)
            for entry in file.entries { try writer.add(entry.name, entry.dataType, entry.shape, file.data(of: entry)) }
            for (key, value) in file.metadata { try writer.addMetadata(key, value) }
            let copy = try SafetensorsFile(bytes: Bytes(writer.serialized()))
            guard copy.entries == file.entries else { return .inconsistent("entries change when written again") }
            let isSame = file.metadata.allSatisfy { copy.metadata($0.key) == $0.value }
            return isSame && copy.metadata.count == file.metadata.count ? nil : .inconsistent("metadata change")
        } catch { return .inconsistent("cannot be written again: \(error)") }
    }
}
