"""Draws the last results as pictures: results/latency.svg and results/memory.svg.

    plot.py [--results DIR]

One panel a model, one bar a runtime: int8 on one thread, from every results/peers_MODEL.json that is there.
"""
from __future__ import annotations

import argparse
import json
from pathlib import Path

import matplotlib

matplotlib.use("svg")
import matplotlib.pyplot as plt

import common

NAMES = {"alula": "Alula", "onnxruntime": "ONNX Runtime", "openvino": "OpenVINO", "executorch": "ExecuTorch",
         "litert": "LiteRT", "mnn": "MNN", "ncnn": "ncnn"}
OWN, OTHER, TEXT = "#c2410c", "#94a3b8", "#1e293b"
COLUMNS = 3


def title(path: Path) -> str:
    """`peers_efficientformer_l1.json` is EfficientFormer-L1."""
    family, variant = path.stem.removeprefix("peers_").split("_")[:2]
    families = {"efficientformer": "EfficientFormer", "edgevit": "EdgeViT"}
    return f"{families.get(family, family)}-{variant.upper()}"


def bars(path: Path, threads: int, key: str, unit: float) -> list[tuple[str, float]]:
    """Runtimes of a result, smallest value first; those that could not run are left out."""
    results = json.loads(path.read_text())["results"]
    rows = next((r["rows"] for r in results if r["precision"] == "int8" and r["threads"] == threads), {})
    return sorted(((name, row[key] / unit) for name, row in rows.items() if key in row), key=lambda bar: bar[1])


def draw(files: list[Path], heading: str, key: str, unit: float, out: Path) -> None:
    columns = min(COLUMNS, len(files))
    rows = -(-len(files) // columns)
    figure, axes = plt.subplots(rows, columns, figsize=(max(3.6 * columns, 7.2), 1.9 * rows + 0.5), squeeze=False)
    for axis in axes.flat[len(files):]:
        axis.axis("off")
    for axis, path in zip(axes.flat, files):
        values = bars(path, 1, key, unit)[::-1]
        names = [NAMES.get(name, name) for name, _ in values]
        axis.barh(names, [value for _, value in values], height=0.62,
                  color=[OWN if name == "alula" else OTHER for name, _ in values])
        for index, (name, value) in enumerate(values):
            axis.text(value, index, f" {value:.1f}", va="center", fontsize=8, color=TEXT,
                      fontweight="bold" if name == "alula" else "normal")
        axis.set_title(title(path), loc="left", fontsize=10, fontweight="bold", color=TEXT)
        axis.set_xlim(0, 1.18 * max((value for _, value in values), default=1))
        axis.spines[["top", "right", "bottom"]].set_visible(False)
        axis.spines["left"].set_color(OTHER)
        axis.tick_params(axis="y", length=0, labelsize=8, labelcolor=TEXT)
        axis.set_xticks([])
    figure.suptitle(heading, x=0.01, ha="left", fontsize=10, color=TEXT)
    figure.tight_layout()
    figure.savefig(out, metadata={"Date": None})
    plt.close(figure)
    print(out)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--results", type=Path, default=common.RESULTS)
    a = parser.parse_args()
    # Text stays text, and the same results give the same file.
    plt.rcParams |= {"svg.fonttype": "none", "svg.hashsalt": "alula", "font.family": "sans-serif"}
    files = sorted(a.results.glob("peers_*.json"), key=lambda path: (path.stem.split("_")[1] != "efficientformer",
                                                                       bars(path, 1, "p50_ms", 1)[0][1]))
    if not files:
        raise SystemExit(f"{a.results}: no peers_*.json; run bench.py first")
    machine = json.loads(files[0].read_text())["machine"]
    where = f"{machine['cpu']} (family {machine['family']}), 1 thread, batch 1"
    draw(files, f"int8 latency, milliseconds (median): {where}", "p50_ms", 1, a.results / "latency.svg")
    draw(files, f"int8 memory beyond the bare process, MB (peak): {where}", "peak_bytes", 1e6, a.results / "memory.svg")


if __name__ == "__main__":
    main()
