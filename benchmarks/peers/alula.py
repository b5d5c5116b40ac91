"""Calls the `alula` command line for the other scripts; says so, and is skipped, where the binary is missing."""
from __future__ import annotations

import json
import subprocess
from pathlib import Path

import numpy as np
from safetensors.numpy import load_file


class AlulaFailed(Exception):
    """The one line in which `alula` says what failed."""


def call(binary: Path, *arguments: object) -> str:
    if not binary.exists():
        raise AlulaFailed(f"skipped: {binary.name} is not built (swift build -c release)")
    result = subprocess.run([binary, *map(str, arguments)], capture_output=True, text=True)
    if result.returncode:
        lines = result.stderr.strip().splitlines() or [f"exit {result.returncode}"]
        raise AlulaFailed(f"alula {arguments[0]}: {lines[-1][:300]}")
    return result.stdout


def convert(binary: Path, source: Path, model: Path) -> None:
    call(binary, "convert", source, "-o", model)


def quantize(binary: Path, model: Path, int8: Path, tensors: Path, samples: int) -> None:
    call(binary, "quantize", model, "-o", int8, "--calibrate", f"tensors:{tensors}", "--samples", samples)


def logits(binary: Path, model: Path, tensors: Path, result: Path) -> np.ndarray:
    """Logits [n, classes] of every sample in a safetensors file."""
    call(binary, "run", model, tensors, "--output", result)
    return load_file(result)["logits"]


def bench(binary: Path, model: Path, threads: int, runs: int) -> dict:
    if not model.exists():
        raise AlulaFailed(f"skipped: {model.name} is missing (run sqnr.py first)")
    report = json.loads(call(binary, "bench", model, "--threads", threads, "--runs", runs, "--json"))
    return report[0] if isinstance(report, list) else report
