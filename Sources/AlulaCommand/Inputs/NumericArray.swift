import AlulaGraph

/// An array of numbers from a file: a safetensors tensor or an .npy array.
struct NumericArray {
    var name: String
    var dataType: DataType
    var shape: [Int]
    var data: TensorData

    /// Element types whose numbers can be read.
    static func isReadable(_ type: DataType) -> Bool {
        switch type {
        case .f32, .f16, .bf16, .f64, .u8, .s8, .i32: true
        case .i16, .u16, .u32, .i64, .u64, .bool: false
        }
    }

    /// The elements of a range, as f32.
    func floats(_ range: Range<Int>) -> [Float] {
        switch dataType {
        case .f32: range.map { data.load($0, as: Float.self) }
        case .f64: range.map { Float(data.load($0, as: Double.self)) }
        case .f16: range.map { NumericArray.float(half: data.load($0, as: UInt16.self)) }
        case .bf16: range.map { Float(bitPattern: UInt32(data.load($0, as: UInt16.self)) << 16) }
        case .u8: range.map { Float(data.load($0, as: UInt8.self)) }
        case .s8: range.map { Float(data.load($0, as: Int8.self)) }
        case .i32: range.map { Float(data.load($0, as: Int32.self)) }
        case .i16, .u16, .u32, .i64, .u64, .bool: []
        }
    }

    func bytes(_ range: Range<Int>) -> [UInt8] { data.withUnsafeBytes { Array($0[range]) } }

    /// IEEE binary16, spelled out because Swift has no `Float16` on every platform.
    static func float(half bits: UInt16) -> Float {
        let sign: Float = bits & 0x8000 == 0 ? 1 : -1
        let exponent = Int(bits >> 10 & 31)
        let fraction = Float(bits & 1023)
        switch exponent {
        case 0: return sign * fraction * Float(sign: .plus, exponent: -24, significand: 1)
        case 31: return fraction == 0 ? sign * .infinity : .nan
        default: return sign * (1 + fraction / 1024) * Float(sign: .plus, exponent: exponent - 15, significand: 1)
        }
    }
}

/// Reads .npy files: f4 or u1, little-endian, C order.
enum NumpyFile {
    static let magic: [UInt8] = [0x93] + Array("NUMPY".utf8)

    static func array(_ bytes: Bytes) throws -> NumericArray {
        let storage = TensorData(bytes, 0..<bytes.count)
        guard bytes.count >= 12 else { throw Failure(nil, "is a truncated .npy file") }
        // Version 1 has a 2-byte header length, versions 2 and 3 a 4-byte one.
        let isLong = storage.load(6, as: UInt8.self) > 1
        let length =
            isLong
            ? storage.withUnsafeBytes {
                Int(UInt32(littleEndian: $0.loadUnaligned(fromByteOffset: 8, as: UInt32.self)))
            }
            : storage.withUnsafeBytes {
                Int(UInt16(littleEndian: $0.loadUnaligned(fromByteOffset: 8, as: UInt16.self)))
            }
        let start = isLong ? 12 : 10
        guard length <= bytes.count - start else { throw Failure(nil, "is a truncated .npy file") }
        let header = storage.withUnsafeBytes { String(decoding: $0[start..<start + length], as: UTF8.self) }

        let dataType: DataType
        switch value(of: "descr", in: header) {
        case "'<f4'"?: dataType = .f32
        case "'|u1'"?: dataType = .u8
        case let other:
            throw Failure(nil, "holds \(other ?? "no") elements; .npy arrays are read as '<f4' or '|u1' only")
        }
        guard value(of: "fortran_order", in: header) == "False" else {
            throw Failure(nil, "is an .npy array in Fortran order; C order is read")
        }
        let shape = try dimensions(header)
        let offset = start + length
        guard Shape(shape).isValid, Shape(shape).elementCount * dataType.size == bytes.count - offset else {
            throw Failure(
                nil,
                "has \(bytes.count - offset) bytes of data, which is not what its shape \(Shape(shape).description) needs"
            )
        }
        return NumericArray(name: "", dataType: dataType, shape: shape, data: TensorData(bytes, offset..<bytes.count))
    }

    /// The text of a key's value in the header, a Python dictionary: `{'descr': '<f4', 'fortran_order': False, 'shape': (2, 3), }`.
    private static func value(of key: String, in header: String) -> String? {
        guard let parts = header.range(ofText: "'" + key + "':") else { return nil }
        let rest = header[parts...].drop { $0 == " " }
        return String(rest.prefix { $0 != "," && $0 != "}" }).trimmed
    }

    private static func dimensions(_ header: String) throws -> [Int] {
        guard let start = header.range(ofText: "'shape':"), let open = header[start...].firstIndex(of: "("),
            let close = header[open...].firstIndex(of: ")")
        else { throw Failure(nil, "is an .npy file without a shape") }
        return try header[header.index(after: open)..<close].split(separator: ",").map { String($0).trimmed }.filter {
            !$0.isEmpty
        }.map {
            guard let size = Int($0) else { throw Failure(nil, "is an .npy file with a broken shape") }
            return size
        }
    }
}

extension String {
    /// Where `text` ends at its first occurrence.
    fileprivate func range(ofText text: String) -> String.Index? {
        var start = startIndex
        while start < endIndex {
            if self[start...].hasPrefix(text) { return index(start, offsetBy: text.count) }
            start = index(after: start)
        }
        return nil
    }

    var trimmed: String {
        var slice = self[...]
        while slice.first?.isWhitespace == true { slice.removeFirst() }
        while slice.last?.isWhitespace == true { slice.removeLast() }
        return String(slice)
    }
}
