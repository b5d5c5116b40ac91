import Testing

/// Attention as exporters write it, with the moves that split and merge heads: 2 images, 5 tokens, 3 heads of 4 and 6.
@Suite struct AttentionFusionTests {
    /// From `%q[2,3,5,4]`, `%k[2,3,5,4]` and `%v[2,3,5,6]` on.
    private static let core = """
        %kt = transpose(%k) perm=0,1,3,2 : f32[2,3,4,5]
        %s = matmul(%q, %kt) : f32[2,3,5,5]
        %t = mul(%s, @is:0.5) : f32[2,3,5,5]
        %p = softmax(%t) axis=3 : f32[2,3,5,5]
        %o = matmul(%p, %v) : f32[2,3,5,6]
        %m = transpose(%o) perm=0,2,1,3 : f32[2,5,3,6]
        %y = reshape(%m) shape=2,5,18 : f32[2,5,18]
        output %y
        """

    @Test func perHeadSplit() throws {
        let text = """
            input %x : f32[2,5,8]
            %l = linear(%x, @w[42,8], bias=@b[42]) : f32[2,5,42]
            %h = reshape(%l) shape=2,5,3,14 : f32[2,5,3,14]
            %q0, %k0, %v0 = split(%h) axis=3 sizes=4,4,6 : f32[2,5,3,4], f32[2,5,3,4], f32[2,5,3,6]
            %q = transpose(%q0) perm=0,2,1,3 : f32[2,3,5,4]
            %k = transpose(%k0) perm=0,2,3,1 : f32[2,3,4,5]
            %v = transpose(%v0) perm=0,2,1,3 : f32[2,3,5,6]
            %s = matmul(%q, %k) : f32[2,3,5,5]
            %t = mul(%s, @is:0.5) : f32[2,3,5,5]
            %u = add(%t, @bias[3,5,5]) : f32[2,3,5,5]
            %p = softmax(%u) axis=3 : f32[2,3,5,5]
            %o = matmul(%p, %v) : f32[2,3,5,6]
            %m = transpose(%o) perm=0,2,1,3 : f32[2,5,3,6]
            %y = reshape(%m) shape=2,5,18 : f32[2,5,18]
            output %y
            """
        try expectFolding(text, leaves: ["linear", "attention"])
    }

    @Test(arguments: [
        // All axes in one transpose, then three squeezed parts.
        """
        %h = reshape(%l) shape=2,5,3,3,4 : f32[2,5,3,3,4]
        %a = transpose(%h) perm=2,0,3,1,4 : f32[3,2,3,5,4]
        %q0, %k0, %v0 = split(%a) axis=0 sizes=1,1,1 : f32[1,2,3,5,4], f32[1,2,3,5,4], f32[1,2,3,5,4]
        %q = reshape(%q0) shape=2,3,5,4 : f32[2,3,5,4]
        %k = reshape(%k0) shape=2,3,5,4 : f32[2,3,5,4]
        %v = reshape(%v0) shape=2,3,5,4 : f32[2,3,5,4]
        """,
        // Slices of the channels, then heads.
        """
        %q0 = slice(%l) axis=2 begin=0 end=12 : f32[2,5,12]
        %k0 = slice(%l) axis=2 begin=12 end=24 : f32[2,5,12]
        %v0 = slice(%l) axis=2 begin=24 end=36 : f32[2,5,12]
        %q1 = reshape(%q0) shape=2,5,3,4 : f32[2,5,3,4]
        %k1 = reshape(%k0) shape=2,5,3,4 : f32[2,5,3,4]
        %v1 = reshape(%v0) shape=2,5,3,4 : f32[2,5,3,4]
        %q = transpose(%q1) perm=0,2,1,3 : f32[2,3,5,4]
        %k = transpose(%k1) perm=0,2,1,3 : f32[2,3,5,4]
        %v = transpose(%v1) perm=0,2,1,3 : f32[2,3,5,4]
        """,
        // Channels first, and in the order v, q, k: the layer's rows are reordered.
        """
        %c = transpose(%l) perm=0,2,1 : f32[2,36,5]
        %h = reshape(%c) shape=2,3,3,4,5 : f32[2,3,3,4,5]
        %v0, %q0, %k0 = split(%h) axis=1 sizes=1,1,1 : f32[2,1,3,4,5], f32[2,1,3,4,5], f32[2,1,3,4,5]
        %v1 = reshape(%v0) shape=2,3,4,5 : f32[2,3,4,5]
        %q1 = reshape(%q0) shape=2,3,4,5 : f32[2,3,4,5]
        %k1 = reshape(%k0) shape=2,3,4,5 : f32[2,3,4,5]
        %q = transpose(%q1) perm=0,1,3,2 : f32[2,3,5,4]
        %k = transpose(%k1) perm=0,1,3,2 : f32[2,3,5,4]
        %v = transpose(%v1) perm=0,1,3,2 : f32[2,3,5,4]
        """,
    ])
    func oneLayerInAnyOrder(moves: String) throws {
        let core = Self.core.replacing("f32[2,3,5,6]", with: "f32[2,3,5,4]").replacing("[2,5,3,6]", with: "[2,5,3,4]")
            .replacing("2,5,18", with: "2,5,12")
        let text = "input %x : f32[2,5,8]\n%l = linear(%x, @w[36,8], bias=@b[36]) : f32[2,5,36]\n" + moves + "\n" + core
        try expectFolding(text, leaves: ["linear", "attention"])
    }

