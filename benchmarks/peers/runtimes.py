"""How each peer loads and runs a model file, one class a runtime.

The packages are imported in `__init__`, before a worker takes its memory and time base: Python and its packages are
not what is compared. `load` and the first call are.
"""
from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

import numpy as np

Run = Callable[[np.ndarray], np.ndarray]


class Runtime(Protocol):
    suffix: str

    def load(self, path: Path, threads: int) -> Run: ...


class ONNXRuntime:
    suffix = ".onnx"

    def __init__(self) -> None:
        import onnxruntime
        self.ort = onnxruntime

    def load(self, path: Path, threads: int, optimize: bool = True, precise: bool = False) -> Run:
        """`precise` replaces the u8 x s8 kernels, which saturate on x86 CPUs without VNNI, by exact u8 x u8 ones."""
        options = self.ort.SessionOptions()
        options.add_session_config_entry("session.x64quantprecision", "1" if precise else "0")
        options.intra_op_num_threads = threads
        options.log_severity_level = 3
        if not optimize:
            options.graph_optimization_level = self.ort.GraphOptimizationLevel.ORT_DISABLE_ALL
        session = self.ort.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
        name = session.get_inputs()[0].name
        return lambda x: session.run(None, {name: x})[0]


class OpenVINO:
    suffix = ".xml"

    def __init__(self) -> None:
        import openvino
        self.ov = openvino

    def load(self, path: Path, threads: int) -> Run:
        # bf16 would be chosen silently on CPUs that have it; f32 means f32 here.
        config = {"INFERENCE_NUM_THREADS": threads, "NUM_STREAMS": 1, "PERFORMANCE_HINT": "LATENCY",
                  "INFERENCE_PRECISION_HINT": "f32"}
        request = self.ov.Core().compile_model(str(path), "CPU", config).create_infer_request()

        def run(x: np.ndarray) -> np.ndarray:
            request.infer([x], share_inputs=True, share_outputs=True)
            return request.get_output_tensor(0).data

        return run


class ExecuTorch:
    suffix = ".pte"

    def __init__(self) -> None:
        import torch
        from executorch.extension.pybindings import portable_lib
        self.torch, self.library = torch, portable_lib

    def load(self, path: Path, threads: int) -> Run:
        self.library._unsafe_reset_threadpool(threads)
        module = self.library._load_for_executorch(str(path))
        return lambda x: module.forward((self.torch.from_numpy(x),))[0].numpy()


class LiteRT:
    suffix = ".tflite"

    def __init__(self) -> None:
        os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
        from ai_edge_litert.interpreter import Interpreter
        self.interpreter = Interpreter

    def load(self, path: Path, threads: int) -> Run:
        interpreter = self.interpreter(model_path=str(path), num_threads=threads)
        interpreter.allocate_tensors()
        source, result = interpreter.get_input_details()[0]["index"], interpreter.get_output_details()[0]["index"]

        def run(x: np.ndarray) -> np.ndarray:
            interpreter.set_tensor(source, x)
            interpreter.invoke()
            return interpreter.get_tensor(result)

        return run


class MNN:
    suffix = ".mnn"

    def __init__(self) -> None:
        import MNN.expr
        import MNN.nn
        self.nn, self.expr = MNN.nn, MNN.expr

    def load(self, path: Path, threads: int) -> Run:
        # "high" is f32; the default may be less on CPUs that have it.
        settings = ({"backend": "CPU", "numThread": threads, "precision": "high"},)
        manager = self.nn.create_runtime_manager(settings)
        module = self.nn.load_module_from_file(str(path), [], [], runtime_manager=manager)

        def run(x: np.ndarray) -> np.ndarray:
            value = self.expr.placeholder(list(x.shape), self.expr.NCHW)
            value.write(x)
            return module.forward([value])[0].read()

        run.keep = manager  # the module refers to it
        return run


class NCNN:
    suffix = ".param"

    def __init__(self) -> None:
        import ncnn
        self.ncnn = ncnn

    def load(self, path: Path, threads: int) -> Run:
        net = self.ncnn.Net()
        net.opt.num_threads = threads
        for option in ("use_fp16_packed", "use_fp16_storage", "use_fp16_arithmetic", "use_bf16_storage"):
            setattr(net.opt, option, False)
        net.load_param(str(path))
        net.load_model(str(path.with_suffix(".bin")))

        def run(x: np.ndarray) -> np.ndarray:
            with net.create_extractor() as extractor:
                extractor.input("in0", self.ncnn.Mat(x[0]))
                return np.array(extractor.extract("out0")[1])[None]

        return run


RUNTIMES: dict[str, type] = {
    "onnxruntime": ONNXRuntime, "openvino": OpenVINO, "executorch": ExecuTorch, "litert": LiteRT, "mnn": MNN,
    "ncnn": NCNN,
}


def runtime_of(contender: str) -> str:
    """A runtime may take part with several models: `onnxruntime-s8s8` is ONNX Runtime."""
    return contender.split("-")[0]


def model_file(folder: Path, contender: str, precision: str) -> Path:
    """Where `quantize.py` puts, and every other script finds, a peer's model."""
    return folder / f"{contender}_{precision}{RUNTIMES[runtime_of(contender)].suffix}"


def logits(run: Run, images: np.ndarray) -> np.ndarray:
    """A batch-1 model over [n, 3, h, w] pictures, one by one."""
    return np.concatenate([np.array(run(images[i:i + 1])) for i in range(len(images))])
