import AlulaGraph

/// Reads the signal files of a header.
struct WFDBReader {
    var verifies: Bool

    /// Signals of one file, which holds frame after frame.
    private struct Group {
        var file: String
        var format: WFDBFormat
        var byteOffset: Int
        var members: [Int]
        var samplesPerFrame: Int
    }

    /// A record of one segment.
    func record(_ header: WFDBHeader, _ folder: inout WFDBFolder) throws(WFDBError) -> WFDBRecord {
        let groups = try groups(header)
        var frames = header.frames
        var decoded = [[Int32]](repeating: [], count: header.signals.count)
        for group in groups {
            let bytes = try folder.bytes(group.file)
            let found = try samples(of: group, bytes, frames, header, &folder)
            for (place, samples) in zip(group.members, found.samples) { decoded[place] = samples }
            frames = frames ?? found.frames
        }
        let length = frames ?? 0
        var signals: [WFDBRecord.Signal] = []
        for (index, signal) in header.signals.enumerated() {
            var samples = decoded[index]
            if verifies, signal.format != nil { try verify(samples, signal) }
            if let format = signal.format, signal.skew > 0 {
                samples = WFDBReader.shifted(samples, by: signal.skew, signal.samplesPerFrame, format)
            }
            // A signal without samples costs as much once it is used.
            let count =
                signal.format == nil
                ? try folder.reserve(length, signal.samplesPerFrame, header.record) : samples.count
            try folder.reservePart(header.record)
            let part = WFDBRecord.Part(
                format: signal.format, gain: signal.gain, baseline: signal.baseline, samples: samples, count: count)
            signals.append(
                WFDBRecord.Signal(
                    name: signal.description, units: signal.units, samplesPerFrame: signal.samplesPerFrame,
                    parts: [part]))
        }
        return WFDBRecord(header: header, frames: length, signals: signals)
    }

    private func groups(_ header: WFDBHeader) throws(WFDBError) -> [Group] {
        var groups: [Group] = []
        var places: [String: Int] = [:]
        for (index, signal) in header.signals.enumerated() {
            guard let format = signal.format else { continue }
            let place = places[signal.file] ?? groups.count
            if place == groups.count {
                places[signal.file] = place
                groups.append(
                    Group(
                        file: signal.file, format: format, byteOffset: signal.byteOffset, members: [],
                        samplesPerFrame: 0))
            }
            guard groups[place].format == format else {
                throw WFDBError(signal.file, .segment(reason: "is said to be in two formats at once"))
            }
            groups[place].members.append(index)
            groups[place].samplesPerFrame += signal.samplesPerFrame
        }
        return groups
    }

    // MARK: One file

    private func samples(
        of group: Group, _ bytes: Bytes, _ frames: Int?, _ header: WFDBHeader, _ folder: inout WFDBFolder
    ) throws(WFDBError) -> (frames: Int, samples: [[Int32]]) {
        if group.format.flacBits != nil { return try compressed(group, bytes, frames, header, &folder) }
        let available = max(0, bytes.count - group.byteOffset)
        let length = frames ?? (group.format.sampleCount(available) ?? 0) / group.samplesPerFrame
        let count = try folder.reserve(length, group.samplesPerFrame, group.file)
        guard let needed = group.format.byteCount(count), group.byteOffset <= bytes.count, needed <= available else {
            let (sum, overflow) = group.byteOffset.addingReportingOverflow(group.format.byteCount(count) ?? Int.max)
            let total = overflow ? Int.max : sum
            throw WFDBError(group.file, .truncated(needed: total, found: bytes.count))
        }
        let flat = [Int32](unsafeUninitializedCapacity: count) { target, initialized in
            let whole = UnsafeMutableBufferPointer(rebasing: target[..<count])
            bytes.withUnsafeBytes { source in
                group.format.unpack(UnsafeRawBufferPointer(rebasing: source[group.byteOffset...]), into: whole)
            }
            initialized = count
        }
        var start = 0
        var samples: [[Int32]] = []
        for member in group.members {
            let signal = header.signals[member]
            var values = WFDBReader.picked(flat, from: start, signal.samplesPerFrame, every: group.samplesPerFrame)
            if group.format == .differences8 {
                WFDBReader.sum(&values, from: Int32(truncatingIfNeeded: signal.initialValue ?? 0))
            }
            samples.append(values)
            start += signal.samplesPerFrame
        }
        return (length, samples)
    }

