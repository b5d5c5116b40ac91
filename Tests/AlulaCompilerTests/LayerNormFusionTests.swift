import Testing

@Suite struct LayerNormFusionTests {
    private static let center = """
        input %x : f32[2,3,4,8]
        %m = mean(%x) axes=3 keep=true : f32[2,3,4,1]
        %d = sub(%x, %m) : f32[2,3,4,8]

        """

    @Test(arguments: [
        (
            "TorchScript, opset 13",
            """
            %p = pow(%d, @is:2) : F
            %v = mean(%p) axes=3 keep=true : R
            %e = add(%v, @is:0.000001) : R
            %s = sqrt(%e) : R
            %n = div(%d, %s) : F
            %g = mul(%n, @gamma[8]) : F
            %y = add(%g, @beta[8]) : F
            """
        ),
        (
            "variance of another difference, reciprocal of the root",
            """
            %d2 = sub(%x, %m) : F
            %p = mul(%d2, %d2) : F
            %v = mean(%p) axes=3 keep=true : R
            %e = add(@is:0.000001, %v) : R
            %s = sqrt(%e) : R
            %r = reciprocal(%s) : R
            %n = mul(%r, %d) : F
            %g = mul(@gamma[1,1,1,8], %n) : F
            %y = add(@beta[1,1,1,8], %g) : F
            """
        ),
        (
            "scaled deviation",
            """
            %p = mul(%d, %d) : F
            %v = mean(%p) axes=3 keep=true : R
            %e = add(%v, @is:0.000001) : R
            %s = rsqrt(%e) : R
            %g = mul(%s, @gamma[8]) : F
            %n = mul(%d, %g) : F
            %y = add(%n, @beta[8]) : F
            """
        ),
        (
            "without scale and shift",
            """
            %p = pow(%d, @is:2) : F
            %v = mean(%p) axes=3 keep=true : R
            %e = add(%v, @is:0.000001) : R
            %s = pow(%e, @is:-0.5) : R
            %y = mul(%d, %s) : F
            """
        ),
    ])
    func becomesOneOperator(name: String, body: String) throws {
        let rest = body.replacing("F\n", with: "f32[2,3,4,8]\n").replacing("R\n", with: "f32[2,3,4,1]\n")
        let last = rest.hasSuffix(": F") ? String(rest.dropLast()) + "f32[2,3,4,8]" : rest
        try expectFolding(Self.center + last + "\noutput %y", leaves: ["layer_norm"])
    }

    @Test func aMeanOverAnotherAxisIsNone() throws {
        let text = """
            input %x : f32[4,8]
            %m = mean(%x) axes=0 keep=true : f32[1,8]
            %d = sub(%x, %m) : f32[4,8]
            %p = mul(%d, %d) : f32[4,8]
            %v = mean(%p) axes=0 keep=true : f32[1,8]
            %e = add(%v, @is:0.001) : f32[1,8]
            %s = sqrt(%e) : f32[1,8]
            %y = div(%d, %s) : f32[4,8]
            output %y
            """
        #expect(try !operators(afterFolding: text).contains("layer_norm"))
    }
}
