import AlulaGraph
import Foundation
import Testing

/// The sample model in its stages, made once by the tool itself.
final class Sample: Sendable {
    /// Hugging Face folder, float model, int8 model, and two pictures.
    let folder: TemporaryFolder
    let source: String
    let model: String
    let quantized: String
    let pictures: String

    static func shared() throws -> Sample { try made.get() }

    private static let made = Result { try Sample() }

    private init() throws {
        folder = try TemporaryFolder()
        (source, pictures) = (folder.file("source"), folder.file("pictures"))
        (model, quantized) = (folder.file("model.alula"), folder.file("model.int8.alula"))
        try Tool.succeed("create", "efficientformer-sample", "-o", source)
        try FileManager.default.createDirectory(atPath: pictures, withIntermediateDirectories: true)
        for seed in 0..<4 {
            try Tool.succeed(
                "create", "image-sample", "-o", pictures + "/\(seed).png", "--size", "160x120", "--seed", String(seed))
        }
        try Tool.succeed("convert", source, "-o", model)
        try Tool.succeed("quantize", model, "-o", quantized, "--calibrate", "images:" + pictures)
    }

    var picture: String { pictures + "/0.png" }

    func bytes(_ path: String) throws -> Data { try Data(contentsOf: URL(fileURLWithPath: path)) }

    /// A copy of the int8 model with other metadata, the header rewritten to fit.
    func quantized(named name: String, changing key: String, _ change: (String) -> String) throws -> String {
        let file = try SafetensorsFile(mapping: quantized)
        var writer = SafetensorsWriter()
        for (other, value) in file.metadata { try writer.addMetadata(other, other == key ? change(value) : value) }
        for entry in file.tensors { try writer.add(entry.name, entry.dataType, entry.shape, file.data(of: entry)) }
        let path = folder.file(name)
        try writer.write(to: path)
        return path
    }

    /// A copy of the int8 model without one tensor.
    func quantized(named name: String, dropping tensor: (SafetensorsEntry) -> Bool) throws -> String {
        let file = try SafetensorsFile(mapping: quantized)
        var writer = SafetensorsWriter()
        for (key, value) in file.metadata { try writer.addMetadata(key, value) }
        var isDropped = false
        for entry in file.tensors {
            if !isDropped, tensor(entry) {
                isDropped = true
                continue
            }
            try writer.add(entry.name, entry.dataType, entry.shape, file.data(of: entry))
        }
        let path = folder.file(name)
        try writer.write(to: path)
        return path
    }
}

/// Writes f32 tensors as another tool would.
func writeTensors(_ path: String, _ tensors: [(name: String, shape: [Int], values: [Float])]) throws {
    var writer = SafetensorsWriter(padding: false)
    for tensor in tensors { try writer.add(tensor.name, .f32, tensor.shape, TensorData(elements: tensor.values)) }
    try writer.write(to: path)
}

/// The f32 constants of a model by name.
func constants(_ path: String) throws -> [String: [Float]] {
    let graph = try ModelFile(contentsOf: path).graph
    return Dictionary(
        uniqueKeysWithValues: graph.constants.map {
            (graph[$0].name, graph[$0].constant?.data?.array(of: Float.self) ?? [])
        })
}

/// Reference data that lies beside the checkout; most checkouts have none.
enum Fixtures {
    static let folder = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
        .deletingLastPathComponent().deletingLastPathComponent().deletingLastPathComponent()
        .appendingPathComponent("shared/fixtures").standardizedFileURL.path

    static let exist: Bool = {
        let found = FileManager.default.fileExists(atPath: folder)
        if !found { FileHandle.standardError.write(Data("SKIPPED: no reference fixtures at \(folder)\n".utf8)) }
        return found
    }()

    static func path(_ name: String) -> String { folder + "/" + name }
}

/// A file system with room for a few kilobytes.
final class TinyDisk {
    let folder: TemporaryFolder

    /// Whether this user may mount one.
    static let isPossible: Bool = {
        guard let folder = try? TemporaryFolder() else { return false }
        let isPossible = mount(folder.path)
        if isPossible { unmount(folder.path) }
        if !isPossible { FileHandle.standardError.write(Data("SKIPPED: full disk, no right to mount a tmpfs\n".utf8)) }
        return isPossible
    }()

    init() throws {
        folder = try TemporaryFolder()
        try #require(TinyDisk.mount(folder.path))
    }

    deinit { TinyDisk.unmount(folder.path) }

    private static func mount(_ path: String) -> Bool {
        call(["mount", "-t", "tmpfs", "-o", "size=16k", "tmpfs", path])
    }
    private static func unmount(_ path: String) { _ = call(["umount", path]) }

    private static func call(_ arguments: [String]) -> Bool {
        let process = Process()
        process.executableURL = URL(fileURLWithPath: "/usr/bin/env")
        process.arguments = arguments
        process.standardError = FileHandle.nullDevice
        guard (try? process.run()) != nil else { return false }
        process.waitUntilExit()
        return process.terminationStatus == 0
    }
}
