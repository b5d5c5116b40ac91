import AlulaCompiler
import AlulaGraph
import Testing

/// Chains of moves, before and after. Every case also compares the numbers.
@Suite struct LayoutTests {
    @Test(arguments: [
        // Channels first and back: pixels become tokens without a transpose.
        (
            """
            input %x : f32[1,2,3,4]
            %a = transpose(%x) perm=0,3,1,2 : f32[1,4,2,3]
            %b = reshape(%a) shape=1,4,6 : f32[1,4,6]
            %c = transpose(%b) perm=0,2,1 : f32[1,6,4]
            output %c
            """, ["reshape"]
        ),
        // Heads split and merged again.
        (
            """
            input %x : f32[2,5,12]
            %a = reshape(%x) shape=2,5,3,4 : f32[2,5,3,4]
            %b = transpose(%a) perm=0,2,1,3 : f32[2,3,5,4]
            %c = transpose(%b) perm=0,2,1,3 : f32[2,5,3,4]
            %d = reshape(%c) shape=2,5,12 : f32[2,5,12]
            %e = relu(%d) : f32[2,5,12]
            output %e
            """, ["relu"]
        ),
        // A channel shuffle stays one transpose.
        (
            """
            input %x : f32[1,2,2,6]
            %a = reshape(%x) shape=1,2,2,2,3 : f32[1,2,2,2,3]
            %b = transpose(%a) perm=0,1,2,4,3 : f32[1,2,2,3,2]
            %c = transpose(%b) perm=0,2,1,3,4 : f32[1,2,2,3,2]
            %d = transpose(%c) perm=0,2,1,3,4 : f32[1,2,2,3,2]
            %e = reshape(%d) shape=1,2,2,6 : f32[1,2,2,6]
            output %e
            """, ["reshape", "transpose", "reshape"]
        ),
        // Only axes of size 1 move.
        (
            """
            input %x : f32[3,1,5]
            %a = transpose(%x) perm=1,0,2 : f32[1,3,5]
            output %a
            """, ["reshape"]
        ),
        // Two transposes are one.
        (
            """
            input %x : f32[2,3,4]
            %a = transpose(%x) perm=1,2,0 : f32[3,4,2]
            %b = transpose(%a) perm=1,0,2 : f32[4,3,2]
            output %b
            """, ["transpose"]
        ),
        // The first is read by another: only the second can go.
        (
            """
            input %x : f32[2,3]
            %a = transpose(%x) perm=1,0 : f32[3,2]
            %b = transpose(%a) perm=1,0 : f32[2,3]
            %c = matmul(%b, %a) : f32[2,2]
            output %c
            """, ["transpose", "matmul"]
        ),
        // Heads of windows: axes of the middle are split and joined across each other.
        (
            """
            input %x : f32[1,4,6,5]
            %a = reshape(%x) shape=1,2,2,3,2,5 : f32[1,2,2,3,2,5]
            %b = transpose(%a) perm=0,1,3,2,4,5 : f32[1,2,3,2,2,5]
            %c = reshape(%b) shape=6,4,5 : f32[6,4,5]
            %d = reshape(%c) shape=1,2,3,2,2,5 : f32[1,2,3,2,2,5]
            %e = transpose(%d) perm=0,1,3,2,4,5 : f32[1,2,2,3,2,5]
            %f = reshape(%e) shape=1,4,6,5 : f32[1,4,6,5]
            %g = relu(%f) : f32[1,4,6,5]
            output %g
            """, ["relu"]
        ),
    ])
    func leavesTheShortestChain(text: String, expected: [String]) throws {
        try expectFolding(text, leaves: expected, tolerance: 0)
    }

    /// Random chains keep every element in its place.
    @Test(arguments: 0..<40) func keepsElementsInPlace(seed: Int) throws {
        var state = UInt64(seed)
        let draw = { (bound: Int) -> Int in
            state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
            return Int(state >> 33) % bound
        }
        var shape = [2, 6, 4, 3]
        var text = "input %v0 : f32[2,6,4,3]\n"
        let count = 1 + draw(6)
        for step in 0..<count {
            if draw(2) == 0 {
                var order = Array(shape.indices)
                for place in order.indices { order.swapAt(place, draw(order.count)) }
                shape = order.map { shape[$0] }
                text += "%v\(step + 1) = transpose(%v\(step)) perm=" + order.map(String.init).joined(separator: ",")
            } else {
                let shapes = [[2, 6, 12], [144], [4, 36], [2, 2, 3, 4, 3], [12, 1, 12], [1, 6, 4, 6], [3, 3, 16]]
                shape = shapes[draw(shapes.count)]
                text += "%v\(step + 1) = reshape(%v\(step)) shape=" + shape.map(String.init).joined(separator: ",")
            }
            text += " : f32[" + shape.map(String.init).joined(separator: ",") + "]\n"
        }
        let names = try operators(afterFolding: text + "output %v\(count)", tolerance: 0)
        #expect(names.filter { $0 == "transpose" }.count <= text.split(separator: "transpose").count - 1)
    }
}
