import AlulaGraph
import Foundation
import Testing

private let sample = """
    alula 1
    const @stem.weight : s8[24,3,3,3] layout=n16k4
    const @stem.bias : i32[24]
    const @stem.multiplier : f32[24]
    const @stem.table : u8[256]
    const @"odd name(1)" : f32[24]
    input %image : u8[1,8,8,3] scale=0.01865 zero=114
    %stem = conv2d(%image, @stem.weight, bias=@stem.bias, multiplier=@stem.multiplier, table=@stem.table) stride=2 pad=1 act=gelu pre_scale=0.02 pre_zero=128 : u8[1,4,4,24] scale=0.0117 zero=9
    %0 = pool_mixer(%stem, center=@"odd name(1)", average=@"odd name(1)") size=3 : u8[1,4,4,24] scale=0.0118 zero=9
    %1, %tail = split(%0) axis=3 sizes=16,8 : u8[1,4,4,16] scale=0.0118 zero=9, u8[1,4,4,8] scale=0.0118 zero=9
    %"7" = mean(%1) axes=1,2 : f32[1,16]
    output %"7" : f32[1,16]
    output %tail : u8[1,4,4,8] scale=0.0118 zero=9

    """

@Suite struct GraphTextTests {
    @Test func printsWhatItParsed() throws {
        let graph = try Graph(text: sample)
        #expect(graph.text == sample)
        #expect(graph.nodes.count == 4)
        #expect(graph.macs == 4 * 4 * 24 * 27)
    }

    @Test func everyOperatorRoundTrips() throws {
        let lines: [(String, String)] = [
            ("f32[1,5,6,8]", "conv2d(%x, @w) stride=1,2 pad=1,0,2,1 dilation=2 groups=2 act=relu : f32[1,6,2,4]"),
            ("f32[1,3,3,4]", "conv_transpose2d(%x, @w) stride=2 output_pad=1,0 : f32[1,8,7,6]"),
            ("f32[2,7,8]", "linear(%x, @w) act=silu : f32[2,7,5]"),
            ("f32[2,7,8]", "matmul(%x, %x) transpose_b=true scale=0.5 : f32[2,7,7]"),
            (
                "f32[1,6,48]",
                "attention(%x) heads=4 key_dim=3 value_dim=6 scale=0.57735026 packing=per_head : f32[1,6,24]"
            ),
            ("f32[1,6]", "add(%x, %x) act=relu6 : f32[1,6]"), ("f32[1,6]", "div(%x, %x) : f32[1,6]"),
            ("f32[1,6]", "gelu_tanh(%x) : f32[1,6]"), ("f32[1,6]", "hard_swish(%x) : f32[1,6]"),
            ("f32[2,6]", "softmax(%x) axis=0 : f32[2,6]"),
            ("f32[1,9,9,2]", "avg_pool(%x) kernel=3 stride=2 pad=1 count_pad=true : f32[1,5,5,2]"),
            ("f32[1,9,9,2]", "max_pool(%x) kernel=3,2 : f32[1,7,8,2]"),
            ("f32[2,3,4,5]", "mean(%x) axes=1,2 keep=true : f32[2,1,1,5]"),
            ("f32[2,6]", "reshape(%x) shape=3,4 : f32[3,4]"), ("f32[1,1]", "reshape(%x) shape= : f32[]"),
            ("f32[2,3,4]", "transpose(%x) perm=2,0,1 : f32[4,2,3]"),
            ("f32[2,9]", "slice(%x) axis=1 begin=1 end=8 step=3 : f32[2,3]"),
            ("f32[2,9]", "concat(%x, %x, %x) axis=0 : f32[6,9]"),
            ("f32[2,9]", "roll(%x) axis=1 shift=-2 : f32[2,9]"),
            ("f32[2,3]", "pad(%x) before=0,1 after=2,0 value=-1.5 : f32[4,4]"),
            ("f32[1,3]", "expand(%x) shape=2,4,3 : f32[2,4,3]"),
            ("f32[1,6]", "elu(%x) alpha=1.6733 scale=1.0507 : f32[1,6]"),
            ("f32[1,6]", "clip(%x) low=-1 scale=0.2 offset=0.5 : f32[1,6]"),
            ("f32[1,6]", "less_equal(%x, %x) : f32[1,6]"), ("f32[2,6]", "select(%x, %x, %x) : f32[2,6]"),
            ("f32[2,3,4,5]", "reduce_max(%x) axes=0,2 keep=true : f32[1,3,1,5]"),
            ("f32[2,3,4,5]", "prod(%x) axes=3 : f32[2,3,4]"),
            ("f32[2,9]", "top_k(%x) k=3 axis=1 smallest=true last=true : f32[2,3], i32[2,3]"),
            ("f32[1,9,9,2]", "max_pool(%x) kernel=2 stride=2 dilation=2,1 ceil=true : f32[1,4,5,2]"),
            ("f32[1,5,6,4]", "conv2d(%x, @w) pad=1 pad_values=123.675,-2,0,1e-9 : f32[1,6,6,4]"),
            ("f32[2,4,6,8]", "conv2d_weight_gradient(%x, %x) groups=2 : f32[8,1,1,4]"),
            ("f32[1,6]", "unary_gradient(%x, %x) function=elu alpha=1.5 : f32[1,6]"),
            ("f32[3,6]", "channel_sum(%x, b=%x) : f32[6]"), ("f32[3,6]", "batch_statistics(%x) : f32[6], f32[6]"),
            ("f32[6]", "batch_norm(%x, %x, %x, %x, %x) act=gelu : f32[6]"),
            ("f32[6]", "batch_norm_gradient(%x, %x, %x, %x, %x, %x) act=gelu batch=true : f32[6], f32[6], f32[6]"),
            ("f32[6]", "layer_norm_gradient(%x, %x, %x) eps=0.001 : f32[6], f32[6], f32[6]"),
            ("f32[1,3,3,2]", "avg_pool_gradient(%x) size=6 kernel=2 stride=2 : f32[1,6,6,2]"),
            (
                "f32[1,4,4]",
                "attention_gradient(%x, %x, k=%x, v=%x) heads=2 key_dim=2 value_dim=2 scale=0.5 : f32[1,4,4], f32[1,4,4], f32[1,4,4], f32[1,2,4,4]"
            ),
            ("f32[1,2,2,2,2,2,2,2]", "abs(%x) : f32[1,2,2,2,2,2,2,2]"),
            ("f32[3]", "quantize(%x) : u8[3] scale=1e-9 zero=255"),
        ]
        let weights = ["conv2d": "f32[4,2,3,4]", "conv_transpose2d": "f32[4,3,3,6]", "linear": "f32[5,8]"]
        for (input, line) in lines {
            let name = String(line.prefix { $0 != "(" })
            var text = "alula 1\n"
            if let weight = weights[name] { text += "const @w : \(weight)\n" }
            let result = line.split(separator: " : ")[1]
            let results = result.components(separatedBy: ", ")
            text += "input %x : \(input)\n" + results.indices.map { "%\($0)" }.joined(separator: ", ") + " = \(line)\n"
            for (index, type) in results.enumerated() { text += "output %\(index) : \(type)\n" }
            let graph = try Graph(text: text)
            #expect(graph.text == text, "\(name)")
        }
    }

