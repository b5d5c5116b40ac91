import AlulaKernels

/// A small generator with the same numbers on every platform.
struct Random {
    private var state: UInt64

    init(seed: UInt64) { state = seed &* 0x9E37_79B9_7F4A_7C15 }

    mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var z = state
        z = (z ^ (z >> 30)) &* 0xBF58_476D_1CE4_E5B9
        z = (z ^ (z >> 27)) &* 0x94D0_49BB_1331_11EB
        return z ^ (z >> 31)
    }

    mutating func within(_ range: ClosedRange<Int>) -> Int { range.lowerBound + Int(next() % UInt64(range.count)) }
    mutating func chance(_ outOf: Int) -> Bool { within(1...outOf) == 1 }
    mutating func float() -> Float { Float(within(-100_000...100_000)) * 1e-5 }
}

/// Memory as the kernels require it: 64-byte aligned, with 64 bytes to read beyond its end.
final class Memory<Element> {
    let pointer: UnsafeMutablePointer<Element>
    let count: Int
    let slack: Int

    init(_ elements: [Element], filler: Element) {
        count = elements.count
        slack = 128 / MemoryLayout<Element>.stride
        let raw = UnsafeMutableRawPointer.allocate(
            byteCount: (count + slack) * MemoryLayout<Element>.stride, alignment: 64)
        pointer = raw.bindMemory(to: Element.self, capacity: count + slack)
        pointer.initialize(repeating: filler, count: count + slack)
        for (i, element) in elements.enumerated() { pointer[i] = element }
    }

    /// With the slack, so that a comparison also sees writes beyond the end.
    var contents: [Element] { Array(UnsafeBufferPointer(start: pointer, count: count + slack)) }

    deinit { UnsafeMutableRawPointer(pointer).deallocate() }
}

func roundUp(_ n: Int, to multiple: Int) -> Int { (n + multiple - 1) / multiple * multiple }

extension alula_window {
    var pixels: Int { Int(batch) * Int(out_h) * Int(out_w) }
    var taps: Int { Int(kernel_h) * Int(kernel_w) }
    var inputs: Int { Int(in_c / groups) }
    var outputs: Int { Int(out_c / groups) }
    var inputCount: Int { Int(batch) * Int(in_h) * Int(in_w) * Int(in_c) }

    /// Input position under a tap of an output pixel, nil in the padding.
    func source(_ pixel: Int, _ ky: Int, _ kx: Int) -> Int? {
        let x = pixel % Int(out_w)
        let y = pixel / Int(out_w) % Int(out_h)
        let image = pixel / Int(out_w) / Int(out_h)
        let inY = y * Int(stride_h) - Int(pad_top) + ky * Int(dilation_h)
        let inX = x * Int(stride_w) - Int(pad_left) + kx * Int(dilation_w)
        guard (0..<Int(in_h)).contains(inY), (0..<Int(in_w)).contains(inX) else { return nil }
        return (image * Int(in_h) + inY) * Int(in_w) + inX
    }

