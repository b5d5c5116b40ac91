"""Small quantized ONNX models with the results that the operators' specifications give, computed here in f64 (NumPy).

Each model is x (f32) -> QuantizeLinear -> operator -> DequantizeLinear -> y. Run: python make_quantized.py
"""
import numpy as np, onnx
from onnx import TensorProto as T, helper as h, numpy_helper as nh

rng = np.random.default_rng(5)
inputs, outputs, scales = {}, {}, {}


def quantize(x, s, z, t):
    low, high = (0, 255) if t == np.uint8 else (-128, 127)
    return np.clip(np.rint(x / s) + z, low, high).astype(t)


def real(q, s, z):
    return (q.astype(np.float64) - np.asarray(z, np.float64)) * np.asarray(s, np.float64)


def case(name, shape, t, operator, result, initializers, y_scale, y_zero, domain="", second=None, **attributes):
    """operator: input names of the node; 'X' stands for x, its scale and zero point."""
    x = rng.normal(0, 1, shape).astype(np.float32)
    s, z = np.float32(0.021), t(128 - (0 if t == np.uint8 else 128) - 7)
    q = quantize(x.astype(np.float64), float(s), int(z), t)
    y = result(real(q, float(s), int(z)))
    yq = quantize(y, y_scale, y_zero, t)
    initializers = dict(initializers, xs=s, xz=z, ys=np.float32(y_scale), yz=t(y_zero))
    names = [n for i in operator for n in (["q", "xs", "xz"] if i == "X" else [i])]
    nodes = [
        h.make_node("QuantizeLinear", ["x", "xs", "xz"], ["q"]),
        h.make_node(name.split(".")[0], names, ["r"], domain=domain, **attributes),
        h.make_node("DequantizeLinear", ["r", "ys", "yz"], ["y"]),
    ]
    graph = h.make_graph(nodes, name, [h.make_tensor_value_info("x", T.FLOAT, shape)],
                         [h.make_tensor_value_info("y", T.FLOAT, y.shape)],
                         [nh.from_array(np.asarray(v), k) for k, v in initializers.items()])
    model = h.make_model(graph, opset_imports=[h.make_opsetid("", 17), h.make_opsetid("com.microsoft", 1)], ir_version=8)
    onnx.save(model, f"{name}.onnx")
    inputs[name], outputs[name] = x, real(yq, y_scale, y_zero).astype(np.float32)
    scales[name] = str(float(np.float32(y_scale)))


def conv(x, w, b, pad):
    x = np.pad(x, ((0, 0), (0, 0), (pad, pad), (pad, pad)))
    n, c, height, width = x.shape
    k = w.shape[2]
    out = np.zeros((n, w.shape[0], height - k + 1, width - k + 1))
    for i in range(out.shape[2]):
        for j in range(out.shape[3]):
            out[:, :, i, j] = np.tensordot(x[:, :, i:i + k, j:j + k], w, ((1, 2, 3), (1, 2, 3))) + b
    return out


def weight(shape, axis, t=np.int8, zero=0):
    q = rng.integers(-127, 128, shape).astype(np.int64) + zero
    s = rng.uniform(0.001, 0.004, shape[axis]).astype(np.float32)
    view = [1] * len(shape)
    view[axis] = -1
    return q.astype(t), s, (q - zero) * s.astype(np.float64).reshape(view)


for t in (np.uint8, np.int8):
    kind, zero = ("u8", 131) if t == np.uint8 else ("s8", 3)
    q, s, w = weight((5, 4, 3, 3), 0)
    bias = rng.integers(-3000, 3000, 5).astype(np.int32)
    b = bias * s.astype(np.float64) * float(np.float32(0.021))
    case(f"QLinearConv.{kind}", [1, 4, 6, 6], t, ["X", "w", "ws", "wz", "ys", "yz", "b"], lambda x: conv(x, w, b, 1),
         dict(w=q, ws=s, wz=np.zeros(5, np.int8), b=bias), 0.05, zero, pads=[1, 1, 1, 1], kernel_shape=[3, 3])
    q, s, w = weight((4, 5), 1)
    case(f"QLinearMatMul.{kind}", [3, 4], t, ["X", "w", "ws", "wz", "ys", "yz"], lambda x: x @ w,
         dict(w=q, ws=s, wz=np.zeros(5, np.int8)), 0.02, zero)
    case(f"QLinearSigmoid.{kind}", [2, 3, 4, 4], t, ["X", "ys", "yz"], lambda x: 1 / (1 + np.exp(-x)), {}, 1 / 256,
         0 if t == np.uint8 else -128, "com.microsoft")
    case(f"QLinearAveragePool.{kind}", [1, 3, 6, 6], t, ["X", "ys", "yz"],
         lambda x: x.reshape(1, 3, 3, 2, 3, 2).mean((3, 5)), {}, 0.017, zero, "com.microsoft", kernel_shape=[2, 2],
         strides=[2, 2])
    case(f"QLinearGlobalAveragePool.{kind}", [1, 3, 6, 6], t, ["X", "ys", "yz"], lambda x: x.mean((2, 3), keepdims=True),
         {}, 0.004, zero, "com.microsoft", channels_last=0)
    other = quantize(rng.normal(0, 1, (1, 3, 6, 6)), 0.03, zero, t)
    o = real(other, float(np.float32(0.03)), zero)
    extra = dict(o=other, os=np.float32(0.03), oz=t(zero))
    case(f"QLinearAdd.{kind}", [1, 3, 6, 6], t, ["X", "o", "os", "oz", "ys", "yz"], lambda x: x + o, extra, 0.04, zero,
         "com.microsoft")
    case(f"QLinearMul.{kind}", [1, 3, 6, 6], t, ["X", "o", "os", "oz", "ys", "yz"], lambda x: x * o, extra, 0.05, zero,
         "com.microsoft")
    case(f"QLinearConcat.{kind}", [1, 3, 6, 6], t, ["ys", "yz", "X", "o", "os", "oz"],
         lambda x: np.concatenate([x, o], 1), extra, 0.04, zero, "com.microsoft", axis=1)
    case(f"QLinearSoftmax.{kind}", [2, 7], t, ["X", "ys", "yz"],
         lambda x: np.exp(x) / np.exp(x).sum(-1, keepdims=True), {}, 1 / 256, 0 if t == np.uint8 else -128, "com.microsoft",
         axis=-1, opset=13)
# Weights of u8 with a zero point in the middle, which are no s8 numbers of -127 to 127, stay f32.
q, s, w = weight((4, 5), 0, np.uint8, 128)
bias = rng.integers(-3000, 3000, 4).astype(np.int32)
b = bias * s.astype(np.float64) * float(np.float32(0.021))
case("QGemm.u8", [3, 5], np.uint8, ["X", "w", "ws", "wz", "b", "ys", "yz"], lambda x: x @ w.T + b,
     dict(w=q, ws=s, wz=np.full(4, 128, np.uint8), b=bias), 0.02, 119, "com.microsoft", transB=1)

from safetensors.numpy import save_file

save_file(inputs, "quantized_inputs.safetensors")
save_file(outputs, "quantized_outputs.safetensors", metadata=scales)
