"""Checks `alula export --to onnx` with ONNX's own checker and ONNX Runtime.

    python Tests/ONNXRuntime/check_export.py .build/release/alula model.alula model.int8.alula

Each model is exported, checked and run on the input of its golden outputs (docs/format.md), which the model file holds. f32 logits must agree to
1e-4 of the largest, int8 ones to 20 dB. On CPUs without VNNI, ONNX Runtime's own int8 kernels saturate; its optimizations are therefore off here,
so that every QDQ pair is computed in f32. Needs Python with onnx, onnxruntime, numpy and safetensors; without them it says so and ends with 0.
"""
import json, re, subprocess, sys, tempfile

try:
    import numpy as np, onnx, onnxruntime
    from safetensors import safe_open
except ImportError as missing:
    print(f"SKIPPED: nothing was checked, {missing.name} is not installed")
    sys.exit(0)


def draws(seed):
    """SplitMix64."""
    state, mask = seed, (1 << 64) - 1
    while True:
        state = (state + 0x9E3779B97F4A7C15) & mask
        z = state
        z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & mask
        z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & mask
        yield z ^ (z >> 31)


def golden_input(text, seed):
    kind, shape, rest = re.search(r"^input \S+ : (\w+)\[([\d,]+)\](.*)$", text, re.M).groups()
    shape = [int(size) for size in shape.split(",")]
    numbers = draws(seed)
    count = int(np.prod(shape))
    if kind == "u8":
        scale, zero = re.search(r"scale=(\S+) zero=(\d+)", rest).groups()
        x = np.array([next(numbers) >> 56 for _ in range(count)], np.float32)
        x = (x - float(zero)) * np.float32(scale)
    else:
        x = np.array([(next(numbers) >> 40) / (1 << 23) - 1 for _ in range(count)], np.float32)
    x = x.reshape(shape)
    return x.transpose(0, 3, 1, 2) if len(shape) == 4 and shape[3] == 3 else x


def check(alula, path):
    with tempfile.TemporaryDirectory() as folder:
        target = folder + "/model.onnx"
        subprocess.run([alula, "export", path, "--to", "onnx", "-o", target], check=True, stdout=subprocess.DEVNULL)
        model = onnx.load(target)
        onnx.checker.check_model(model, full_check=True)
        with safe_open(path, "np") as file:
            metadata = file.metadata()
            if "alula.golden" not in metadata:
                return print(f"SKIPPED {path}: checked by onnx.checker alone, it has no golden outputs")
            text = metadata["alula.graph"]
            expected = file.get_tensor("alula.golden.0").astype(np.float32)
            x = golden_input(text, json.loads(metadata["alula.golden"])["seed"])
        options = onnxruntime.SessionOptions()
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
        session = onnxruntime.InferenceSession(target, options)
        result = session.run(None, {session.get_inputs()[0].name: x})[0]
        is_int8 = any(node.op_type == "QuantizeLinear" for node in model.graph.node)
        worst = float(np.abs(result.reshape(expected.shape) - expected).max())
        noise = float(((result.reshape(expected.shape) - expected) ** 2).sum())
        quality = 10 * np.log10(float((expected**2).sum()) / max(noise, 1e-30))
        good = quality >= 20 if is_int8 else worst <= 1e-4 * float(np.abs(expected).max())
        print(f"{'ok' if good else 'WRONG'}  {path}: {len(model.graph.node)} nodes, {worst:.2e} apart, {quality:.1f} dB")
        return good


results = [check(sys.argv[1], path) for path in sys.argv[2:]]
sys.exit(any(result is False for result in results))
