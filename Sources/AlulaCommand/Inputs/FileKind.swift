import AlulaGraph

/// What a file is, by its first bytes.
enum FileKind: Equatable {
    case empty, safetensors, png, jpeg, numpy, hdf5, zip, pickle, onnx, text, unknown

    init(_ bytes: Bytes) {
        let start = bytes.withUnsafeBytes { Array($0.prefix(64)) }
        self.init(start: start, count: bytes.count)
    }

    init(start: [UInt8], count: Int) {
        let signatures: [(FileKind, [UInt8])] = [
            (.png, [0x89, 0x50, 0x4E, 0x47]), (.jpeg, [0xFF, 0xD8, 0xFF]), (.numpy, NumpyFile.magic),
            (.hdf5, [0x89, 0x48, 0x44, 0x46, 0x0D, 0x0A, 0x1A, 0x0A]), (.zip, [0x50, 0x4B, 0x03, 0x04]),
            (.pickle, [0x80, 0x02]),
        ]
        if count == 0 {
            self = .empty
        } else if let match = signatures.first(where: { start.starts(with: $0.1) }) {
            self = match.0
        } else if start.count > 8, start[8] == UInt8(ascii: "{"), start[4..<8].allSatisfy({ $0 == 0 }) {
            // Eight bytes of the header's length, then the header, a JSON object.
            self = .safetensors
        } else if FileKind.isProtobufModel(start) {
            self = .onnx
        } else if start.allSatisfy({ $0 >= 0x20 && $0 != 0x7F || [9, 10, 13].contains($0) }) {
            self = .text
        } else {
            self = .unknown
        }
    }

    /// An ONNX model starts with field 1 (ir_version, a small number), followed by field 2 (producer_name, text) or another known field.
    private static func isProtobufModel(_ start: [UInt8]) -> Bool {
        guard start.count > 4, start[0] == 0x08, (1...64).contains(start[1]) else { return false }
        return [0x12, 0x1A, 0x22, 0x28, 0x32, 0x3A, 0x42].contains(start[2])
    }

    /// What it is called in a message.
    var description: String {
        switch self {
        case .empty: "empty"
        case .safetensors: "a safetensors file"
        case .png: "a PNG picture"
        case .jpeg: "a JPEG picture"
        case .numpy: "an .npy file"
        case .hdf5: "an HDF5 file (Keras .h5 weights)"
        case .zip: "a zip archive (a PyTorch checkpoint)"
        case .pickle: "a Python pickle (a PyTorch checkpoint)"
        case .onnx: "an ONNX model"
        case .text: "a text file"
        case .unknown: "a file of unknown kind"
        }
    }
}