    /// Linear layers, 1-D and 2-D convolutions of small random sizes with every kind of tail.
    static func random(depthwise: Bool, transposed: Bool = false, _ random: inout Random) -> alula_window {
        var w = alula_window()
        (w.batch, w.groups, w.kernel_h, w.kernel_w, w.stride_h, w.stride_w, w.dilation_h, w.dilation_w) = (
            1, 1, 1, 1, 1, 1, 1, 1
        )
        if !transposed && random.chance(3) {
            w.in_h = 1
            w.out_h = 1
            w.in_w = Int32(random.within(1...110))
            w.out_w = w.in_w
            w.in_c = Int32(random.within(1...120))
            w.out_c = Int32(random.within(1...140))
        } else {
            w.batch = Int32(random.within(1...2))
            w.kernel_h = random.chance(3) ? 1 : Int32(random.within(1...4))
            w.kernel_w = Int32(random.within(1...4))
            w.stride_h = Int32(random.within(1...3))
            w.stride_w = Int32(random.within(1...3))
            w.dilation_h = random.chance(4) ? 2 : 1
            w.dilation_w = random.chance(4) ? 2 : 1
            w.pad_top = Int32(random.within(0...Int(w.kernel_h) - 1))
            w.pad_left = Int32(random.within(0...Int(w.kernel_w) - 1))
            w.in_h = Int32(random.within(1...8)) + (w.kernel_h - 1) * w.dilation_h
            w.in_w = Int32(random.within(1...8)) + (w.kernel_w - 1) * w.dilation_w
            w.out_h = (w.in_h + 2 * w.pad_top - (w.kernel_h - 1) * w.dilation_h - 1) / w.stride_h + 1
            w.out_w = (w.in_w + 2 * w.pad_left - (w.kernel_w - 1) * w.dilation_w - 1) / w.stride_w + 1
            w.in_c = random.chance(4) ? 3 : Int32(random.within(1...24))
            w.out_c = Int32(random.within(1...70))
        }
        if transposed {
            w.out_h = (w.in_h - 1) * w.stride_h + (w.kernel_h - 1) * w.dilation_h + 1 - w.pad_top
            w.out_w = (w.in_w - 1) * w.stride_w + (w.kernel_w - 1) * w.dilation_w + 1 - w.pad_left
        }
        if depthwise {
            w.groups = w.in_c
            w.out_c = w.in_c
        } else if random.chance(4) {
            w.groups = Int32(random.within(2...3))
            w.in_c *= w.groups
            w.out_c = (w.out_c % 40 + 1) * w.groups
        }
        return w
    }
}

/// One int8 convolution with everything it reads.
struct Int8Problem: CustomStringConvertible {
    let depthwise: Bool
    let window: alula_window
    let input: [UInt8]
    let padding: UInt8
    /// [group][output][tap][input]
    let weight: [Int8]
    let bias: [Int32]
    let multiplier: [Float]
    let table: [UInt8]?
    let residual: [UInt8]?
    let inPlace: Bool
    let floatOutput: Bool
    let zero: Int32, low: Int32, high: Int32, residualZero: Int32
    let residualMultiplier: Float

    init(depthwise: Bool, random: inout Random) {
        let window = alula_window.random(depthwise: depthwise, &random)
        let channels = Int(window.out_c)
        let count = window.pixels * channels
        let extreme = random.chance(4)
        let loud = random.chance(5)
        self.depthwise = depthwise
        self.window = window
        input = (0..<window.inputCount).map { _ in
            extreme ? (random.chance(8) ? 0 : 255) : UInt8(random.within(0...255))
        }
        padding = UInt8(random.within(0...255))
        weight = (0..<channels * window.taps * window.inputs).map { _ in
            extreme ? (random.chance(8) ? -127 : 127) : Int8(random.within(-127...127))
        }
        bias = (0..<channels).map { _ in
            Int32(extreme ? random.within(-2_000_000...2_000_000) : random.within(-20_000...20_000))
        }
        // Loud ones push t beyond the i32 range.
        multiplier = (0..<channels).map { _ in loud ? random.float() * 60_000 : (random.float() + 1) * 2e-3 }
        let mode = random.within(0...4)
        floatOutput = mode == 2 || mode == 4
        table = mode == 1 ? (0..<256).map { _ in UInt8(random.within(0...255)) } : nil
        residual = mode >= 3 ? (0..<count).map { _ in UInt8(random.within(0...255)) } : nil
        inPlace = mode == 3 && random.chance(2)
        zero = Int32(random.within(0...255))
        low = random.chance(3) ? zero : 0
        high = random.chance(3) ? Int32(random.within(Int(low)...255)) : 255
        residualZero = Int32(random.within(0...255))
        residualMultiplier = random.float() * 2
    }

    var description: String {
        "depthwise \(depthwise) table \(table != nil) residual \(residual != nil) f32 \(floatOutput) \(window)"
    }

