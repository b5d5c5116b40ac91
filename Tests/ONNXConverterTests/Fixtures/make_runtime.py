"""Small quantized ONNX models with the results that ONNX Runtime gives, which is what defines where its own operators round.

Each model is x (f32) -> ... -> y (f32); runtime_cases.safetensors holds NAME.x and NAME.y. Run: python make_runtime.py
(onnxruntime 1.32 on x86-64 with VNNI; without it u8 x s8 products may saturate.)
"""
import numpy as np, onnx, onnxruntime
from onnx import TensorProto as T, helper as h, numpy_helper as nh
from safetensors.numpy import save_file

rng = np.random.default_rng(11)
tensors = {}


def case(name, x, nodes, constants):
    graph = h.make_graph(nodes, name, [h.make_tensor_value_info("x", T.FLOAT, x.shape)],
                         [h.make_tensor_value_info("y", T.FLOAT, None)],
                         [nh.from_array(np.asarray(v), k) for k, v in constants.items()])
    model = h.make_model(graph, opset_imports=[h.make_opsetid("", 18), h.make_opsetid("com.microsoft", 1)], ir_version=8)
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    y = onnxruntime.InferenceSession(model.SerializeToString(), options).run(None, {"x": x})[0]
    graph.output[0].CopyFrom(h.make_tensor_value_info("y", T.FLOAT, y.shape))
    model.graph.CopyFrom(graph)
    onnx.save(model, f"{name}.onnx")
    tensors[name + ".x"], tensors[name + ".y"] = x, y


def floats(*shape):
    return rng.normal(0, 1, shape).astype(np.float32)


# One known number, with scales at which half of all results lie between two steps: 1 + erf(x) as quantizers leave it.
for t in (np.uint8, np.int8):
    end = "u8" if t == np.uint8 else "s8"
    shift = 0 if t == np.uint8 else 128
    for op, second in (("QLinearAdd", False), ("QLinearAdd", True), ("QLinearMul", False)):
        known = dict(b=t(255 - shift), bs=np.float32(1 / 255), bz=t(0 - shift))
        scale = np.float32(2 / 255) if op == "QLinearAdd" else np.float32(1 / 255)
        operands = ["q", "xs", "xz", "b", "bs", "bz"]
        if op == "QLinearMul": known["b"] = t(128 + 64 - shift); known["bz"] = t(128 - shift)
        if second: operands = operands[3:] + operands[:3]
        case(f"{op}.scalar{'.first' if second else ''}.{end}", ((np.arange(256) - 127) * np.float32(2 / 255)).astype(np.float32).reshape(2, 128),
             [h.make_node("QuantizeLinear", ["x", "xs", "xz"], ["q"]),
              h.make_node(op, operands + ["ys", "yz"], ["r"], domain="com.microsoft"),
              h.make_node("DequantizeLinear", ["r", "ys", "yz"], ["y"])],
             dict(known, xs=np.float32(2 / 255), xz=t(127 - shift), ys=scale, yz=t((1 if op == "QLinearAdd" else 127) - shift)))

weight = rng.integers(-127, 128, (24, 20)).astype(np.int8)
bias = floats(20)
dynamic = h.make_node("DynamicQuantizeLinear", ["x"], ["q", "s", "z"])
tail = [h.make_node("Cast", ["i"], ["c"], to=T.FLOAT), h.make_node("Mul", ["s", "ws"], ["m"]),
        h.make_node("Mul", ["c", "m"], ["p"]), h.make_node("Add", ["p", "b"], ["y"])]
case("MatMulInteger", floats(3, 7, 24), [dynamic, h.make_node("MatMulInteger", ["q", "w", "z", "wz"], ["i"])] + tail,
     dict(w=weight, wz=np.int8(0), ws=np.float32(0.013), b=bias))
case("MatMulInteger.columns", floats(7, 24), [dynamic, h.make_node("MatMulInteger", ["q", "w", "z", "wz"], ["i"])] + tail,
     dict(w=(weight.astype(np.int32) + 128).astype(np.uint8), wz=np.full(20, 128, np.uint8), ws=abs(floats(20)) * np.float32(0.01), b=bias))
case("ConvInteger", floats(1, 6, 9, 8),
     [dynamic, h.make_node("ConvInteger", ["q", "w", "z", "wz"], ["i"], pads=[1, 1, 1, 1], strides=[2, 2])] + tail,
     dict(w=rng.integers(-127, 128, (20, 6, 3, 3)).astype(np.int8), wz=np.int8(0), ws=np.float32(0.007), b=bias.reshape(20, 1, 1)))
case("DynamicQuantizeMatMul", floats(5, 24),
     [h.make_node("DynamicQuantizeMatMul", ["x", "w", "ws", "", "b"], ["y"], domain="com.microsoft")],
     dict(w=weight, ws=abs(floats(20)) * np.float32(0.01), b=bias))
case("MatMulIntegerToFloat", floats(5, 24),
     [dynamic, h.make_node("MatMulIntegerToFloat", ["q", "w", "s", "ws", "z", "wz", "b"], ["y"], domain="com.microsoft")],
     dict(w=weight, ws=np.float32(0.013), wz=np.int8(0), b=bias))
case("DequantizeLinear.dynamic", floats(4, 9), [dynamic, h.make_node("DequantizeLinear", ["q", "s", "z"], ["y"])], {})
# Weights that s8 does not have: in f32, which is exact for so few products.
case("MatMulInteger.wide", floats(5, 24), [dynamic, h.make_node("MatMulInteger", ["q", "w", "z"], ["i"])] + tail,
     dict(w=rng.integers(0, 256, (24, 20)).astype(np.uint8), ws=np.float32(0.013), b=bias))
# A scale that is known before, and integers from it.
case("MatMulInteger.static", floats(5, 24),
     [h.make_node("QuantizeLinear", ["x", "xs", "xz"], ["q"]), h.make_node("MatMulInteger", ["q", "w", "xz", "wz"], ["i"]),
      h.make_node("Cast", ["i"], ["c"], to=T.FLOAT), h.make_node("Mul", ["c", "ws"], ["y"])],
     dict(xs=np.float32(0.02), xz=np.int8(-7), w=weight, wz=np.int8(0), ws=np.float32(0.013)))
# Blocks of 2x3 at every place of a padded image of 6x8, and rows of it that none reaches.
case("Col2Im", floats(2, 4 * 6, 3 * 3),
     [h.make_node("Col2Im", ["x", "image", "block"], ["y"], strides=[2, 2], pads=[1, 0, 0, 1], dilations=[1, 2])],
     dict(image=np.array([6, 8]), block=np.array([2, 3])))
case("Col2Im.signal", floats(1, 6, 5), [h.make_node("Col2Im", ["x", "image", "block"], ["y"], dilations=[1], pads=[0, 0], strides=[1])],
     dict(image=np.array([7]), block=np.array([3])))
save_file(tensors, "runtime_cases.safetensors")