    private func compressed(
        _ group: Group, _ bytes: Bytes, _ frames: Int?, _ header: WFDBHeader, _ folder: inout WFDBFolder
    ) throws(WFDBError) -> (frames: Int, samples: [[Int32]]) {
        func failure(_ reason: String) -> WFDBError { WFDBError(group.file, .flac(reason: reason)) }
        let perFrame = header.signals[group.members[0]].samplesPerFrame
        guard group.members.allSatisfy({ header.signals[$0].samplesPerFrame == perFrame }) else {
            throw failure("its signals have different numbers of samples a frame")
        }
        guard group.members.count <= 8 else { throw failure("it has \(group.members.count) signals, at most 8 fit") }
        let count = try folder.reserve(frames ?? 0, group.samplesPerFrame, group.file) / group.members.count
        let limit = frames == nil ? folder.samplesLeft / group.members.count : count
        let channels: [[Int32]]
        do throws(FLACProblem) {
            channels = try bytes.withUnsafeBytes { (source) throws(FLACProblem) in
                guard group.byteOffset <= source.count else { throw FLACProblem(reason: "it is too short") }
                return try FLACDecoder.decode(
                    UnsafeRawBufferPointer(rebasing: source[group.byteOffset...]), channels: group.members.count,
                    bits: group.format.flacBits ?? 0, limit: limit)
            }
        } catch { throw failure(error.reason) }
        let found = channels[0].count
        if frames == nil { _ = try folder.reserve(found, group.members.count, group.file) }
        guard frames == nil || found == count else { throw failure("it has \(found) samples a signal, not \(count)") }
        return (found / perFrame, channels.map { Array($0.prefix(found / perFrame * perFrame)) })
    }

    /// One signal's samples out of interleaved frames.
    private static func picked(_ flat: [Int32], from start: Int, _ width: Int, every total: Int) -> [Int32] {
        let frames = flat.count / total
        return [Int32](unsafeUninitializedCapacity: frames * width) { target, initialized in
            flat.withUnsafeBufferPointer { flat in
                var place = 0
                for frame in 0..<frames {
                    for offset in 0..<width {
                        target[place] = flat[frame * total + start + offset]
                        place += 1
                    }
                }
            }
            initialized = frames * width
        }
    }

    /// First differences become samples.
    private static func sum(_ values: inout [Int32], from start: Int32) {
        var sample = start
        for index in values.indices {
            sample &+= values[index]
            values[index] = sample
        }
    }

    /// The signal `skew` frames later in its file; the frames that the file no longer has are missing.
    private static func shifted(
        _ samples: [Int32], by skew: Int, _ samplesPerFrame: Int, _ format: WFDBFormat
    ) -> [Int32] {
        let (offset, overflow) = skew.multipliedReportingOverflow(by: samplesPerFrame)
        let cut = overflow ? samples.count : min(samples.count, offset)
        return samples[cut...] + Array(repeating: format.missing ?? 0, count: cut)
    }

    private func verify(_ samples: [Int32], _ signal: WFDBHeader.Signal) throws(WFDBError) {
        guard let stated = signal.checksum else { return }
        var sum: UInt16 = 0
        for sample in samples { sum &+= UInt16(truncatingIfNeeded: sample) }
        guard sum == UInt16(truncatingIfNeeded: stated) else {
            let computed = stated < 0 ? Int(Int16(bitPattern: sum)) : Int(sum)
            throw WFDBError(
                signal.file, .checksum(signal: signal.description, stated: stated, computed: computed))
        }
    }
}

// MARK: - Segments

