import ArgumentParser

/// The `alula` command: one verb a job.
struct AlulaTool: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "alula",
        abstract: "Converts, trains, quantizes and runs small transformers in 8 bits.",
        discussion: """
            A first try, without any download:

              alula create efficientformer-sample -o sample
              alula create image-sample -o sample/wing.png
              alula convert sample -o sample.alula
              alula quantize sample.alula -o sample.int8.alula --calibrate images:sample
              alula run sample.int8.alula sample/wing.png

            Exit codes: 0 success, 1 the work failed (one line on stderr says why), 2 wrong usage.
            """,
        version: "0.1.0",
        subcommands: [
            Convert.self, Quantize.self, Run.self, Evaluate.self, Bench.self, Inspect.self, Verify.self, Create.self,
            Export.self, Finetune.self,
        ])
}
