"""Makes each peer's f32 and int8 model file from one folder that `full_size.py` wrote.

    quantize.py --models-dir DIR [--model efficientformer_l1_seed0] [--peers onnxruntime,openvino,...]

Every peer is calibrated with the same 64 photos by its own recommended post-training recipe; MNN and ncnn take part in
f32 only. The files go to DIR/peers/MODEL; `report.json` there holds sizes, seconds and, for what failed, the reason.
"""
from __future__ import annotations

import argparse
import functools
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

import common
from runtimes import RUNTIMES, model_file

ONNX = "model_ts17_static.onnx"  # torch.onnx.export, TorchScript exporter, opset 17, batch 1


def quantize_onnx(source: Path, target: Path, images: np.ndarray, signed_activations: bool = False) -> None:
    """ONNX Runtime static QDQ: min-max, per-channel signed weights, u8 (or s8) activations."""
    from onnxruntime.quantization import CalibrationDataReader, CalibrationMethod, QuantFormat, QuantType
    from onnxruntime.quantization import quantize_static
    from onnxruntime.quantization.shape_inference import quant_pre_process

    class Reader(CalibrationDataReader):
        def __init__(self, name: str) -> None:
            self.items = iter([{name: images[i:i + 1]} for i in range(len(images))])

        def get_next(self):
            return next(self.items, None)

    with tempfile.TemporaryDirectory() as folder:
        prepared = Path(folder) / "prepared.onnx"
        quant_pre_process(str(source), str(prepared), skip_symbolic_shape=True)
        quantize_static(str(prepared), str(target), Reader(input_of(source)[0]), quant_format=QuantFormat.QDQ,
                        activation_type=QuantType.QInt8 if signed_activations else QuantType.QUInt8,
                        weight_type=QuantType.QInt8, per_channel=True, calibrate_method=CalibrationMethod.MinMax)


def input_of(model: Path) -> tuple[str, list[int]]:
    """Name and shape of an ONNX model's only input."""
    import onnx
    value = onnx.load(str(model), load_external_data=False).graph.input[0]
    return value.name, [d.dim_value for d in value.type.tensor_type.shape.dim]


def onnxruntime(source: Path, out: Path, images: np.ndarray) -> None:
    shutil.copyfile(source / ONNX, model_file(out, "onnxruntime", "f32"))
    quantize_onnx(source / ONNX, model_file(out, "onnxruntime", "int8"), images)


def openvino(source: Path, out: Path, images: np.ndarray) -> None:
    """NNCF post-training quantization: mixed preset, transformer model type, fast bias correction (its default)."""
    import nncf
    import openvino as ov
    model = ov.convert_model(source / ONNX)
    ov.save_model(model, model_file(out, "openvino", "f32"), compress_to_fp16=False)
    data = nncf.Dataset([images[i:i + 1] for i in range(len(images))])
    int8 = nncf.quantize(model, data, preset=nncf.QuantizationPreset.MIXED, model_type=nncf.ModelType.TRANSFORMER,
                         subset_size=len(images))
    ov.save_model(int8, model_file(out, "openvino", "int8"), compress_to_fp16=False)