    /// The definition, in wide integers.
    func expected() -> [UInt32] {
        let w = window
        let channels = Int(w.out_c)
        return (0..<w.pixels * channels).map { at in
            let pixel = at / channels
            let channel = at % channels
            let group = channel / w.outputs
            var sum = Int64(bias[channel])
            for ky in 0..<Int(w.kernel_h) {
                for kx in 0..<Int(w.kernel_w) {
                    let source = w.source(pixel, ky, kx)
                    for c in 0..<w.inputs {
                        let x = source.map { input[$0 * Int(w.in_c) + group * w.inputs + c] } ?? padding
                        let tap = ky * Int(w.kernel_w) + kx
                        sum += Int64(x) * Int64(weight[(channel * w.taps + tap) * w.inputs + c])
                    }
                }
            }
            var t = Float(sum) * multiplier[channel]
            if let residual { t += Float(Int32(residual[at]) - residualZero) * residualMultiplier }
            if floatOutput { return t.bitPattern }
            let q = Int64(Double(t).rounded(.toNearestOrEven)) + Int64(zero)
            let clamped = Int(min(max(q, Int64(low)), Int64(high)))
            return UInt32(table?[clamped] ?? UInt8(clamped))
        }
    }

    /// The output's elements (bit patterns of floats), in `parts` calls.
    func run(_ kernels: UnsafePointer<alula_kernel_table>, parts: Int = 2) -> [UInt32] {
        let w = window
        let channels = Int(w.out_c)
        let count = w.pixels * channels
        let paddedOutputs = roundUp(w.outputs, to: 16)
        let paddedChannels = depthwise ? roundUp(channels, to: 16) : Int(w.groups) * paddedOutputs
        func slot(_ channel: Int) -> Int {
            depthwise ? channel : channel / w.outputs * paddedOutputs + channel % w.outputs
        }
        let quads = (w.inputs + 3) / 4
        let depth = w.taps * quads * 4
        var packed = [Int8](repeating: 0, count: paddedChannels * (depthwise ? w.taps : depth))
        var packedBias = [Int32](repeating: 0, count: paddedChannels)
        var packedMultiplier = [Float](repeating: 0, count: paddedChannels)
        for channel in 0..<channels {
            let n = slot(channel)
            packedBias[n] = bias[channel]
            packedMultiplier[n] = multiplier[channel]
            for tap in 0..<w.taps {
                for c in 0..<w.inputs {
                    let value = weight[(channel * w.taps + tap) * w.inputs + c]
                    let k = tap * quads * 4 + c
                    packed[
                        depthwise ? tap * paddedChannels + n : n / 16 * 16 * depth + k / 4 * 64 + n % 16 * 4 + k % 4] =
                        value
                }
            }
        }
        // Bytes beyond the input are arbitrary: zero weights must hide them.
        let input = Memory(input, filler: 0xEE)
        let weight = Memory(packed, filler: 0)
        let bias = Memory(packedBias, filler: 0)
        let multiplier = Memory(packedMultiplier, filler: 0)
        let table = Memory(table ?? [], filler: 0)
        let pad = Memory([UInt8](repeating: padding, count: roundUp(Int(w.in_c), to: 4)), filler: padding)
        let output = Memory(inPlace ? residual! : [UInt8](repeating: 0xCD, count: count), filler: 0xCD)
        let floats = Memory([Float](repeating: 77, count: floatOutput ? count : 0), filler: 77)
        let residual = Memory(residual ?? [], filler: 0)
        var args = alula_conv_u8s8_args()
        args.window = w
        args.input = UnsafePointer(input.pointer)
        args.weight = UnsafePointer(weight.pointer)
        args.bias = UnsafePointer(bias.pointer)
        args.multiplier = UnsafePointer(multiplier.pointer)
        args.table = table.count > 0 ? UnsafePointer(table.pointer) : nil
        args.residual = residual.count == 0 ? nil : UnsafePointer(inPlace ? output.pointer : residual.pointer)
        args.pad_row = UnsafePointer(pad.pointer)
        args.output = floatOutput ? nil : output.pointer
        args.output_f32 = floatOutput ? floats.pointer : nil
        (args.zero, args.low, args.high) = (zero, low, high)
        (args.residual_zero, args.residual_multiplier) = (residualZero, residualMultiplier)
        args.bounded = packedMultiplier.allSatisfy { $0.magnitude <= 0.5 } && abs(residualMultiplier) < 65536 ? 1 : 0
        let bytes = depthwise ? alula_depthwise_u8s8_scratch(&args) : alula_conv_u8s8_scratch(&args)
        let scratch = Memory([UInt8](repeating: 0x5A, count: bytes), filler: 0x5A)
        let kernel = (depthwise ? kernels.pointee.depthwise_u8s8 : kernels.pointee.conv_u8s8)!
        let items = depthwise ? w.pixels / Int(w.out_w) : w.pixels
        defer { withExtendedLifetime((input, weight, bias, multiplier, table, pad, residual)) {} }
        for part in 0..<parts { kernel(&args, items * part / parts, items * (part + 1) / parts, scratch.pointer) }
        // A write beyond a buffer fails every comparison.
        guard scratch.contents[bytes...].allSatisfy({ $0 == 0x5A }),
            output.contents[count...].allSatisfy({ $0 == 0xCD }),
            floats.contents[floats.count...].allSatisfy({ $0 == 77 })
        else { return [] }
        return floatOutput ? floats.contents[..<count].map(\.bitPattern) : output.contents[..<count].map(UInt32.init)
    }
}

