import AlulaData
import Foundation

/// The folder that holds Package.swift.
let packageRoot = URL(fileURLWithPath: #filePath)
    .deletingLastPathComponent().deletingLastPathComponent().deletingLastPathComponent()

/// A file of the shared development data beside the package, which a plain checkout does not have.
func shared(_ path: String) -> String {
    packageRoot.deletingLastPathComponent().appendingPathComponent("shared/" + path).path
}

func sharedExists(_ path: String) -> Bool {
    FileManager.default.fileExists(atPath: shared(path))
}

func fixture(_ name: String) -> String {
    packageRoot.appendingPathComponent("Tests/AlulaDataTests/Fixtures/" + name).path
}

func contents(_ path: String) throws -> [UInt8] {
    [UInt8](try Data(contentsOf: URL(fileURLWithPath: path)))
}

/// What Pillow made of the same files; written by Fixtures/make_fixtures.py.
struct Golden: Decodable {
    struct Picture: Decodable {
        let width: Int
        let height: Int
        let sha256: String
    }

    struct Resize: Decodable, Sendable, CustomStringConvertible {
        let filter: String
        let size: [Int]
        let new: [Int]
        let sha256: String
        var description: String { "\(filter) \(size[0])x\(size[1]) to \(new[0])x\(new[1])" }
    }

    let files: [String: Picture]
    let resizes: [Resize]
    let shared: [String: Picture]

    static let recorded: Golden = {
        do {
            let data = try Data(contentsOf: URL(fileURLWithPath: fixture("golden.json")))
            return try JSONDecoder().decode(Golden.self, from: data)
        } catch {
            fatalError("Tests/AlulaDataTests/Fixtures/golden.json: \(error)")
        }
    }()
}

/// The noise that make_fixtures.py resizes.
func noise(width: Int, height: Int) throws -> Image {
    var state: UInt32 = 12345
    let bytes = (0..<(width * height * 3)).map { _ in
        state = state &* 1_664_525 &+ 1_013_904_223
        return UInt8(state >> 24)
    }
    return try Image(width: width, height: height, bytes: bytes)
}

/// SHA-256 (FIPS 180-4) in hexadecimal.
func sha256(_ message: [UInt8]) -> String {
    var hash: [UInt32] = [
        0x6a09_e667, 0xbb67_ae85, 0x3c6e_f372, 0xa54f_f53a, 0x510e_527f, 0x9b05_688c,
        0x1f83_d9ab, 0x5be0_cd19,
    ]
    var padded = message + [0x80]
    padded += [UInt8](repeating: 0, count: (120 - padded.count % 64) % 64)
    padded += (0..<8).map { UInt8(truncatingIfNeeded: (message.count * 8) >> (56 - 8 * $0)) }
    func rotated(_ x: UInt32, _ count: UInt32) -> UInt32 { x >> count | x << (32 - count) }
    var words = [UInt32](repeating: 0, count: 64)
    for block in stride(from: 0, to: padded.count, by: 64) {
        for index in 0..<16 {
            words[index] = (0..<4).reduce(0) { $0 << 8 | UInt32(padded[block + 4 * index + $1]) }
        }
        for index in 16..<64 {
            let (near, far) = (words[index - 2], words[index - 15])
            let small = rotated(far, 7) ^ rotated(far, 18) ^ far >> 3
            let large = rotated(near, 17) ^ rotated(near, 19) ^ near >> 10
            words[index] = words[index - 16] &+ small &+ words[index - 7] &+ large
        }
        var s = hash  // a…h
        for index in 0..<64 {
            let mixed = rotated(s[4], 6) ^ rotated(s[4], 11) ^ rotated(s[4], 25)
            let first = s[7] &+ mixed &+ (s[4] & s[5] ^ ~s[4] & s[6]) &+ roundConstants[index] &+ words[index]
            let turned = rotated(s[0], 2) ^ rotated(s[0], 13) ^ rotated(s[0], 22)
            let second = turned &+ (s[0] & s[1] ^ s[0] & s[2] ^ s[1] & s[2])
            s = [first &+ second, s[0], s[1], s[2], s[3] &+ first, s[4], s[5], s[6]]
        }
        for index in 0..<8 { hash[index] &+= s[index] }
    }
    return hash.map { String(format: "%08x", $0) }.joined()
}

private let roundConstants: [UInt32] = [
    0x428a_2f98, 0x7137_4491, 0xb5c0_fbcf, 0xe9b5_dba5, 0x3956_c25b, 0x59f1_11f1, 0x923f_82a4, 0xab1c_5ed5,
    0xd807_aa98, 0x1283_5b01, 0x2431_85be, 0x550c_7dc3, 0x72be_5d74, 0x80de_b1fe, 0x9bdc_06a7, 0xc19b_f174,
    0xe49b_69c1, 0xefbe_4786, 0x0fc1_9dc6, 0x240c_a1cc, 0x2de9_2c6f, 0x4a74_84aa, 0x5cb0_a9dc, 0x76f9_88da,
    0x983e_5152, 0xa831_c66d, 0xb003_27c8, 0xbf59_7fc7, 0xc6e0_0bf3, 0xd5a7_9147, 0x06ca_6351, 0x1429_2967,
    0x27b7_0a85, 0x2e1b_2138, 0x4d2c_6dfc, 0x5338_0d13, 0x650a_7354, 0x766a_0abb, 0x81c2_c92e, 0x9272_2c85,
    0xa2bf_e8a1, 0xa81a_664b, 0xc24b_8b70, 0xc76c_51a3, 0xd192_e819, 0xd699_0624, 0xf40e_3585, 0x106a_a070,
    0x19a4_c116, 0x1e37_6c08, 0x2748_774c, 0x34b0_bcb5, 0x391c_0cb3, 0x4ed8_aa4a, 0x5b9c_ca4f, 0x682e_6ff3,
    0x748f_82ee, 0x78a5_636f, 0x84c8_7814, 0x8cc7_0208, 0x90be_fffa, 0xa450_6ceb, 0xbef9_a3f7, 0xc671_78f2,
]
