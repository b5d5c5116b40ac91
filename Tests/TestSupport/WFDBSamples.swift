/// WFDB records as single byte strings for fuzzing: headers and a signal file, apart by a line of `---`.
package enum WFDBSamples {
    package static let separator = Array("\n---\n".utf8)

    /// `r.hea`, `s.hea` and `r.dat` of an input; missing pieces are empty.
    package static func files(_ input: [UInt8]) -> [String: [UInt8]] {
        var pieces: [[UInt8]] = []
        var rest = input[...]
        while pieces.count < 2, let cut = rest.firstRange(of: separator) {
            pieces.append(Array(rest[..<cut.lowerBound]))
            rest = rest[cut.upperBound...]
        }
        pieces.append(Array(rest))
        while pieces.count < 3 { pieces.insert([], at: 1) }
        return ["r.hea": pieces[0], "s.hea": pieces[1], "r.dat": pieces[2]]
    }

    package static let samples: [(name: String, bytes: [UInt8])] = {
        let data: [UInt8] = (0..<96).map { UInt8(truncatingIfNeeded: $0 * 7) }
        func sample(_ header: String, _ segment: String = "", _ data: [UInt8] = data) -> [UInt8] {
            Array(header.utf8) + separator + Array(segment.utf8) + separator + data
        }
        let formats = [8, 16, 24, 32, 61, 80, 160, 212, 310, 311].map { format in
            (
                "format-\(format)",
                sample("r 2 250 6\nr.dat \(format) 200(3)/mV 12 0 1\nr.dat \(format)x2:1+3 1e3/uV\n# Dx: 1\n")
            )
        }
        let notes: [UInt8] = [0, 0x70, 2, 0xFC, 0x28, 0x4E, 5, 4, 0, 0xEC, 1, 0, 0x70, 0x11, 2, 0x14, 3, 0xF4, 1, 0xF8]
        return formats + [
            ("no-length", sample("r 1\nr.dat 16\n")),
            ("no-data", sample("r 2 250 6\n~ 0\nr.dat 16 200 12 0 0\n")),
            ("segments", sample("r/3 1 250 12\ns 6\n~ 2\ns 4\n", "s 1 250 6\nr.dat 16 200 12 0 0 0 0 I\n")),
            ("layout", sample("r/2 1 250 6\ns 0\nr 6\n", "s 1 250 0\n~ 0 200 0 0 0 0 0 I\n")),
            ("flac", sample("r 1 250 6\nr.dat 516\n", "", Array("fLaC".utf8) + data)),
            ("far-offset", sample("r 1 250 6\nr.dat 8x2:1+9223372036854775807\n")),
            ("annotations", sample("r 1 250 2\nr.dat 212\n", "", notes)),
        ]
    }()

    private static let tokens = [
        "r.dat", "s", "~", "/", "..", "x2", ":1", "+24", "(", ")", "/mV", "#", "\n", " ", "16", "212", "310", "516",
        "0", "65536",
        "2147483648", "9223372036854775807", "9223372036854775808", "1e308", "nan", "-", "\n---\n",
    ]

    package static func mutated(
        _ original: [UInt8], with other: [UInt8], using random: inout SeededGenerator
    ) -> [UInt8] {
        var bytes = ByteMutation.mutated(original, with: other, using: &random)
        // Half of the damage goes to the text of the headers.
        for _ in 0..<Int.random(in: 0...3, using: &random) {
            let place = Int.random(in: 0...bytes.count, using: &random)
            let token = Array(tokens.randomElement(using: &random)!.utf8)
            if Bool.random(using: &random) {
                bytes.insert(contentsOf: token, at: place)
            } else if let start = bytes[place...].firstIndex(where: { (0x30...0x39).contains($0) }) {
                let end = bytes[start...].firstIndex { !(0x30...0x39).contains($0) } ?? bytes.count
                bytes.replaceSubrange(start..<end, with: token)
            }
        }
        return bytes
    }
}
