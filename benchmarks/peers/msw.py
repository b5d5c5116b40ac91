"""MSW-Transformer on one record of 10 s at 100 Hz: Alula beside ONNX Runtime and OpenVINO on the graph that Alula exports.

    msw.py --models-dir DIR [--threads 1] [--rounds 6] [--runs 15] [--alula PATH] [--records FOLDER]

Nobody publishes weights, so a fresh model (`alula create msw-transformer --seed 0`) stands for all of its shape. The peers get its
ONNX export in f32, and in int8 by three ways: Alula's own int8 graph exported as QDQ (`-exported`), and the f32 export quantized by
ONNX Runtime (`-u8s8`, `-s8s8`: static, min-max, per-channel) or NNCF. All are calibrated with the same 64 records of PTB-XL's train
split; 32 of its val split give the SQNR against ONNX Runtime's f32, so that no speed is bought with wrong results.
Latency is measured as in `bench.py`, in interleaved rounds of processes of their own.
Writes benchmarks/results/msw_transformer.json and .md.
"""
from __future__ import annotations

import argparse
import json
import os
import statistics
from pathlib import Path

import numpy as np
from safetensors.numpy import load_file, save_file

import alula
import common
from bench import PACKAGES, Contender, Setting, markdown, play, report
from quantize import quantize_onnx
from runtimes import RUNTIMES, ONNXRuntime, logits, model_file, runtime_of

NAME, RECORDS = "msw_transformer_seed0", common.REPOSITORY.parent / "shared" / "data" / "ptb-xl-norm100"
LENGTH, LEADS, CALIBRATION, EVALUATION = 1000, 12, 64, 32
PEERS = ("onnxruntime", "onnxruntime-exported", "onnxruntime-u8s8", "onnxruntime-s8s8", "openvino", "openvino-exported")


def records(folder: Path, split: str, count: int) -> np.ndarray:
    """The first records of a split of `ptb-xl-norm100` (thousandths, i16) as the model takes them: f32 [n, 1, 1000, 12]."""
    numbers = np.fromfile(folder / f"{split}.i16", "<i2", count * LENGTH * LEADS)
    return (numbers.astype(np.float32) / 1000).reshape(count, 1, LENGTH, LEADS)


def make(out: Path, binary: Path, folder: Path) -> None:
    """Every contender's files, and the records as safetensors."""
    samples = records(folder, "train", CALIBRATION)
    save_file({"signal": samples}, out / "calibration.safetensors")
    save_file({"signal": records(folder, "val", EVALUATION)}, out / "evaluation.safetensors")
    own = {precision: out / f"alula_{precision}.alula" for precision in ("f32", "int8")}
    exported = model_file(out, "onnxruntime", "f32"), model_file(out, "onnxruntime-exported", "int8")
    alula.call(binary, "create", "msw-transformer", "-o", own["f32"], "--seed", 0)
    alula.quantize(binary, own["f32"], own["int8"], out / "calibration.safetensors", CALIBRATION)
    for model, onnx in zip(own.values(), exported):
        alula.call(binary, "export", model, "--to", "onnx", "-o", onnx)
    for types in ("u8s8", "s8s8"):
        quantize_onnx(exported[0], model_file(out, f"onnxruntime-{types}", "int8"), samples, types == "s8s8")
    try:
        openvino(out, exported, samples)
    except Exception as error:  # a peer that cannot take the graph is a result too; bench says that its file is missing
        print(f"openvino: {type(error).__name__}: {error}".splitlines()[0][:300])


def openvino(out: Path, exported: tuple[Path, Path], samples: np.ndarray) -> None:
    import nncf
    import openvino as ov
    model = ov.convert_model(exported[0])
    ov.save_model(model, model_file(out, "openvino", "f32"), compress_to_fp16=False)
    ov.save_model(ov.convert_model(exported[1]), model_file(out, "openvino-exported", "int8"), compress_to_fp16=False)
    data = nncf.Dataset([samples[i:i + 1] for i in range(len(samples))])
    int8 = nncf.quantize(model, data, preset=nncf.QuantizationPreset.MIXED, model_type=nncf.ModelType.TRANSFORMER,
                         subset_size=len(samples))
    ov.save_model(int8, model_file(out, "openvino", "int8"), compress_to_fp16=False)


