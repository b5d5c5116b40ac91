import AlulaGraph
import Foundation

extension Importer {
    /// An operand of an Einsum with one letter for each axis.
    private struct Lettered {
        var view: View
        var letters: [Character]

        func size(_ letter: Character) -> Int { view.shape[letters.firstIndex(of: letter)!] }
    }

    /// Einsum as sums, transposes and one matrix product for each further operand.
    mutating func einsum(_ node: NodeContext) throws -> View {
        let equation = try node.string("equation", default: "").filter { $0 != " " }
        let views = try node.inputs.indices.map { try view(node.input($0)) }
        var (terms, output) = try letters(equation, views)
        var operands = try zip(views, terms).map { try diagonal(Lettered(view: $0, letters: $1)) }
        terms = operands.map(\.letters)
        var current = operands.removeFirst()
        while true {
            // What nobody needs any more is summed up before the next product.
            let needed = Set(output + operands.flatMap(\.letters))
            current = try summed(current, keeping: needed)
            guard !operands.isEmpty else { break }
            let next = operands.removeFirst()
            let rest = Set(output + operands.flatMap(\.letters))
            current = try multiplied(current, summed(next, keeping: rest.union(current.letters)), rest)
        }
        guard Set(output) == Set(current.letters), output.count == current.letters.count else {
            throw LoweringProblem.unsupported(needed: "equation \(equation.quotedForMessage)")
        }
        var result = current.view.transposed(output.map { current.letters.firstIndex(of: $0)! })
        result.type = views[0].type
        return result
    }

    /// The letters of each operand and of the result. An ellipsis stands for axes that broadcast, which get letters of their own.
    private func letters(_ equation: String, _ views: [View]) throws -> ([[Character]], [Character]) {
        let invalid = LoweringProblem.invalid("equation \(equation.quotedForMessage) does not fit its inputs")
        let sides = equation.components(separatedBy: "->")
        let texts = sides[0].split(separator: ",", omittingEmptySubsequences: false).map(String.init)
        guard sides.count <= 2, texts.count == views.count else { throw invalid }
        let extra = Array("0123456789")
        let expand = { (text: String, rank: Int?) throws -> [Character] in
            guard let dots = text.range(of: "...") else { return Array(text) }
            let count = rank.map { $0 - (text.count - 3) } ?? widest(texts, views)
            guard count >= 0, count <= extra.count else { throw invalid }
            return Array(text[..<dots.lowerBound]) + Array(extra.suffix(count)) + Array(text[dots.upperBound...])
        }
        let terms = try zip(texts, views).map { text, view in
            let letters = try expand(text, view.rank)
            guard letters.count == view.rank, letters.allSatisfy({ $0.isLetter || $0.isNumber }) else { throw invalid }
            return letters
        }
        if sides.count == 2 { return (terms, try expand(sides[1], nil)) }
        // Without an arrow: what an ellipsis stands for, then letters that occur once, in order.
        let all = terms.joined()
        let once = Set(all.filter { letter in letter.isLetter && all.filter { $0 == letter }.count == 1 }).sorted()
        let dotted = Set(all.filter(\.isNumber)).sorted()
        return (terms, dotted + once)
    }

    private func widest(_ texts: [String], _ views: [View]) -> Int {
        zip(texts, views).map { $0.contains("...") ? $1.rank - ($0.count - 3) : 0 }.max() ?? 0
    }

    /// A letter that occurs twice in one operand means its diagonal.
    private mutating func diagonal(_ operand: Lettered) throws -> Lettered {
        var result = operand
        while let (first, second) = repeatedAxes(result.letters) {
            let rank = result.view.rank
            let others = (0..<rank).filter { $0 != first && $0 != second }
            let size = result.view.shape[first]
            guard size == result.view.shape[second] else { throw LoweringProblem.invalid("a diagonal is not square") }
            let moved = result.view.transposed([first, second] + others)
            let rest = Array(moved.shape.dropFirst(2))
            let rows = try reshaped(moved, to: [size * size] + rest)
            result = Lettered(
                view: try gathered(rows, axis: 0, (0..<size).map { $0 * (size + 1) }),
                letters: [result.letters[first]] + others.map { result.letters[$0] })
        }
        return result
    }

    private func repeatedAxes(_ letters: [Character]) -> (Int, Int)? {
        for (second, letter) in letters.enumerated() {
            if let first = letters[..<second].firstIndex(of: letter) { return (first, second) }
        }
        return nil
    }

    private mutating func summed(_ operand: Lettered, keeping needed: Set<Character>) throws -> Lettered {
        let axes = operand.letters.indices.filter { !needed.contains(operand.letters[$0]) }
        guard !axes.isEmpty else { return operand }
        return Lettered(
            view: try reduce(.sum, operand.view, axes: axes, keepsAxes: false),
            letters: operand.letters.filter { needed.contains($0) })
    }

    private mutating func multiplied(_ a: Lettered, _ b: Lettered, _ needed: Set<Character>) throws -> Lettered {
        let shared = a.letters.filter { b.letters.contains($0) }
        let batch = shared.filter { needed.contains($0) }
        let inner = shared.filter { !needed.contains($0) }
        let rows = a.letters.filter { !shared.contains($0) }
        let columns = b.letters.filter { !shared.contains($0) }
        // An axis of size 1 broadcasts against the other operand's.
        for letter in shared where a.size(letter) != b.size(letter) {
            throw LoweringProblem.unsupported(
                needed: "axes of size \(a.size(letter)) and \(b.size(letter)) with one letter")
        }
        let count = { (letters: [Character], operand: Lettered) in letters.reduce(1) { $0 * operand.size($1) } }
        let batches = batch.map { a.size($0) }
        let left = try reshaped(
            a.view.transposed((batch + rows + inner).map { a.letters.firstIndex(of: $0)! }),
            to: batches + [count(rows, a), count(inner, a)])
        let right = try reshaped(
            b.view.transposed((batch + inner + columns).map { b.letters.firstIndex(of: $0)! }),
            to: batches + [count(inner, b), count(columns, b)])
        let shape = batches + rows.map { a.size($0) } + columns.map { b.size($0) }
        let product = try view(product(.view(left), .view(right)))
        return Lettered(view: try reshaped(product, to: shape), letters: batch + rows + columns)
    }
}
