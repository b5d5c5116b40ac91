import Foundation
import Testing

/// What scripts rely on in `bench`; no test looks at how fast anything is.
@Suite struct BenchTests {
    static let keys = [
        "threads", "runs", "p50_ms", "p90_ms", "min_ms", "first_ms", "load_ms", "arena_bytes", "weight_bytes",
        "peak_rss_bytes", "macs",
        "int8_peak_share", "isa",
    ]

    @Test func everyKeyIsThere() throws {
        let sample = try Sample.shared()
        let json = try Tool.succeed("bench", sample.quantized, "--runs", "3", "--threads", "1,2", "--json").json()
        for key in BenchTests.keys { #expect(json[key] != nil && !(json[key] is NSNull), "\(key)") }
        let results = try #require(json["results"] as? [[String: Any]])
        #expect(results.map { $0["threads"] as? Int } == [1, 2])
        #expect(json["threads"] as? Int == 1 && json["runs"] as? Int == 3)
        for key in BenchTests.keys { #expect(results[1][key] != nil, "\(key)") }
        let (p50, p90, least) = (json["p50_ms"] as? Double, json["p90_ms"] as? Double, json["min_ms"] as? Double)
        #expect(try #require(least) <= #require(p50) && #require(p50) <= #require(p90))
        #expect(try #require(json["peak_rss_bytes"] as? Int) > 1 << 20)
        #expect(try #require(json["first_ms"] as? Double) > 0)
    }

    @Test func aFloatModelHasNoShareOfTheInt8Peak() throws {
        let json = try Tool.succeed("bench", try Sample.shared().model, "--runs", "1", "--warmup", "0", "--json").json()
        #expect(json["int8_peak_share"] is NSNull)
    }

    @Test func theProfileCoversEveryStep() throws {
        let sample = try Sample.shared()
        let json = try Tool.succeed("bench", sample.quantized, "--runs", "21", "--profile", "--json").json()
        let steps = try #require(json["steps"] as? [[String: Any]])
        #expect(steps.count > 20)
        for key in [
            "operator", "result", "kernel", "isa", "macs", "bytes", "us", "gmacs_per_s", "peak_share", "share", "limit",
        ] {
            #expect(steps.allSatisfy { $0[key] != nil }, "\(key)")
        }
        let total = steps.compactMap { $0["share"] as? Double }.reduce(0, +)
        #expect(abs(total - 1) < 0.01)
        let (sum, wall) = (try #require(json["steps_ms"] as? Double), try #require(json["profile_ms"] as? Double))
        #expect(sum > 0 && sum < 1.5 * wall)
        let text = try Tool.succeed("bench", sample.quantized, "--runs", "3", "--profile").text
        #expect(text.contains("limited by") && text.contains("the steps add up to"))
    }

    @Test func theTraceHoldsEveryStepOfEveryThread() throws {
        let sample = try Sample.shared()
        let folder = try TemporaryFolder()
        let path = folder.file("trace.json")
        let json = try Tool.succeed(
            "bench", sample.quantized, "--runs", "2", "--threads", "1,2", "--trace", path, "--profile", "--json"
        ).json()
        let results = try #require(json["results"] as? [[String: Any]])
        let steps = try results.map { try #require($0["steps"] as? [Any]).count }
        let trace = try #require(
            try JSONSerialization.jsonObject(with: Data(contentsOf: URL(fileURLWithPath: path))) as? [String: Any])
        let events = try #require(trace["traceEvents"] as? [[String: Any]]).filter { $0["ph"] as? String == "X" }
        #expect(events.count == steps[0] + 2 * steps[1])
        for thread in 0..<2 {
            let own = events.filter { $0["pid"] as? Int == 2 && $0["tid"] as? Int == thread }
            let begins = own.compactMap { $0["ts"] as? Double }
            let ends = zip(begins, own.compactMap { $0["dur"] as? Double }).map { $0 + $1 }
            #expect(begins.count == steps[1] && zip(ends, begins.dropFirst()).allSatisfy { $0 <= $1 + 0.01 })
        }
    }

    @Test func theRunnerAgreesWithTheTool() throws {
        let sample = try Sample.shared()
        let json = try Tool.runner("bench", sample.quantized, "--runs", "3").json()
        for key in BenchTests.keys where key != "int8_peak_share" {
            #expect(json[key] != nil && !(json[key] is NSNull), "\(key)")
        }

        let inspected = try #require(
            try Tool.succeed("inspect", sample.quantized, "--json").json()["inputs"] as? [[String: Any]])
        let count = try #require(inspected[0]["shape"] as? [Int]).reduce(1, *)
        let input = Data((0..<count).map { UInt8(truncatingIfNeeded: $0 &* 31) })
        let folder = try TemporaryFolder()
        let raw = try folder.write("input.raw", input)
        let fromFile = try Tool.runner("run", sample.quantized, "--raw", raw, "--top", "1")
        let fromStandardInput = try Tool.runner("run", sample.quantized, "--top", "1", input: input)
        #expect(fromFile.status == 0 && fromFile.output == fromStandardInput.output)
        let top =
            try Tool.alula(["run", sample.quantized, "-", "--top", "1", "--json"], input: input).json()["inputs"]
            as? [[String: Any]]
        let best = try #require(top?.first?["top"] as? [[String: Any]])
        #expect(fromFile.text.hasPrefix("\(try #require(best[0]["index"] as? Int))\t"))
    }
}