/// One f32 convolution with everything it reads.
struct FloatProblem: CustomStringConvertible {
    enum Kind: CaseIterable { case plain, depthwise, transposed }

    let kind: Kind
    let window: alula_window
    let input: [Float]
    /// [output][tap][input of its group]
    let weight: [Float]
    let bias: [Float]?
    let residual: [Float]?
    let inPlace: Bool
    let relu: Bool

    init(kind: Kind, random: inout Random) {
        let window = alula_window.random(depthwise: kind == .depthwise, transposed: kind == .transposed, &random)
        let channels = Int(window.out_c)
        self.kind = kind
        self.window = window
        input = (0..<window.inputCount).map { _ in random.float() }
        weight = (0..<channels * window.taps * window.inputs).map { _ in random.float() }
        bias = random.chance(4) ? nil : (0..<channels).map { _ in random.float() }
        residual = random.chance(2) ? nil : (0..<window.pixels * channels).map { _ in random.float() }
        inPlace = residual != nil && random.chance(2)
        relu = random.chance(2)
    }

    var description: String { "\(kind) relu \(relu) residual \(residual != nil) \(window)" }

    func expected() -> [UInt32] {
        let w = window
        let channels = Int(w.out_c)
        return (0..<w.pixels * channels).map { at in
            let pixel = at / channels
            let channel = at % channels
            let group = channel / w.outputs
            var sum = bias?[channel] ?? 0
            for ky in 0..<Int(w.kernel_h) {
                for kx in 0..<Int(w.kernel_w) {
                    let source = kind == .transposed ? transposedSource(pixel, ky, kx) : w.source(pixel, ky, kx)
                    if kind == .transposed && source == nil { continue }
                    for c in 0..<w.inputs {
                        let x = source.map { input[$0 * Int(w.in_c) + group * w.inputs + c] } ?? 0
                        sum.addProduct(x, weight[(channel * w.taps + ky * Int(w.kernel_w) + kx) * w.inputs + c])
                    }
                }
            }
            if relu { sum = max(sum, 0) }
            return (residual.map { sum + $0[at] } ?? sum).bitPattern
        }
    }

