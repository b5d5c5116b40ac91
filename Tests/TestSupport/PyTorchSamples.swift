/// Instructions of pickles, and PyTorch checkpoints made of them.
package struct PickleWriter {
    package private(set) var bytes: [UInt8] = [0x80, 2]

    package init() {}

    package mutating func raw(_ code: String) { bytes += Array(code.utf8) }
    package mutating func raw(_ code: [UInt8]) { bytes += code }
    package mutating func text(_ text: String) { bytes += [0x58] + littleEndian(text.utf8.count, 4) + Array(text.utf8) }
    package mutating func integer(_ value: Int) {
        bytes += Int32(exactly: value) != nil ? [0x4A] + littleEndian(value, 4) : [0x8A, 8] + littleEndian(value, 8)
    }
    package mutating func global(_ module: String, _ name: String) { raw("c\(module)\n\(name)\n") }
    package mutating func tuple(_ values: [Int]) {
        raw("(")
        for value in values { integer(value) }
        raw("t")
    }

    /// A view of a storage, as `torch.save` writes it.
    package mutating func tensor(
        _ shape: [Int], strides: [Int]? = nil, offset: Int = 0, storage: String = "0", count: Int,
        type: String = "Float"
    ) {
        var dense = [Int](repeating: 1, count: shape.count)
        for axis in shape.indices.dropLast().reversed() { dense[axis] = dense[axis + 1] &* shape[axis + 1] }
        global("torch._utils", "_rebuild_tensor_v2")
        raw("((")
        text("storage")
        global("torch", type + "Storage")
        text(storage)
        text("cpu")
        integer(count)
        raw("tQ")
        integer(offset)
        tuple(shape)
        tuple(strides ?? dense)
        raw([0x89])
        global("collections", "OrderedDict")
        raw(")RtR")
    }

    /// A table with one entry a name.
    package mutating func table(_ entries: [(String, (inout PickleWriter) -> Void)]) {
        raw("}(")
        for (name, value) in entries {
            text(name)
            value(&self)
        }
        raw("u")
    }

    /// The pickle, ended.
    package func finished() -> [UInt8] { bytes + Array(".".utf8) }
}

/// Small PyTorch checkpoints; `fuzz-pytorch --write-corpus` writes them as files.
package enum PyTorchSamples {
    /// An archive as `torch.save` writes it.
    package static func archive(
        _ pickle: [UInt8], storages: [(String, [UInt8])] = [("0", (0..<64).map { UInt8($0) })],
        isBigEndian: Bool = false
    ) -> [UInt8] {
        var zip = ZipWriter([
            .init("a/data.pkl", pickle), .init("a/byteorder", Array((isBigEndian ? "big" : "little").utf8)),
        ])
        zip.entries += storages.map { .init("a/data/" + $0.0, $0.1) }
        return zip.bytes
    }

    package static func pickle(_ write: (inout PickleWriter) -> Void) -> [UInt8] {
        var writer = PickleWriter()
        write(&writer)
        return writer.finished()
    }

    /// Pickles that a reader must accept; their storage "0" has 64 bytes.
    package static let validPickles: [(name: String, bytes: [UInt8])] = [
        (
            "dense",
            pickle {
                $0.table([("w", { $0.tensor([4, 4], count: 16) }), ("b", { $0.tensor([4], offset: 12, count: 16) })])
            }
        ),
        ("strided", pickle { $0.table([("w", { $0.tensor([4, 3], strides: [1, 4], offset: 2, count: 16) })]) }),
        ("half", pickle { $0.table([("w", { $0.tensor([32], count: 32, type: "Half") })]) }),
        (
            "nested",
            pickle {
                $0.table([
                    ("epoch", { $0.integer(3) }),
                    ("model", { $0.table([("module.w", { $0.tensor([2, 2], count: 16) })]) }),
                    (
                        "args",
                        {
                            $0.global("argparse", "Namespace")
                            $0.raw(")R}b")
                        }
                    ),
                ])
            }
        ),
    ]

    /// Pickles that a reader must refuse, with a part of its message.
    package static let hostilePickles: [(name: String, cause: String, bytes: [UInt8])] = [
        (
            "system", "os.system",
            pickle {
                $0.global("os", "system")
                $0.raw("(")
                $0.text("true")
                $0.raw("tR")
            }
        ),
        (
            "eval", "builtins.eval",
            pickle {
                for word in ["builtins", "eval"] { $0.raw([0x8C, UInt8(word.utf8.count)] + Array(word.utf8)) }
                $0.raw([0x93])
            }
        ),
        ("instance", "instruction 0x69", pickle { $0.raw("(ios\nsystem\n") }),
        ("extension", "instruction 0x82", pickle { $0.raw([0x82, 1]) }),
        ("persistent", "instruction 0x50", pickle { $0.raw("Pabc\n") }),
        ("memo", "not known", pickle { $0.raw("h\u{7}") }),
        ("underflow", "without operands", pickle { $0.raw("R") }),
        ("mark", "without a start", pickle { $0.raw("t") }),
        ("cycle", "no state dict", pickle { $0.raw("}q\u{0}" + "X\u{1}\u{0}\u{0}\u{0}ah\u{0}s") }),
        ("truncated", "ends inside", [0x80, 2, 0x58, 255, 255, 255, 255]),
        ("beyond", "reaches beyond", pickle { $0.table([("w", { $0.tensor([4, 5], count: 16) })]) }),
        ("offset", "reaches beyond", pickle { $0.table([("w", { $0.tensor([1], offset: 16, count: 16) })]) }),
        ("negative", "damaged", pickle { $0.table([("w", { $0.tensor([-1], count: 16) })]) }),
        (
            "overflow", "reaches beyond",
            pickle { $0.table([("w", { $0.tensor([1 << 40, 1 << 40], strides: [1, 1], count: 16) })]) }
        ),
        (
            "expanded", "would take",
            pickle { $0.table([("w", { $0.tensor([1 << 40], strides: [0], count: 16) })]) }
        ),
        (
            "rank", "more than 32 axes",
            pickle { $0.table([("w", { $0.tensor([Int](repeating: 1, count: 33), count: 16) })]) }
        ),
        ("storage", "where its tensors need", pickle { $0.table([("w", { $0.tensor([1], count: 1 << 40) })]) }),
        ("absent", "is missing", pickle { $0.table([("w", { $0.tensor([1], storage: "../0", count: 16) })]) }),
        ("empty", "no state dict", pickle { $0.raw("}") }),
    ]

    package static var archives: [(name: String, bytes: [UInt8])] {
        (validPickles + hostilePickles.map { ($0.name, $0.bytes) }).map { ($0.name, archive($0.bytes)) }
    }
}
