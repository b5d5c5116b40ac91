"""Latency of Alula and its peers, measured side by side in the same run.

    bench.py --models-dir DIR [--model efficientformer_l1_seed0] [--threads 1,2] [--precisions int8,f32]
             [--rounds 6] [--runs 15] [--alula PATH]

Shared machines drift, so no number stands alone: a round starts every contender once, in turn, each in a process of
its own, in an order that rotates from round to round. A contender's p50 is the median of its rounds' medians, its
minimum that of all rounds; `ratio` is Alula's p50 divided by the best peer's of the same round, median over rounds.
CPU time (all threads) is shown too: with one thread it is what the latency would be if nothing else ran. Only Alula's
binary is not Python: a peer's memory is the process's peak minus what Python held before loading.
Writes benchmarks/results/peers_MODEL.json and .md.
"""
from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
from collections import defaultdict
from dataclasses import dataclass
from math import nan
from pathlib import Path

import alula
import common
from quantize import size
from runtimes import RUNTIMES, model_file, runtime_of

WORKER = Path(__file__).with_name("worker.py")
PACKAGES = ("onnxruntime", "openvino", "nncf", "executorch", "ai-edge-litert", "litert-torch", "ai-edge-quantizer",
            "torch", "torchao", "MNN", "ncnn", "numpy")


@dataclass(frozen=True)
class Setting:
    precision: str
    threads: int


@dataclass
class Contender:
    name: str
    folder: Path
    input: Path
    binary: Path

    def model(self, precision: str) -> Path:
        if self.name == "alula":
            return self.folder / f"alula_{precision}.alula"
        return model_file(self.folder, self.name, precision)

    def measure(self, setting: Setting, runs: int) -> dict:
        """One short round; raises RuntimeError with the reason where it cannot run."""
        model = self.model(setting.precision)
        if self.name == "alula":
            try:
                return alula.bench(self.binary, model, setting.threads, runs)
            except alula.AlulaFailed as failure:
                raise RuntimeError(failure) from None
        if not model.exists():
            raise RuntimeError(f"skipped: {model.name} is missing (make it first)")
        command = [sys.executable, WORKER, runtime_of(self.name), model, self.input, f"--threads={setting.threads}",
                   f"--runs={runs}"]
        result = subprocess.run(command, capture_output=True, text=True)
        if result.returncode:
            raise RuntimeError((result.stderr.strip().splitlines() or ["failed"])[-1][:300])
        return json.loads(result.stdout.splitlines()[-1])


def play(contenders: list[Contender], settings: list[Setting], rounds: int, runs: int) -> tuple[dict, dict]:
    """Rounds by setting and contender, and the reason of each contender that dropped out."""
    samples: dict[Setting, dict[str, list[dict]]] = {setting: defaultdict(list) for setting in settings}
    dropped: dict[tuple[Setting, str], str] = {}
    for turn in range(rounds):
        first = turn % len(contenders)
        for setting in settings:
            for contender in contenders[first:] + contenders[:first]:
                if (setting, contender.name) in dropped:
                    continue
                try:
                    measured = contender.measure(setting, runs)
                    samples[setting][contender.name].append(measured)
                except RuntimeError as reason:
                    samples[setting].pop(contender.name, None)
                    dropped[setting, contender.name] = str(reason)
                    print(f"{contender.name} {setting.precision}: {reason}", file=sys.stderr)
        print(f"round {turn + 1}/{rounds}, load {os.getloadavg()[0]:.1f}", file=sys.stderr)
    return samples, dropped


def summary(rounds: list[dict]) -> dict:
    def median(key: str) -> float:
        return round(statistics.median(r[key] for r in rounds), 3)

    peak = statistics.median(r["peak_rss_bytes"] - r.get("base_rss_bytes", 0) for r in rounds)
    extra = {key: median(key) for key in ("cpu_p50_ms",) if key in rounds[0]}
    extra |= {"cpu_min_ms": round(min(r["cpu_min_ms"] for r in rounds), 3)} if "cpu_min_ms" in rounds[0] else {}
    extra |= {key: rounds[-1][key] for key in ("arena_bytes", "weight_bytes", "macs", "int8_peak_share", "isa")
             if key in rounds[-1]}
    return {"rounds": len(rounds), "runs": sum(r["runs"] for r in rounds), "p50_ms": median("p50_ms"),
            "p90_ms": median("p90_ms"), "min_ms": round(min(r["min_ms"] for r in rounds), 3),
            "round_p50_ms": [round(r["p50_ms"], 2) for r in rounds], "load_ms": median("load_ms"),
            "first_ms": median("first_ms"), "peak_bytes": int(peak), **extra}