    @Test func threeLayersWithTheScaleOnEachSide() throws {
        let text = """
            input %x : f32[2,5,8]
            %ql = linear(%x, @wq[12,8]) : f32[2,5,12]
            %kl = linear(%x, @wk[12,8], bias=@bk[12]) : f32[2,5,12]
            %vl = linear(%x, @wv[18,8]) : f32[2,5,18]
            %q1 = reshape(%ql) shape=2,5,3,4 : f32[2,5,3,4]
            %k1 = reshape(%kl) shape=2,5,3,4 : f32[2,5,3,4]
            %v1 = reshape(%vl) shape=2,5,3,6 : f32[2,5,3,6]
            %q2 = transpose(%q1) perm=0,2,1,3 : f32[2,3,5,4]
            %k2 = transpose(%k1) perm=0,2,3,1 : f32[2,3,4,5]
            %v = transpose(%v1) perm=0,2,1,3 : f32[2,3,5,6]
            %q = mul(%q2, @is:0.70710677) : f32[2,3,5,4]
            %k = mul(%k2, @is:0.70710677) : f32[2,3,4,5]
            %s = matmul(%q, %k) : f32[2,3,5,5]
            %p = softmax(%s) axis=3 : f32[2,3,5,5]
            %o = matmul(%p, %v) : f32[2,3,5,6]
            %m = transpose(%o) perm=0,2,1,3 : f32[2,5,3,6]
            %r = reshape(%m) shape=10,18 : f32[10,18]
            %y = linear(%r, @wo[8,18]) : f32[10,8]
            output %y
            """
        let expected = ["linear", "linear", "linear", "attention", "reshape", "linear"]
        try expectFolding(text, leaves: expected)
    }

    /// Heads in the batch of a three-dimensional product.
    @Test func batchedProducts() throws {
        let text = """
            input %x : f32[1,5,8]
            %ql = linear(%x, @wq[12,8]) : f32[1,5,12]
            %kl = linear(%x, @wk[12,8]) : f32[1,5,12]
            %vl = linear(%x, @wv[12,8]) : f32[1,5,12]
            %q1 = reshape(%ql) shape=5,3,4 : f32[5,3,4]
            %k1 = reshape(%kl) shape=5,3,4 : f32[5,3,4]
            %v1 = reshape(%vl) shape=5,3,4 : f32[5,3,4]
            %q = transpose(%q1) perm=1,0,2 : f32[3,5,4]
            %k = transpose(%k1) perm=1,0,2 : f32[3,5,4]
            %v = transpose(%v1) perm=1,0,2 : f32[3,5,4]
            %s = matmul(%q, %k) transpose_b=true scale=0.5 : f32[3,5,5]
            %p = softmax(%s) axis=2 : f32[3,5,5]
            %o = matmul(%p, %v) : f32[3,5,4]
            %m = transpose(%o) perm=1,0,2 : f32[5,3,4]
            %y = reshape(%m) shape=1,5,12 : f32[1,5,12]
            output %y
            """
        try expectFolding(text, leaves: ["linear", "linear", "linear", "attention"])
    }

    /// A shifted window: a bias for each head, then a mask for each window, with the windows split off the batch in between.
    @Test func biasAndMaskOfWindows() throws {
        let text = """
            input %x : f32[4,5,8]
            %l = linear(%x, @w[24,8], bias=@b[24]) : f32[4,5,24]
            %h = reshape(%l) shape=4,5,3,2,4 : f32[4,5,3,2,4]
            %a = transpose(%h) perm=2,0,3,1,4 : f32[3,4,2,5,4]
            %q0, %k0, %v0 = split(%a) axis=0 sizes=1,1,1 : f32[1,4,2,5,4], f32[1,4,2,5,4], f32[1,4,2,5,4]
            %q1 = reshape(%q0) shape=4,2,5,4 : f32[4,2,5,4]
            %k = reshape(%k0) shape=4,2,5,4 : f32[4,2,5,4]
            %v = reshape(%v0) shape=4,2,5,4 : f32[4,2,5,4]
            %q = mul(%q1, @is:0.5) : f32[4,2,5,4]
            %s = matmul(%q, %k) transpose_b=true : f32[4,2,5,5]
            %t = add(%s, @relative[1,2,5,5]) : f32[4,2,5,5]
            %t1 = reshape(%t) shape=2,2,2,5,5 : f32[2,2,2,5,5]
            %t2 = add(%t1, @mask[1,2,1,5,5]) : f32[2,2,2,5,5]
            %t3 = reshape(%t2) shape=4,2,5,5 : f32[4,2,5,5]
            %p = softmax(%t3) axis=3 : f32[4,2,5,5]
            %o = matmul(%p, %v) : f32[4,2,5,4]
            %m = transpose(%o) perm=0,2,1,3 : f32[4,5,2,4]
            %y = reshape(%m) shape=4,5,8 : f32[4,5,8]
            output %y
            """
        try expectFolding(text, leaves: ["linear", "attention"])
    }

