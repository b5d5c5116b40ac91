import AlulaCompiler
import AlulaGraph
import Testing

/// Where transposes go that do not cancel as they stand.
@Suite struct TransposeTests {
    /// Tokens change between channels first and last around each residual, as a block written for `[C,T]` exports.
    @Test func residualsKeepTheOrderOfTheLayersBetweenThem() throws {
        let body = """
            input %x : f32[8,6]
            %t0 = transpose(%x) perm=1,0 : f32[6,8]
            %n0 = layer_norm(%t0, @g0[8], @b0[8]) : f32[6,8]
            %l0 = linear(%n0, @w0[8,8]) : f32[6,8]
            %t1 = transpose(%l0) perm=1,0 : f32[8,6]
            %r0 = add(%x, %t1) : f32[8,6]
            %t2 = transpose(%r0) perm=1,0 : f32[6,8]
            %n1 = layer_norm(%t2, @g1[8], @b1[8]) : f32[6,8]
            %l1 = linear(%n1, @w1[8,8]) : f32[6,8]
            %t3 = transpose(%l1) perm=1,0 : f32[8,6]
            %r1 = add(%r0, %t3) : f32[8,6]
            %t4 = transpose(%r1) perm=1,0 : f32[6,8]
            %y = linear(%t4, @w2[3,8]) : f32[6,3]
            output %y
            """
        let expected = ["transpose", "layer_norm", "linear", "layer_norm", "linear", "linear"]
        try expectFolding(body, leaves: expected)
    }

    @Test func layersOverTheLastAxisLetTheOthersPass() throws {
        let body = """
            input %x : f32[4,5,8]
            %t0 = transpose(%x) perm=1,0,2 : f32[5,4,8]
            %n = layer_norm(%t0, @g[8], @b[8]) : f32[5,4,8]
            %l = linear(%n, @w[8,8]) : f32[5,4,8]
            %s = mul(%l, @is:0.5) : f32[5,4,8]
            %e = exp(%s) : f32[5,4,8]
            %t1 = transpose(%e) perm=1,0,2 : f32[4,5,8]
            %y = softmax(%t1) axis=2 : f32[4,5,8]
            output %y
            """
        try expectFolding(body, leaves: ["layer_norm", "linear", "exp", "softmax"])
    }

    /// Nothing is won where the operand would have to be transposed instead.
    @Test func transposesStayBehindWhatNeedsOneInFront() throws {
        let body = """
            input %x : f32[4,6]
            %e = exp(%x) : f32[4,6]
            %t = transpose(%e) perm=1,0 : f32[6,4]
            %y = softmax(%t) axis=1 : f32[6,4]
            output %y
            """
        try expectFolding(body, leaves: ["exp", "transpose", "softmax"])
    }

    /// What others read in the old order is not computed twice.
    @Test func resultsThatAreReadInBothOrdersStay() throws {
        let body = """
            input %x : f32[4,6]
            %t0 = transpose(%x) perm=1,0 : f32[6,4]
            %e = exp(%t0) : f32[6,4]
            %t1 = transpose(%e) perm=1,0 : f32[4,6]
            %s = softmax(%e) axis=1 : f32[6,4]
            %u = linear(%t1, @w[5,6]) : f32[4,5]
            %v = linear(%s, @v[5,4]) : f32[6,5]
            %y = matmul(%v, %u) transpose_b=true : f32[6,4]
            output %y
            """
        try expectFolding(body, leaves: ["transpose", "exp", "transpose", "softmax", "linear", "linear", "matmul"])
    }

    /// A group norm over a whole image, written for channels first: the elements of a row may lie in any order.
    @Test func normsOverWholeImagesTakeThemAsTheyLie() throws {
        let body = """
            input %x : f32[2,3,4,8]
            %t0 = transpose(%x) perm=0,3,1,2 : f32[2,8,3,4]
            %r0 = reshape(%t0) shape=2,1,96 : f32[2,1,96]
            %n = layer_norm(%r0, @is:1[96], @is:0[96]) : f32[2,1,96]
            %r1 = reshape(%n) shape=2,8,3,4 : f32[2,8,3,4]
            %t1 = transpose(%r1) perm=0,2,3,1 : f32[2,3,4,8]
            %y = conv2d(%t1, @w[8,1,1,8]) : f32[2,3,4,8]
            output %y
            """
        try expectFolding(body, leaves: ["reshape", "layer_norm", "reshape", "conv2d"])
    }

    /// Attention whose batch lies inside of its tokens reads one transposed operand.
    @Test func batchesInsideOfTokensAreOneTranspose() throws {
        let body = """
            input %x : f32[6,2,8]
            %l = linear(%x, @w[24,8]) : f32[6,2,24]
            %r = reshape(%l) shape=6,2,3,2,4 : f32[6,2,3,2,4]
            %t = transpose(%r) perm=2,1,3,0,4 : f32[3,2,2,6,4]
            %q0, %k0, %v0 = split(%t) axis=0 sizes=1,1,1 : f32[1,2,2,6,4], f32[1,2,2,6,4], f32[1,2,2,6,4]
            %q = reshape(%q0) shape=2,2,6,4 : f32[2,2,6,4]
            %k = reshape(%k0) shape=2,2,6,4 : f32[2,2,6,4]
            %v = reshape(%v0) shape=2,2,6,4 : f32[2,2,6,4]
            %qk = matmul(%q, %k) transpose_b=true : f32[2,2,6,6]
            %s = softmax(%qk) axis=3 : f32[2,2,6,6]
            %a = matmul(%s, %v) : f32[2,2,6,4]
            %m = transpose(%a) perm=2,0,1,3 : f32[6,2,2,4]
            %y = reshape(%m) shape=6,2,8 : f32[6,2,8]
            output %y
            """
        try expectFolding(body, leaves: ["linear", "transpose", "attention", "transpose"])
    }
}