def ratio(samples: dict[str, list[dict]]) -> float | None:
    """Alula's p50 over the best peer's of the same round, median over rounds."""
    peers = [rounds for name, rounds in samples.items() if name != "alula"]
    if not samples.get("alula") or not peers:
        return None
    best = [min(r["p50_ms"] for r in same_round) for same_round in zip(*peers)]
    return round(statistics.median(a["p50_ms"] / b for a, b in zip(samples["alula"], best)), 3)


def report(contenders: list[Contender], samples: dict, dropped: dict) -> list[dict]:
    results = []
    for setting, by_name in samples.items():
        rows = {}
        for contender in contenders:
            if contender.name in by_name:
                rows[contender.name] = {**summary(by_name[contender.name]),
                                        "file_bytes": size(contender.model(setting.precision))}
            elif (setting, contender.name) in dropped:
                rows[contender.name] = {"error": dropped[setting, contender.name]}
        results.append({"precision": setting.precision, "threads": setting.threads, "ratio": ratio(by_name),
                        "rows": rows})
    return results


def markdown(model: str, results: list[dict], machine: dict) -> str:
    flags = ", ".join(flag for flag, present in machine["flags"].items() if present)
    lines = [f"# {model}", "", f"{machine['cpu']} (family {machine['family']}, model {machine['model']}; {flags}), "
             f"{machine['logical_cpus']} CPUs. Milliseconds, batch 1.", "",
             "| | precision | threads | p50 | p90 | min | CPU p50 | CPU min | first | peak MB | file MB |",
             "|---" * 11 + "|"]
    for result in results:
        for name, row in result["rows"].items():
            head = f"| {name} | {result['precision']} | {result['threads']} | "
            if "error" in row:
                lines.append(head + row["error"] + " |" * 8)
                continue
            times = [row.get(key, nan) for key in ("p50_ms", "p90_ms", "min_ms", "cpu_p50_ms", "cpu_min_ms")]
            sizes = [row[key] / 1e6 for key in ("peak_bytes", "file_bytes")]
            cells = [f"{ms:.1f}" for ms in times] + [f"{row['first_ms']:.0f}"] + [f"{mb:.1f}" for mb in sizes]
            lines.append(head + " | ".join(cells) + " |")
    ratios = [f"{r['precision']} with {r['threads']} threads {r['ratio']:.2f}" for r in results if r["ratio"]]
    if ratios:
        lines += ["", "Alula's p50 over the best peer's: " + ", ".join(ratios) + "."]
    return "\n".join(lines) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models-dir", type=Path, required=True, help="folder that full_size.py wrote")
    parser.add_argument("--model", default="efficientformer_l1_seed0")
    parser.add_argument("--threads", default="1,2")
    parser.add_argument("--precisions", default="int8,f32")
    parser.add_argument("--contenders", default=",".join(["alula", *RUNTIMES]))
    parser.add_argument("--rounds", type=int, default=6)
    parser.add_argument("--runs", type=int, default=15, help="measured inferences of one round")
    parser.add_argument("--alula", type=Path, default=common.ALULA)
    parser.add_argument("--photos", type=Path, default=common.PHOTOS)
    parser.add_argument("--out", type=Path)
    a = parser.parse_args()
    common.photo_tensors(a.models_dir / "calib", a.photos)
    image = a.models_dir / "calib" / "evaluation.nchw.safetensors"
    contenders = [Contender(name, a.models_dir / "peers" / a.model, image, a.alula) for name in a.contenders.split(",")]
    settings = [Setting(p, int(t)) for p in a.precisions.split(",") for t in a.threads.split(",")]
    load = os.getloadavg()[0]
    samples, dropped = play(contenders, settings, a.rounds, a.runs)
    results, machine = report(contenders, samples, dropped), common.machine()
    out = a.out or common.RESULTS / f"peers_{a.model.split('_seed')[0]}.json"
    table = markdown(a.model, results, machine)
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_text(json.dumps({"model": a.model, "machine": machine, "commit": common.commit(),
                               "load_average": [round(load, 1), round(os.getloadavg()[0], 1)],
                               "versions": common.versions(*PACKAGES), "results": results}, indent=2) + "\n")
    out.with_suffix(".md").write_text(table)
    print(table)


if __name__ == "__main__":
    main()