    /// Queries from fewer tokens; keys and values are halves of one layer, which becomes two.
    @Test func keysAndValuesOfOtherTokens() throws {
        let text = """
            input %x : f32[1,6,8]
            %few = slice(%x) axis=1 begin=0 end=6 step=3 : f32[1,2,8]
            %ql = linear(%few, @wq[8,8]) : f32[1,2,8]
            %kv = linear(%x, @wkv[20,8], bias=@bkv[20]) : f32[1,6,20]
            %q1 = reshape(%ql) shape=1,2,2,4 : f32[1,2,2,4]
            %kv1 = reshape(%kv) shape=1,6,2,10 : f32[1,6,2,10]
            %k1, %v1 = split(%kv1) axis=3 sizes=4,6 : f32[1,6,2,4], f32[1,6,2,6]
            %q = transpose(%q1) perm=0,2,1,3 : f32[1,2,2,4]
            %k = transpose(%k1) perm=0,2,3,1 : f32[1,2,4,6]
            %v = transpose(%v1) perm=0,2,1,3 : f32[1,2,6,6]
            %s = matmul(%q, %k) : f32[1,2,2,6]
            %p = softmax(%s) axis=3 : f32[1,2,2,6]
            %o = matmul(%p, %v) : f32[1,2,2,6]
            %m = transpose(%o) perm=0,2,1,3 : f32[1,2,2,6]
            %y = reshape(%m) shape=1,2,12 : f32[1,2,12]
            output %y
            """
        try expectFolding(text, leaves: ["slice", "linear", "linear", "linear", "attention"])
    }

    /// Queries that are normalized head by head are no view of a layer: they are merged by moves.
    @Test func normalizedQueries() throws {
        let text = """
            input %x : f32[2,5,12]
            %q1 = reshape(%x) shape=2,5,3,4 : f32[2,5,3,4]
            %q2 = layer_norm(%q1, @g[4], @b[4]) : f32[2,5,3,4]
            %q = transpose(%q2) perm=0,2,1,3 : f32[2,3,5,4]
            %k1 = layer_norm(%q, @g[4], @b[4]) : f32[2,3,5,4]
            %vl = linear(%x, @wv[18,12]) : f32[2,5,18]
            %v1 = reshape(%vl) shape=2,5,3,6 : f32[2,5,3,6]
            %v = transpose(%v1) perm=0,2,1,3 : f32[2,3,5,6]
            %k = mul(%k1, @is:1.5) : f32[2,3,5,4]
            """
        let names = try operators(afterFolding: text + "\n" + Self.core)
        #expect(names.contains("attention") && !names.contains("softmax"), "\(names)")
    }

    @Test(arguments: [
        // Heads are mixed between the product and the softmax.
        "%t = matmul(@mix[3,3], %r) : f32[3,50]\n",
        // The mask is computed.
        "%sum = mean(%r) axes=0 keep=true : f32[1,50]\n%t = add(%r, %sum) : f32[3,50]\n",
    ])
    func whatDoesNotFitStays(between: String) throws {
        let text = """
            input %x : f32[2,5,12]
            %q1 = reshape(%x) shape=2,5,3,4 : f32[2,5,3,4]
            %q = transpose(%q1) perm=0,2,1,3 : f32[2,3,5,4]
            %s = matmul(%q, %q) transpose_b=true : f32[2,3,5,5]
            %r0 = transpose(%s) perm=1,0,2,3 : f32[3,2,5,5]
            %r = reshape(%r0) shape=3,50 : f32[3,50]
            \(between)%u = reshape(%t) shape=3,2,5,5 : f32[3,2,5,5]
            %p = softmax(%u) axis=3 : f32[3,2,5,5]
            %w = transpose(%p) perm=1,0,2,3 : f32[2,3,5,5]
            %y = matmul(%w, %q) : f32[2,3,5,4]
            output %y
            """
        let names = try operators(afterFolding: text)
        #expect(names.contains("softmax") && !names.contains("attention"))
    }
}
