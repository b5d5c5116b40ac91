import Testing

/// Compositions that exporters write for functions of one number. `%x` is the input, `%y` the result.
@Suite struct FunctionFusionTests {
    @Test(arguments: [
        (
            "TorchScript GELU", "gelu",
            """
            %a = div(%x, @is:1.4142135381698608) : S
            %b = erf(%a) : S
            %c = add(%b, @is:1) : S
            %d = mul(%x, %c) : S
            %y = mul(%d, @is:0.5) : S
            """
        ),
        (
            "dynamo GELU", "gelu",
            """
            %a = div(%x, @is:1.4142135381698608) : S
            %b = erf(%a) : S
            %c = add(%b, @is:1) : S
            %d = mul(@is:0.5, %c) : S
            %y = mul(%x, %d) : S
            """
        ),
        (
            "TensorFlow GELU", "gelu",
            """
            %h = mul(@is:0.5, %x) : S
            %a = mul(%x, @is:0.70710677) : S
            %b = erf(%a) : S
            %c = add(@is:1, %b) : S
            %y = mul(%h, %c) : S
            """
        ),
        (
            "GELU by tanh", "gelu_tanh",
            """
            %p = pow(%x, @is:3) : S
            %q = mul(%p, @is:0.044715) : S
            %r = add(%x, %q) : S
            %s = mul(%r, @is:0.7978845608) : S
            %t = tanh(%s) : S
            %u = add(%t, @is:1) : S
            %h = mul(%x, @is:0.5) : S
            %y = mul(%h, %u) : S
            """
        ),
        (
            "GELU by tanh, the cube by products", "gelu_tanh",
            """
            %p = mul(%x, %x) : S
            %p3 = mul(%p, %x) : S
            %q = mul(@is:0.044715, %p3) : S
            %r = add(%q, %x) : S
            %s = mul(%r, @is:0.7978845608) : S
            %t = tanh(%s) : S
            %u = add(%t, @is:1) : S
            %v = mul(%x, %u) : S
            %y = mul(%v, @is:0.5) : S
            """
        ),
        (
            "SiLU", "silu",
            """
            %a = sigmoid(%x) : S
            %y = mul(%x, %a) : S
            """
        ),
        (
            "SiLU by the exponential", "silu",
            """
            %n = negate(%x) : S
            %e = exp(%n) : S
            %o = add(%e, @is:1) : S
            %y = div(%x, %o) : S
            """
        ),
        (
            "hard-swish of a clip and a division", "hard_swish",
            """
            %a = add(%x, @is:3) : S
            %b = max(%a, @is:0) : S
            %c = min(%b, @is:6) : S
            %d = div(%c, @is:6) : S
            %y = mul(%x, %d) : S
            """
        ),
        (
            "hard-swish, divided last", "hard_swish",
            """
            %a = add(%x, @is:3) : S
            %b = relu6(%a) : S
            %c = mul(%x, %b) : S
            %y = mul(%c, @is:0.16666667) : S
            """
        ),
        (
            "hard-swish of a hard-sigmoid", "hard_swish",
            """
            %a = hard_sigmoid(%x) : S
            %y = mul(%a, %x) : S
            """
        ),
        (
            "hard-sigmoid", "hard_sigmoid",
            """
            %a = add(%x, @is:3) : S
            %b = min(%a, @is:6) : S
            %c = max(%b, @is:0) : S
            %y = div(%c, @is:6) : S
            """
        ),
        (
            "relu6", "relu6",
            """
            %a = min(%x, @is:6) : S
            %y = max(%a, @is:0) : S
            """
        ),
        ("relu", "relu", "%y = max(%x, @is:0) : S"),
        ("leaky ReLU", "leaky_relu", "%a = mul(%x, @is:0.01) : S\n%y = max(%x, %a) : S"),
        (
            "sigmoid by the exponential", "sigmoid",
            """
            %n = mul(%x, @is:-1) : S
            %e = exp(%n) : S
            %o = add(@is:1, %e) : S
            %y = reciprocal(%o) : S
            """
        ),
    ])
    func becomesOneOperator(name: String, function: String, body: String) throws {
        let text = "input %x : S\n\(body)\noutput %y".replacing("S\n", with: "f32[1,5,4,3]\n")
        try expectFolding(text, leaves: [function])
    }

    @Test func quickGELUHasItsScalesInTheLayersAround() throws {
        let text = """
            input %x : f32[2,6]
            %h = linear(%x, @w[8,6], bias=@b[8]) : f32[2,8]
            %s = mul(%h, @is:1.702) : f32[2,8]
            %t = sigmoid(%s) : f32[2,8]
            %q = mul(%h, %t) : f32[2,8]
            %y = linear(%q, @v[4,8]) : f32[2,4]
            output %y
            """
        try expectFolding(text, leaves: ["linear", "silu", "linear"])
    }

    @Test(arguments: [
        // A clip that is no ReLU 6, a hard-sigmoid of other slope, a leaky ReLU.
        ("%a = min(%x, @is:60) : S\n%y = max(%a, @is:0) : S", ["min", "relu"]),
        ("%a = mul(%x, @is:0.2) : S\n%b = add(%a, @is:0.5) : S\n%y = max(%b, @is:0) : S", ["mul", "add", "relu"]),
        ("%a = mul(%x, @is:0.3) : S\n%y = max(%x, %a) : S", ["mul", "max"]),
    ])
    func keepsWhatNoOperatorComputes(body: String, expected: [String]) throws {
        let text = "input %x : S\n\(body)\noutput %y".replacing("S\n", with: "f32[1,5,4,3]\n")
        try expectFolding(text, leaves: expected)
    }

    @Test func aPartThatOthersReadIsKept() throws {
        let text = """
            input %x : f32[2,6]
            %s = sigmoid(%x) : f32[2,6]
            %q = mul(%x, %s) : f32[2,6]
            %y = sub(%q, %s) : f32[2,6]
            output %y
            """
        try expectFolding(text, leaves: ["sigmoid", "silu", "sub"])
    }
}