    @Test(arguments: [
        ("", "expected 'alula 1'"),
        ("alula 2\n", "expected 'alula 1'"),
        ("alula 1 2\n", "unexpected text"),
        ("alula 1\ninput %x : f99[1]\n", "f99 is not an element type"),
        ("alula 1\ninput %x : f32[0]\noutput %x\n", "empty or too large"),
        ("alula 1\ninput %x : f32[1,2,3,4,5,6,7,8,9]\n", "more than 8 axes"),
        ("alula 1\ninput %x : f32[99999999999999999999]\n", "integer"),
        ("alula 1\ninput %x : f32[70000,70000]\noutput %x\n", "too large"),
        ("alula 1\ninput %x : f32[1]\ninput %x : f32[1]\n", "%x is defined twice"),
        ("alula 1\noutput %y\n", "%y is not defined"),
        ("alula 1\ninput %x : f32[1]\n", "no output"),
        ("alula 1\ninput %x : u8[1]\noutput %x\n", "u8 needs a valid scale"),
        ("alula 1\ninput %x : u8[1] scale=nan zero=0\noutput %x\n", "scale nan is not a number"),
        ("alula 1\ninput %x : u8[1] scale=0x7fc00000 zero=0\noutput %x\n", "scale 0x7fc00000 is not a number"),
        ("alula 1\ninput %x : u8[1] scale=0 zero=0\noutput %x\n", "out of range"),
        ("alula 1\ninput %x : u8[1] scale=0.1 zero=256\noutput %x\n", "out of range"),
        ("alula 1\ninput %x : f32[1] scale=0.1 zero=2\noutput %x\n", "only u8"),
        ("alula 1\ninput %x : f32[2]\n%y = frobnicate(%x) : f32[2]\noutput %y\n", "operator frobnicate is not known"),
        ("alula 1\ninput %x : f32[2]\n%y = relu(%x) size=3 : f32[2]\noutput %y\n", "relu has no attribute size"),
        ("alula 1\ninput %x : f32[2]\n%y = relu(%x) : f32[3]\noutput %y\n", "declared [3], but the operator gives [2]"),
        ("alula 1\ninput %x : f32[2]\n%y = relu(%x) : u8[2] scale=1 zero=0\noutput %y\n", "declared u8"),
        ("alula 1\ninput %x : f32[2]\n%y = relu(%x, %x, %x) : f32[2]\noutput %y\n", "takes fewer operands"),
        ("alula 1\ninput %x : f32[2]\n%y = add(%x) : f32[2]\noutput %y\n", "operand b is missing"),
        ("alula 1\ninput %x : f32[2]\n%y, %z = relu(%x) : f32[2]\noutput %y\n", "2 results but 1 types"),
        ("alula 1\ninput %x : f32[2,3]\n%y = softmax(%x) axis=2 : f32[2,3]\noutput %y\n", "axis 2 is not an axis"),
        ("alula 1\ninput %x : f32[2,3]\n%y = sum(%x) axes=1,0 : f32[]\noutput %y\n", "in ascending order"),
        ("alula 1\ninput %x : f32[2,3]\n%y, %z = top_k(%x) k=4 axis=1 : f32[2,4], i32[2,4]\noutput %y\n", "k 4 is not"),
        (
            "alula 1\ninput %x : f32[2,3]\n%y, %z = top_k(%x) k=1 axis=1 : f32[2,1], f32[2,1]\noutput %y\n",
            "declared f32"
        ),
        ("alula 1\ninput %x : f32[2]\n%y = clip(%x) low=1e99 : f32[2]\noutput %y\n", "low=1e99 is not a number"),
        ("alula 1\ninput %x : f32[2]\n%y = select(%x, %x) : f32[2]\noutput %y\n", "operand b is missing"),
        (
            "alula 1\nconst @i : i32[2,2]\nconst @w : f32[2]\ninput %x : f32[2]\n%y = resample(%x, @i, @w) axis=0 : f32[2]\noutput %y\n",
            "not two equal tables"
        ),
        (
            "alula 1\nconst @w : f32[4,1,1,3]\ninput %x : f32[1,4,4,3]\n%y = conv2d(%x, @w) pad_values=1,2 : f32[1,4,4,4]\noutput %y\n",
            "pad_values are 3 numbers"
        ),
        (
            "alula 1\nconst @w : f32[3,1,1,1]\ninput %x : f32[1,4,4,3]\n%y = conv2d(%x, @w) groups=3 pad_values=1,2,3 : f32[1,4,4,3]\noutput %y\n",
            "for one group only"
        ),
        (
            "alula 1\nconst @w : f32[4,1,1,3]\ninput %x : f32[1,4,4,3]\n%y = conv2d(%x, @w) pad_values=1,,3 : f32[1,4,4,4]\noutput %y\n",
            "is not a list of numbers"
        ),
        (
            "alula 1\ninput %x : f32[1,4,4,3]\n%y = avg_pool(%x) kernel=9 : f32[1,4,4,3]\noutput %y\n",
            "larger than the padded input"
        ),
    ])
    func refuses(text: String, reason: String) {
        do throws(GraphError) {
            _ = try Graph(text: text)
            Issue.record("accepted: \(text)")
        } catch {
            #expect(error.message.contains(reason), "\(error.message)")
        }
    }

