import AlulaGraph
import AlulaRuntime

// The core without an operating system: the host puts a model's and an input's bytes into memory, and takes the output's.

/// Runs a model once. Returns the size of its outputs, which are written one after another to `output`, or a negative number: -1 for a
/// model that cannot be read, -2 for one that cannot run here, -3 for an input or output of another size.
@_cdecl("alula_wasm_run")
func run(
    model: UnsafeRawPointer, modelSize: Int32, input: UnsafeRawPointer, inputSize: Int32,
    output: UnsafeMutableRawPointer, capacity: Int32
) -> Int32 {
    let file: ModelFile
    do throws(ModelFileError) {
        file = try ModelFile(bytes: Bytes(unowned: UnsafeRawBufferPointer(start: model, count: Int(modelSize))))
    } catch { return -1 }
    let session: Session
    do throws(RuntimeError) { session = try Session(file.graph, options: SessionOptions(threads: 1)) } catch {
        return -2
    }
    do throws(RuntimeError) {
        try session.setInput(0, bytes: UnsafeRawBufferPointer(start: input, count: Int(inputSize)))
    } catch { return -3 }
    usesVectors = session.instructionSet != .scalar
    session.run()
    var written = 0
    for index in 0..<session.outputCount {
        let bytes = session.output(index)
        guard written + bytes.count <= Int(capacity) else { return -3 }
        for (offset, byte) in bytes.enumerated() {
            output.storeBytes(of: byte, toByteOffset: written + offset, as: UInt8.self)
        }
        written += bytes.count
    }
    return Int32(written)
}

/// Whether the last run's kernels were those with 128-bit vectors.
@_cdecl("alula_wasm_used_vectors")
func usedVectors() -> Int32 { usesVectors ? 1 : 0 }

private nonisolated(unsafe) var usesVectors = false