def accuracy(out: Path, binary: Path) -> dict[str, float]:
    """SQNR in dB of every int8 contender's logits."""
    samples = load_file(out / "evaluation.safetensors")["signal"]
    reference = logits(ONNXRuntime().load(model_file(out, "onnxruntime", "f32"), 1), samples)
    results = {"alula": alula.logits(binary, out / "alula_int8.alula", out / "evaluation.safetensors", out / "logits.safetensors")}
    for name in PEERS:
        model = model_file(out, name, "int8")
        if model.exists():
            results[name] = logits(RUNTIMES[runtime_of(name)]().load(model, 1), samples)
    return {name: common.sqnr(reference, result)["sqnr_db"] for name, result in results.items()}


def ratio_to_onnxruntime(samples: dict[Setting, dict[str, list[dict]]], threads: int) -> dict:
    """Alula's int8 p50 over that of ONNX Runtime's best model of any precision, of the same round: the median over rounds, and each."""
    peers = {f"{name} {setting.precision}": rounds for setting, by_name in samples.items() if setting.threads == threads
             for name, rounds in by_name.items() if runtime_of(name) == "onnxruntime"}
    own = samples[Setting("int8", threads)].get("alula")
    if not own or not peers:
        return {}
    best = min(peers, key=lambda name: statistics.median(r["p50_ms"] for r in peers[name]))
    by_round = [mine["p50_ms"] / theirs["p50_ms"] for mine, theirs in zip(own, peers[best])]
    least = min(r["min_ms"] for r in own) / min(r["min_ms"] for rounds in peers.values() for r in rounds)
    return {"best": best, "ratio": round(statistics.median(by_round), 3), "ratio_of_minima": round(least, 3),
            "rounds": [round(r, 3) for r in by_round]}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models-dir", type=Path, required=True)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=6)
    parser.add_argument("--runs", type=int, default=15, help="measured inferences of one round")
    parser.add_argument("--alula", type=Path, default=common.ALULA)
    parser.add_argument("--records", type=Path, default=RECORDS)
    parser.add_argument("--remake", action="store_true", help="make the models again")
    parser.add_argument("--make-only", action="store_true", help="make the models, measure nothing")
    parser.add_argument("--out", type=Path, default=common.RESULTS / "msw_transformer.json")
    a = parser.parse_args()
    if not (a.records / "train.i16").exists():
        print(f"SKIPPED benchmark of msw-transformer: {a.records} is missing")
        return
    out = a.models_dir / "peers" / NAME
    out.mkdir(parents=True, exist_ok=True)
    if a.remake or a.make_only or not (out / "sqnr.json").exists():
        make(out, a.alula, a.records)
        (out / "sqnr.json").write_text(json.dumps(accuracy(out, a.alula)))
    if a.make_only:
        return
    sqnr = json.loads((out / "sqnr.json").read_text())
    contenders = [Contender(name, out, out / "evaluation.safetensors", a.alula) for name in ("alula", *PEERS)]
    settings = [Setting(precision, a.threads) for precision in ("int8", "f32")]
    load = os.getloadavg()[0]
    samples, dropped = play(contenders, settings, a.rounds, a.runs)
    # Not every contender has a model of its own in both precisions.
    dropped = {key: reason for key, reason in dropped.items() if "is missing" not in reason}
    results, machine = report([c for c in contenders if any(c.name in s for s in samples.values())], samples, dropped), common.machine()
    against = ratio_to_onnxruntime(samples, a.threads)
    table = markdown(NAME, results, machine) + "\n"
    if against:
        table += (f"Alula's int8 over ONNX Runtime's best ({against['best']}): {against['ratio']:.2f} (p50), "
                  f"{against['ratio_of_minima']:.2f} (minima).\n\n")
    table += "SQNR of int8 logits against ONNX Runtime's f32: " + ", ".join(f"{n} {db:.1f} dB" for n, db in sqnr.items()) + ".\n"
    a.out.write_text(json.dumps({"model": NAME, "machine": machine, "commit": common.commit(),
                                 "load_average": [round(load, 1), round(os.getloadavg()[0], 1)],
                                 "versions": common.versions(*PACKAGES), "sqnr_db": sqnr, "against_onnxruntime": against,
                                 "results": results}, indent=2) + "\n")
    a.out.with_suffix(".md").write_text(table)
    print(table)


if __name__ == "__main__":
    main()