@functools.cache
def declare_torchvision_operators():
    """The stock torchvision wheel does not load beside a CPU torch; transformers imports it but calls none of it."""
    import torch
    library = torch.library.Library("torchvision", "DEF")
    for name in ("nms", "qnms"):
        library.define(f"{name}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
    return library


def torch_model(source: Path):
    """The model of a folder as a module that returns the logits alone."""
    import torch
    configuration = json.loads((source / "config.json").read_text())
    if configuration.get("architecture") == "edgevit":
        return edgevit(source, configuration)
    os.environ.setdefault("HF_HUB_OFFLINE", "1")
    declare_torchvision_operators()
    from transformers.models.deprecated.efficientformer import modeling_efficientformer as hf

    class Logits(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.model = hf.EfficientFormerForImageClassificationWithTeacher.from_pretrained(str(source))
            self.train()  # train, then eval: the attention biases are gathered at that switch
            self.eval()

        def forward(self, pixel_values):
            return self.model(pixel_values=pixel_values).logits

    return Logits()


def edgevit(source: Path, configuration: dict):
    """The PyTorch module that the weights were made with."""
    sys.path.insert(0, str(common.FIXTURES / "make"))
    from edgevit_model import EdgeViT
    from safetensors.torch import load_file
    arguments = {key: value for key, value in configuration.items() if key not in ("architecture", "image_size")}
    model = EdgeViT(**arguments)
    model.load_state_dict(load_file(source / "model.safetensors"))
    return model.eval()


def pt2e(model, quantizer, images: np.ndarray):
    """PyTorch 2 export quantization: observe the photos, then convert."""
    import torch
    from torchao.quantization.pt2e.quantize_pt2e import convert_pt2e, prepare_pt2e
    samples = [torch.from_numpy(images[i:i + 1]) for i in range(len(images))]
    with torch.no_grad():
        prepared = prepare_pt2e(torch.export.export(model, (samples[0],)).module(), quantizer)
        for sample in samples:
            prepared(sample)
    return convert_pt2e(prepared)


def executorch(source: Path, out: Path, images: np.ndarray) -> None:
    """XNNPACK delegate; int8 is static, symmetric, per-channel weights."""
    import torch
    from executorch.backends.xnnpack.partition.xnnpack_partitioner import XnnpackPartitioner
    from executorch.backends.xnnpack.quantizer.xnnpack_quantizer import (
        XNNPACKQuantizer, get_symmetric_quantization_config)
    from executorch.exir import to_edge_transform_and_lower
    example = (torch.from_numpy(images[:1]),)

    def save(model, precision: str) -> None:
        program = to_edge_transform_and_lower(torch.export.export(model, example), partitioner=[XnnpackPartitioner()])
        model_file(out, "executorch", precision).write_bytes(program.to_executorch().buffer)

    model = torch_model(source)
    save(model, "f32")
    quantizer = XNNPACKQuantizer().set_global(get_symmetric_quantization_config(is_per_channel=True))
    save(pt2e(model, quantizer, images), "int8")


def litert(source: Path, out: Path, images: np.ndarray) -> None:
    """LiteRT with its default XNNPACK delegate; int8 by its own quantizer: static, per-channel weights, f32 in and out.

    The converter's PT2E path is not used: litert-torch 0.10.0 cannot lower what torchao 0.18.0 produces
    ('stablehlo.uniform_dequantize' on an unquantized int8 weight).
    """
    import litert_torch
    import torch
    from ai_edge_quantizer import qtyping, quantizer, recipe
    from ai_edge_quantizer.algorithm_manager import AlgorithmName
    float_model, name = model_file(out, "litert", "f32"), "serving_default"
    litert_torch.convert(torch_model(source), (torch.from_numpy(images[:1]),)).export(str(float_model))
    int8 = quantizer.Quantizer(str(float_model))
    int8.load_quantization_recipe(recipe.static_wi8_ai8())
    for boundary in (qtyping.TFLOperationName.INPUT, qtyping.TFLOperationName.OUTPUT):
        int8.update_quantization_recipe(".*", boundary, algorithm_key=AlgorithmName.NO_QUANTIZE)
    data = {name: [{"args_0": images[i:i + 1]} for i in range(len(images))]}
    result = int8.quantize(int8.calibrate(data))
    result.export_model(str(model_file(out, "litert", "int8")), overwrite=True)


def mnn(source: Path, out: Path, images: np.ndarray) -> None:
    """f32 only: mnnquant 3.6.1 aborts on these models (std::length_error).

    The converter's own entry point is called: the `mnnconvert` command installs a telemetry package on its first run.
    """
    import _tools
    _tools.mnnconvert(["mnnconvert", "-f", "ONNX", "--modelFile", str(source / ONNX), "--bizCode", "benchmark",
                       "--MNNModel", str(model_file(out, "mnn", "f32"))])


def ncnn(source: Path, out: Path, images: np.ndarray) -> None:
    """f32 only, by pnnx: the wheel has no quantizer."""
    import pnnx
    _, shape = input_of(source / ONNX)
    with tempfile.TemporaryDirectory() as folder:
        shutil.copyfile(source / ONNX, Path(folder) / "model.onnx")
        subprocess.run([pnnx.EXEC_PATH, "model.onnx", f"inputshape={shape}".replace(" ", ""), "fp16=0"], cwd=folder,
                       check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        target = model_file(out, "ncnn", "f32")
        shutil.move(Path(folder) / "model.ncnn.param", target)
        shutil.move(Path(folder) / "model.ncnn.bin", target.with_suffix(".bin"))


BUILDERS: dict[str, Callable[[Path, Path, np.ndarray], None]] = {
    "onnxruntime": onnxruntime, "openvino": openvino, "executorch": executorch, "litert": litert, "mnn": mnn,
    "ncnn": ncnn,
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models-dir", type=Path, required=True)
    parser.add_argument("--model", default="efficientformer_l1_seed0")
    parser.add_argument("--peers", default=",".join(BUILDERS))
    parser.add_argument("--photos", type=Path, default=common.PHOTOS)
    a = parser.parse_args()
    source, out = a.models_dir / a.model, a.models_dir / "peers" / a.model
    out.mkdir(parents=True, exist_ok=True)
    images, _ = common.photo_tensors(a.models_dir / "calib", a.photos)
    path = out / "report.json"
    report = json.loads(path.read_text()) if path.exists() else {}
    for peer in a.peers.split(","):
        start = time.time()
        try:
            BUILDERS[peer](source, out, images)
            files = {p: model_file(out, peer, p) for p in ("f32", "int8")}
            entry = {f"{p}_bytes": size(file) for p, file in files.items() if file.exists()}
        except Exception as error:  # a peer that cannot convert a model is a result too
            entry = {"error": f"{type(error).__name__}: {error}".splitlines()[0][:400]}
        report[peer] = {**entry, "seconds": round(time.time() - start, 1)}
        print(peer, report[peer], flush=True)
        path.write_text(json.dumps(report, indent=2) + "\n")


def size(model: Path) -> int:
    """Bytes of a model file, with the weights that OpenVINO and ncnn keep beside it."""
    has_weights_beside = model.suffix in (RUNTIMES["openvino"].suffix, RUNTIMES["ncnn"].suffix)
    return model.stat().st_size + (model.with_suffix(".bin").stat().st_size if has_weights_beside else 0)


if __name__ == "__main__":
    main()