    private func transposedSource(_ pixel: Int, _ ky: Int, _ kx: Int) -> Int? {
        let w = window
        let x = pixel % Int(w.out_w)
        let y = pixel / Int(w.out_w) % Int(w.out_h)
        let image = pixel / Int(w.out_w) / Int(w.out_h)
        let fromY = y + Int(w.pad_top) - ky * Int(w.dilation_h)
        let fromX = x + Int(w.pad_left) - kx * Int(w.dilation_w)
        guard fromY >= 0, fromX >= 0, fromY % Int(w.stride_h) == 0, fromX % Int(w.stride_w) == 0 else { return nil }
        let inY = fromY / Int(w.stride_h)
        let inX = fromX / Int(w.stride_w)
        guard inY < Int(w.in_h), inX < Int(w.in_w) else { return nil }
        return (image * Int(w.in_h) + inY) * Int(w.in_w) + inX
    }

    func run(_ kernels: UnsafePointer<alula_kernel_table>) -> [UInt32] {
        let w = window
        let channels = Int(w.out_c)
        let count = w.pixels * channels
        let depth = w.taps * w.inputs
        let paddedOutputs = roundUp(w.outputs, to: 16)
        let paddedChannels = kind == .depthwise ? roundUp(channels, to: 16) : Int(w.groups) * paddedOutputs
        var packed = [Float](
            repeating: 0, count: kind == .transposed ? Int(w.in_c) * w.taps * w.outputs : paddedChannels * depth)
        var packedBias = [Float](repeating: 0, count: paddedChannels)
        for channel in 0..<channels {
            let group = channel / w.outputs
            let inside = channel % w.outputs
            let n = kind == .depthwise ? channel : group * paddedOutputs + inside
            packedBias[n] = bias?[channel] ?? 0
            for k in 0..<depth {
                let tap = k / w.inputs
                let c = k % w.inputs
                let at =
                    switch kind {
                    case .plain: (n / 16 * depth + k) * 16 + n % 16
                    case .depthwise: tap * paddedChannels + n
                    case .transposed: ((group * w.inputs + c) * w.taps + tap) * w.outputs + inside
                    }
                packed[at] = weight[channel * depth + k]
            }
        }
        let input = Memory(input, filler: .nan)
        let weight = Memory(packed, filler: 0)
        let biasMemory = Memory(packedBias, filler: 0)
        let pad = Memory([Float](repeating: 0, count: Int(w.in_c)), filler: 0)
        let output = Memory(inPlace ? residual! : [Float](repeating: 77, count: count), filler: 77)
        let residual = Memory(residual ?? [], filler: 0)
        var args = alula_conv_f32_args()
        args.window = w
        args.input = UnsafePointer(input.pointer)
        args.weight = UnsafePointer(weight.pointer)
        args.bias = bias == nil ? nil : UnsafePointer(biasMemory.pointer)
        args.residual = residual.count == 0 ? nil : UnsafePointer(inPlace ? output.pointer : residual.pointer)
        args.pad_row = UnsafePointer(pad.pointer)
        args.output = output.pointer
        args.activation = Int32(bitPattern: (relu ? ALULA_RELU : ALULA_NONE).rawValue)
        let bytes = alula_conv_f32_scratch(&args)
        let scratch = Memory([UInt8](repeating: 0x5A, count: bytes), filler: 0x5A)
        let (kernel, items) =
            switch kind {
            case .plain: (kernels.pointee.conv_f32!, w.pixels)
            case .depthwise: (kernels.pointee.depthwise_f32!, w.pixels / Int(w.out_w))
            case .transposed: (kernels.pointee.conv_transpose_f32!, w.pixels)
            }
        defer { withExtendedLifetime((input, weight, biasMemory, pad, residual)) {} }
        for part in 0..<2 { kernel(&args, items * part / 2, items * (part + 1) / 2, scratch.pointer) }
        guard scratch.contents[bytes...].allSatisfy({ $0 == 0x5A }), output.contents[count...].allSatisfy({ $0 == 77 })
        else { return [] }
        return output.contents[..<count].map(\.bitPattern)
    }
}
