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

/// SHA-256 in hexadecimal.
func sha256(_ message: [UInt8]) -> String {
    message.withUnsafeBytes { SHA256.hexadecimal($0) }
}
