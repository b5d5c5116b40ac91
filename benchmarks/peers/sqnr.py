"""Accuracy of int8 logits against f32, in dB, for Alula and its peers on the same photos.

    sqnr.py --models-dir DIR [--models efficientformer_l1_seed0] [--no-fixtures] [--alula PATH]

SQNR = 10 log10(sum f32^2 / sum (f32 - int8)^2) over all logits of the evaluation pictures; the f32 reference is ONNX
Runtime's. The bar for Alula is the best of ONNX Runtime's static per-channel QDQ with min-max calibration: with u8 and
with s8 activations, with its default int8 kernels, with its x64 precision option (u8 only), and with all graph
optimizations off (the quantized model's own arithmetic, in f32). These differ because without VNNI the u8 x s8 kernels
add pairs of products in saturating 16 bits.
Writes benchmarks/results/sqnr.json and .md, and leaves Alula's files where `bench.py` looks for them.
"""
from __future__ import annotations

import argparse
import importlib.util
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from safetensors.numpy import load_file

import alula
import common
from quantize import ONNX, input_of, quantize_onnx
from runtimes import RUNTIMES, ONNXRuntime, logits, model_file

FIXTURE_MODELS = ("hf_efficientformer_tiny_a", "hf_efficientformer_tiny_b", "timm_efficientformer_tiny")
# Activations, label, graph optimizations, exact products. The option for the last rejects s8 models.
ONNXRUNTIME_VARIANTS = (
    ("u8s8", "int8 kernels", True, False), ("u8s8", "int8 kernels, precise", True, True),
    ("u8s8", "not optimized", False, False),
    ("s8s8", "int8 kernels", True, False), ("s8s8", "not optimized", False, False),
)
FIXTURE_CALIBRATION, FIXTURE_EVALUATION = 16, 32
FIXTURE_SEED = 41  # as in fixtures/make/ort_quantized.py, so that tiny_a meets the same pictures as the stored models


@dataclass
class Case:
    """A model with its calibration and evaluation tensors (`calibration` and `evaluation`, written by `common`)."""
    name: str
    source: Path  # folder with the ONNX file and Hugging Face weights
    tensors: Path
    out: Path


def full_size_cases(models: Path, names: list[str], photos: Path) -> Iterator[Case]:
    common.photo_tensors(models / "calib", photos)
    for name in names:
        yield Case(name, models / name, models / "calib", models / "peers" / name)


def fixture_cases(fixtures: Path, models: Path) -> Iterator[Case]:
    """Tiny models: 16 synthetic pictures to calibrate; the fixture's own and more synthetic ones to evaluate."""
    spec = importlib.util.spec_from_file_location("fixture_common", fixtures / "make" / "common.py")
    synthetic = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(synthetic)
    for name in FIXTURE_MODELS:
        source, out = fixtures / name, models / "peers" / name
        _, (_, _, size, _) = input_of(source / ONNX)
        stored = load_file(source / "inputs.safetensors").values()
        own = next(tensor for tensor in stored if tensor.dtype == np.float32).transpose(0, 2, 3, 1)
        seeds = {"calibration": FIXTURE_SEED + 3000, "evaluation": FIXTURE_SEED + 5000}
        for kind, count in (("calibration", FIXTURE_CALIBRATION), ("evaluation", FIXTURE_EVALUATION)):
            images = common.normalize(synthetic.synthetic_images(count, size, size, seeds[kind]).numpy())
            if kind == "evaluation":
                images = np.concatenate([own, images])[:count]
            common.write_tensors(out, kind, images)
        yield Case(name, source, out, out)


def onnxruntime_variants(case: Case, reference: np.ndarray, images: np.ndarray) -> dict:
    calibration, rows, runtime = common.read_tensors(case.tensors, "calibration"), {}, ONNXRuntime()
    for types, kernels, optimize, precise in ONNXRUNTIME_VARIANTS:
        model = case.out / f"onnxruntime_{types}.onnx"
        if not model.exists():
            quantize_onnx(case.source / ONNX, model, calibration, signed_activations=types == "s8s8")
        result = logits(runtime.load(model, 1, optimize, precise), images)
        rows[f"onnxruntime {types}, {kernels}"] = common.sqnr(reference, result)
    return rows