    @Test func mutatedTextNeverCrashes() {
        var generator = SplitMix(seed: 7)
        let bytes = Array(sample.utf8)
        var accepted = 0
        for _ in 0..<20_000 {
            var mutant = bytes
            for _ in 0..<(1 + Int(generator.next() % 4)) {
                let place = Int(generator.next() % UInt64(mutant.count))
                switch generator.next() % 4 {
                case 0: mutant[place] = UInt8(truncatingIfNeeded: generator.next())
                case 1: mutant.remove(at: place)
                case 2: mutant.insert(mutant[Int(generator.next() % UInt64(mutant.count))], at: place)
                default: mutant[place] = UInt8(ascii: "0") + UInt8(generator.next() % 10)
                }
            }
            guard let graph = try? Graph(text: String(decoding: mutant, as: UTF8.self)) else { continue }
            accepted += 1
            // What was accepted is a graph that prints and reads back as itself.
            let text = graph.text
            #expect((try? Graph(text: text).text) == text)
        }
        #expect(accepted > 0)
    }
}

/// Sebastiano Vigna's SplitMix64: a small generator with a seed.
struct SplitMix {
    private var state: UInt64
    init(seed: UInt64) { state = seed }
    mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var z = state
        z = (z ^ (z >> 30)) &* 0xBF58_476D_1CE4_E5B9
        z = (z ^ (z >> 27)) &* 0x94D0_49BB_1331_11EB
        return z ^ (z >> 31)
    }
}

@Suite struct DecimalTests {
    @Test func everyFloatReadsBackAsItself() {
        var generator = SplitMix(seed: 3)
        var hexadecimal = 0
        for _ in 0..<200_000 {
            let value = Float(bitPattern: UInt32(truncatingIfNeeded: generator.next()))
            guard value.isFinite else { continue }
            let text = decimal(value)
            #expect(parseDecimal(text) == value)
            if text.hasPrefix("0x") { hexadecimal += 1 }
        }
        #expect(hexadecimal == 0)
    }

    @Test(arguments: [
        (Float(0.5), "0.5"), (1, "1"), (-2, "-2"), (0.01865, "0.01865"), (1e-12, "1e-12"), (1.5e20, "1.5e20"),
        (16_777_216, "16777216"), (0, "0"),
        (.leastNonzeroMagnitude, "1e-45"),
    ])
    func printsTheShortest(value: Float, text: String) { #expect(decimal(value) == text) }

    @Test(arguments: [
        "", "-", ".", "1e", "e5", "1.2.3", "inf", "nan", "1e999", "0x7f800000", "0x1ffffffff", " 1", "1 ",
    ])
    func refuses(text: String) { #expect(parseDecimal(text) == nil) }
}