extension WFDBReader {
    /// A record of several segments, joined signal by signal; in a variable layout by name.
    func joined(_ header: WFDBHeader, _ folder: inout WFDBFolder) throws(WFDBError) -> WFDBRecord {
        let file = header.record + ".hea"
        func failure(_ reason: String) -> WFDBError { WFDBError(file, .segment(reason: reason)) }
        var segments = header.segments[...]
        var signals: [WFDBRecord.Signal] = []
        var isVariable = false
        if let first = segments.first, first.frames == 0, let name = first.record {
            segments.removeFirst()
            isVariable = true
            signals = try folder.header(name + ".hea").signals.map {
                WFDBRecord.Signal(
                    name: $0.description, units: $0.units, samplesPerFrame: $0.samplesPerFrame, parts: [])
            }
        }
        var total = 0
        for segment in segments {
            let (sum, overflow) = total.addingReportingOverflow(segment.frames)
            guard !overflow else { throw failure("has segments of impossible length") }
            total = sum
            // A gap costs as much memory as samples once the record is used.
            guard let name = segment.record else {
                for index in signals.indices { try addGap(segment.frames, to: &signals[index], file, &folder) }
                continue
            }
            let part = try folder.header(name + ".hea")
            guard part.segments.isEmpty else { throw failure("has segment \(name), which has segments itself") }
            let record = try self.record(part, &folder)
            guard record.frames == segment.frames else {
                throw failure("says that segment \(name) has \(segment.frames) frames; it has \(record.frames)")
            }
            if signals.isEmpty, !isVariable {
                signals = try leading(record, gap: total - segment.frames, file, &folder)
            } else {
                try append(record, to: &signals, isVariable: isVariable, file, &folder)
            }
        }
        if let stated = header.frames, stated != total {
            throw failure("says that it has \(stated) frames, its segments have \(total)")
        }
        return WFDBRecord(header: header, frames: total, signals: signals)
    }

    /// The signals of a fixed layout's first segment, behind the gap that may precede it.
    private func leading(
        _ record: WFDBRecord, gap: Int, _ file: String, _ folder: inout WFDBFolder
    ) throws(WFDBError) -> [WFDBRecord.Signal] {
        var signals = record.signals
        guard gap > 0 else { return signals }
        for index in signals.indices {
            let parts = signals[index].parts
            signals[index].parts = []
            try addGap(gap, to: &signals[index], file, &folder)
            signals[index].parts += parts
        }
        return signals
    }

    private func append(
        _ record: WFDBRecord, to signals: inout [WFDBRecord.Signal], isVariable: Bool, _ file: String,
        _ folder: inout WFDBFolder
    ) throws(WFDBError) {
        let segment = record.header.record
        if !isVariable, record.signals.count != signals.count {
            throw WFDBError(file, .segment(reason: "has segment \(segment) with another number of signals"))
        }
        var isFilled = [Bool](repeating: false, count: signals.count)
        for (index, signal) in record.signals.enumerated() {
            let place = isVariable ? signals.firstIndex { $0.name == signal.name } : index
            guard let place, !isFilled[place] else {
                throw WFDBError(
                    file, .segment(reason: "has segment \(segment) with signal \(signal.name), which its layout lacks"))
            }
            guard signals[place].samplesPerFrame == signal.samplesPerFrame else {
                throw WFDBError(
                    file, .segment(reason: "has segment \(segment) with other samples a frame of \(signal.name)"))
            }
            signals[place].parts += signal.parts
            isFilled[place] = true
        }
        for place in signals.indices where !isFilled[place] {
            try addGap(record.frames, to: &signals[place], file, &folder)
        }
    }

    private func addGap(
        _ frames: Int, to signal: inout WFDBRecord.Signal, _ file: String, _ folder: inout WFDBFolder
    ) throws(WFDBError) {
        let count = try folder.reserve(frames, signal.samplesPerFrame, file)
        try folder.reservePart(file)
        signal.parts.append(
            WFDBRecord.Part(format: nil, gain: WFDBHeader.defaultGain, baseline: 0, samples: [], count: count))
    }
}