def other_peers(case: Case, reference: np.ndarray, images: np.ndarray) -> dict:
    rows = {}
    for name in RUNTIMES:
        model = model_file(case.out, name, "int8")
        if name != "onnxruntime" and model.exists():
            rows[name] = common.sqnr(reference, logits(RUNTIMES[name]().load(model, 1), images))
    return rows


def alula_rows(case: Case, reference: np.ndarray, binary: Path, layout: str) -> dict:
    source = case.source / "hf" if (case.source / "hf").is_dir() else case.source
    samples = len(common.read_tensors(case.tensors, "calibration"))
    files = {kind: case.tensors / f"{kind}.{layout}.safetensors" for kind in ("calibration", "evaluation")}
    models = {precision: case.out / f"alula_{precision}.alula" for precision in ("f32", "int8")}
    rows = {}
    try:
        alula.convert(binary, source, models["f32"])
        alula.quantize(binary, models["f32"], models["int8"], files["calibration"], samples)
        for precision, model in models.items():
            result = alula.logits(binary, model, files["evaluation"], case.out / f"alula_{precision}.safetensors")
            rows[f"alula {precision}"] = common.sqnr(reference, result)
    except alula.AlulaFailed as failure:
        rows["alula int8"] = {"error": str(failure)}
    return rows


def evaluate(case: Case, binary: Path, layout: str) -> dict:
    case.out.mkdir(parents=True, exist_ok=True)
    images = common.read_tensors(case.tensors, "evaluation")
    reference = logits(ONNXRuntime().load(case.source / ONNX, 1), images)
    rows = onnxruntime_variants(case, reference, images)
    bar = max(row["sqnr_db"] for row in rows.values())
    rows |= other_peers(case, reference, images) | alula_rows(case, reference, binary, layout)
    reached = rows.get("alula int8", {}).get("sqnr_db")
    return {"calibration": len(common.read_tensors(case.tensors, "calibration")), "evaluation": len(images),
            "onnxruntime_best_db": bar, "alula_reaches_it": None if reached is None else reached >= bar, "rows": rows}


def markdown(results: dict) -> str:
    lines = []
    for name, result in results.items():
        lines += [f"### {name}", "", f"{result['calibration']} pictures to calibrate, {result['evaluation']} others to "
                  "evaluate.", "", "| | SQNR dB | centered dB | same top-1 | largest error |", "|---|---|---|---|---|"]
        for label, row in result["rows"].items():
            lines.append(f"| {label} | {row['error']} | | | |" if "error" in row else
                         f"| {label} | {row['sqnr_db']:.2f} | {row['sqnr_centered_db']:.2f} | "
                         f"{row['top1_agreement']:.0%} | {row['max_abs_error']:.3g} |")
        lines.append("")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models-dir", type=Path, required=True, help="folder that full_size.py wrote")
    parser.add_argument("--models", nargs="*", default=["efficientformer_l1_seed0"])
    parser.add_argument("--no-fixtures", action="store_true", help="leave the tiny fixtures out")
    parser.add_argument("--fixtures", type=Path, default=common.FIXTURES)
    parser.add_argument("--photos", type=Path, default=common.PHOTOS)
    parser.add_argument("--alula", type=Path, default=common.ALULA)
    parser.add_argument("--layout", choices=("nhwc", "nchw"), default="nhwc", help="of the tensors that Alula reads")
    parser.add_argument("--out", type=Path, default=common.RESULTS / "sqnr.json")
    a = parser.parse_args()
    cases = list(full_size_cases(a.models_dir, a.models, a.photos))
    if not a.no_fixtures:
        cases += fixture_cases(a.fixtures, a.models_dir)
    results = {}
    for case in cases:
        results[case.name] = evaluate(case, a.alula, a.layout)
        print(markdown({case.name: results[case.name]}), flush=True)
    header = {"machine": common.machine(), "commit": common.commit(),
              "versions": common.versions("onnxruntime", "openvino", "nncf", "executorch", "ai-edge-litert", "torchao")}
    a.out.parent.mkdir(parents=True, exist_ok=True)
    a.out.write_text(json.dumps({**header, "models": results}, indent=2) + "\n")
    a.out.with_suffix(".md").write_text(markdown(results))


if __name__ == "__main__":
    main()
