import CFLAC

/// Decodes the FLAC stream of a signal file with libFLAC: one channel a signal.
struct FLACDecoder {
    /// What the callbacks share with the caller.
    private final class State {
        let bytes: UnsafeRawBufferPointer
        var position = 0
        var channels: [[Int32]]
        let bits: Int
        let limit: Int
        var problem: String?

        init(_ bytes: UnsafeRawBufferPointer, channels: Int, bits: Int, limit: Int) {
            (self.bytes, self.bits, self.limit) = (bytes, bits, limit)
            self.channels = Array(repeating: [], count: channels)
        }

        static func of(_ client: UnsafeMutableRawPointer?) -> State {
            Unmanaged<State>.fromOpaque(client!).takeUnretainedValue()
        }

        func append(
            _ frame: FLAC__Frame, _ buffer: UnsafePointer<UnsafePointer<FLAC__int32>?>
        ) -> FLAC__StreamDecoderWriteStatus {
            let header = frame.header
            if Int(header.channels) != channels.count {
                problem = "it has \(header.channels) channels, not \(channels.count)"
            } else if Int(header.bits_per_sample) != bits {
                problem = "it has \(header.bits_per_sample) bits a sample, not \(bits)"
            }
            guard problem == nil else { return FLAC__STREAM_DECODER_WRITE_STATUS_ABORT }
            let count = min(Int(header.blocksize), limit - channels[0].count)
            for channel in channels.indices {
                channels[channel].append(contentsOf: UnsafeBufferPointer(start: buffer[channel], count: count))
            }
            return FLAC__STREAM_DECODER_WRITE_STATUS_CONTINUE
        }
    }

    /// The samples of each channel, `limit` at most.
    ///
    /// - Throws: a text that says what is wrong with the stream.
    static func decode(
        _ bytes: UnsafeRawBufferPointer, channels: Int, bits: Int, limit: Int
    ) throws(FLACProblem) -> [[Int32]] {
        guard let decoder = FLAC__stream_decoder_new() else { throw FLACProblem(reason: "not enough memory") }
        defer { FLAC__stream_decoder_delete(decoder) }
        let state = State(bytes, channels: channels, bits: bits, limit: limit)
        let client = Unmanaged.passUnretained(state).toOpaque()
        let status = FLAC__stream_decoder_init_stream(
            decoder, readBytes, nil, nil, nil, nil, writeFrame, nil, noteError, client)
        guard status == FLAC__STREAM_DECODER_INIT_STATUS_OK else {
            throw FLACProblem(reason: "the decoder did not start (\(status.rawValue))")
        }
        return try withExtendedLifetime(state) { () throws(FLACProblem) in
            while state.problem == nil, state.channels[0].count < limit {
                guard FLAC__stream_decoder_process_single(decoder) != 0 else {
                    throw FLACProblem(reason: state.problem ?? "it cannot be decoded")
                }
                let now = FLAC__stream_decoder_get_state(decoder)
                if now == FLAC__STREAM_DECODER_END_OF_STREAM || now == FLAC__STREAM_DECODER_ABORTED { break }
            }
            if let problem = state.problem { throw FLACProblem(reason: problem) }
            return state.channels
        }
    }

    private static let readBytes: FLAC__StreamDecoderReadCallback = { _, buffer, count, client in
        let state = State.of(client)
        guard let buffer, let count else { return FLAC__STREAM_DECODER_READ_STATUS_ABORT }
        let length = min(count.pointee, state.bytes.count - state.position)
        count.pointee = length
        guard length > 0 else { return FLAC__STREAM_DECODER_READ_STATUS_END_OF_STREAM }
        UnsafeMutableRawPointer(buffer).copyMemory(from: state.bytes.baseAddress! + state.position, byteCount: length)
        state.position += length
        return FLAC__STREAM_DECODER_READ_STATUS_CONTINUE
    }

    private static let writeFrame: FLAC__StreamDecoderWriteCallback = { _, frame, buffer, client in
        guard let frame, let buffer else { return FLAC__STREAM_DECODER_WRITE_STATUS_ABORT }
        return State.of(client).append(frame.pointee, buffer)
    }

    private static let noteError: FLAC__StreamDecoderErrorCallback = { _, status, client in
        let state = State.of(client)
        if state.problem == nil { state.problem = "it is damaged (libFLAC error \(status.rawValue))" }
    }
}

struct FLACProblem: Error {
    var reason: String
}
