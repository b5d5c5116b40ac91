"""Measures one peer in a process of its own and prints one JSON object.

    worker.py RUNTIME MODEL INPUT.safetensors [--threads 1] [--runs 20] [--warmup 5]

The input is the first sample of the file's only tensor.
"""
from __future__ import annotations

import argparse
import json
import time
from pathlib import Path

import numpy as np
from safetensors import safe_open

from runtimes import RUNTIMES


def memory(field: str) -> int:
    """Bytes of a field of this process's status; unlike `ru_maxrss`, `VmHWM` is not inherited from the parent."""
    line = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith(field))
    return int(line.split()[1]) * 1024


def reset_peak() -> None:
    """Forget the peak of the imports (Linux: writing 5 to clear_refs sets VmHWM to VmRSS)."""
    Path("/proc/self/clear_refs").write_text("5")


def measure(name: str, model: Path, sample: np.ndarray, threads: int, runs: int, warmup: int) -> dict:
    runtime = RUNTIMES[name]()
    reset_peak()
    base = memory("VmRSS")
    start = time.perf_counter()
    run = runtime.load(model, threads)
    loaded = time.perf_counter()
    run(sample)
    first = time.perf_counter()
    for _ in range(warmup):
        run(sample)
    times, cpu = np.empty(runs), np.empty(runs)
    for i in range(runs):
        begin, begin_cpu = time.perf_counter(), time.process_time()
        run(sample)
        times[i], cpu[i] = time.perf_counter() - begin, time.process_time() - begin_cpu
    p50, p90 = np.percentile(times, (50, 90)) * 1e3
    return {"threads": threads, "runs": runs, "p50_ms": p50, "p90_ms": p90, "min_ms": times.min() * 1e3,
            "cpu_p50_ms": np.median(cpu) * 1e3, "cpu_min_ms": cpu.min() * 1e3,
            "load_ms": (loaded - start) * 1e3, "first_ms": (first - start) * 1e3,
            "peak_rss_bytes": memory("VmHWM"), "base_rss_bytes": base}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("runtime", choices=RUNTIMES)
    parser.add_argument("model", type=Path)
    parser.add_argument("input", type=Path)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--runs", type=int, default=20)
    parser.add_argument("--warmup", type=int, default=5)
    a = parser.parse_args()
    with safe_open(a.input, "numpy") as file:
        sample = np.ascontiguousarray(file.get_slice(next(iter(file.keys())))[:1])
    print(json.dumps(measure(a.runtime, a.model, sample, a.threads, a.runs, a.warmup)))


if __name__ == "__main__":
    main()
