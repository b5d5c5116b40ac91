/// A buffer to be placed in the arena: its size, and the first and last step at which its content matters.
package struct PlannedBuffer: Sendable, Equatable {
    package var size: Int
    package var first: Int
    package var last: Int

    package init(size: Int, first: Int, last: Int) { (self.size, self.first, self.last) = (size, first, last) }

    package func isLive(with other: PlannedBuffer) -> Bool { first <= other.last && other.first <= last }
}

/// Where each buffer lies in the arena.
package struct MemoryPlan: Sendable, Equatable {
    package var offsets: [Int]
    /// Size of the arena.
    package var byteCount: Int
    /// The most bytes that are live at one step: no plan can need less.
    package var lowerBound: Int
}

/// Lays buffers out in one arena so that those that are live together do not overlap.
///
/// Kernels read up to 64 bytes beyond a buffer's end without using them. Those bytes may belong to other buffers; only
/// the arena's own end needs readable bytes after it.
package enum Planner {
    package static let alignment = 64

    /// How often the buffers on top of the arena are tried first.
    private static let refinements = 48

    /// Tries several orders, then improves the best of them; keeps the smallest arena. The same buffers always give the
    /// same plan.
    package static func plan(_ buffers: [PlannedBuffer]) -> MemoryPlan {
        var aligned = buffers
        for index in aligned.indices { aligned[index].size = roundUp(aligned[index].size, alignment) }
        let bound = lowerBound(aligned)
        var best: MemoryPlan?
        var bestOrder: [Int] = []
        let keys: [(PlannedBuffer) -> Int] = [
            { -$0.size },
            { -$0.size * ($0.last - $0.first + 1) },
            { $0.first },
            { $0.first - $0.last },
        ]
        for key in keys {
            let order = aligned.indices.sorted {
                let (left, right) = (key(aligned[$0]), key(aligned[$1]))
                if left != right { return left < right }
                return aligned[$0].size != aligned[$1].size ? aligned[$0].size > aligned[$1].size : $0 < $1
            }
            for tight in [false, true] {
                let plan = place(aligned, order, tight: tight, bound: bound)
                if plan.byteCount < best?.byteCount ?? Int.max { (best, bestOrder) = (plan, order) }
                if plan.byteCount == bound { return plan }
            }
        }
        return refine(best!, aligned, bestOrder)
    }

    /// A buffer that ends at the arena's end found no lower gap because others came before it: so it comes first, and
    /// again for the next one. Equal stages of a network, whose wide buffers all start at 0 when placed by size, get out
    /// of each other's way like this.
    private static func refine(_ first: MemoryPlan, _ buffers: [PlannedBuffer], _ firstOrder: [Int]) -> MemoryPlan {
        var (best, plan, order) = (first, first, firstOrder)
        for _ in 0..<refinements where best.byteCount > best.lowerBound {
            guard let place = order.lastIndex(where: { plan.offsets[$0] + buffers[$0].size == plan.byteCount }) else {
                break
            }
            order.insert(order.remove(at: place), at: 0)
            plan = self.place(buffers, order, tight: false, bound: first.lowerBound)
            if plan.byteCount < best.byteCount { best = plan }
        }
        return best
    }

    /// Places buffers one by one, in the lowest gap that holds them or, if `tight`, in the smallest one.
    private static func place(_ buffers: [PlannedBuffer], _ order: [Int], tight: Bool, bound: Int) -> MemoryPlan {
        var plan = MemoryPlan(offsets: [Int](repeating: 0, count: buffers.count), byteCount: 0, lowerBound: bound)
        var placed: [Int] = []  // by offset
        for index in order {
            let buffer = buffers[index]
            var end = 0
            var chosen: (offset: Int, gap: Int)?
            for other in placed where buffers[other].isLive(with: buffer) {
                let gap = plan.offsets[other] - end
                if gap >= buffer.size, gap < chosen?.gap ?? Int.max {
                    chosen = (end, gap)
                    if !tight { break }
                }
                end = max(end, plan.offsets[other] + buffers[other].size)
            }
            let offset = chosen?.offset ?? end
            plan.offsets[index] = offset
            plan.byteCount = max(plan.byteCount, offset + buffer.size)
            placed.insert(index, at: insertionPoint(placed, plan.offsets, offset))
        }
        return plan
    }

    private static func insertionPoint(_ placed: [Int], _ offsets: [Int], _ offset: Int) -> Int {
        var (low, high) = (0, placed.count)
        while low < high {
            let middle = (low + high) / 2
            if offsets[placed[middle]] <= offset { low = middle + 1 } else { high = middle }
        }
        return low
    }

    private static func lowerBound(_ buffers: [PlannedBuffer]) -> Int {
        // Live bytes grow only where a buffer begins. Ends sort after beginnings at the same step, for both count
        // there.
        var events: [(step: Int, isEnd: Bool, size: Int)] = []
        for buffer in buffers {
            events.append((buffer.first, false, buffer.size))
            events.append((buffer.last, true, buffer.size))
        }
        events.sort { $0.step != $1.step ? $0.step < $1.step : !$0.isEnd && $1.isEnd }
        var (live, most) = (0, 0)
        for event in events {
            live += event.isEnd ? -event.size : event.size
            most = max(most, live)
        }
        return most
    }
}
