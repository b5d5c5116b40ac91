"""Makes the small HDF5 files of this folder's tests: python make_fixtures.py Fixtures (needs h5py and numpy).

Files that start with "valid" must be read; each holds what `expected` in HDF5ImportTests.swift says. The others must be refused.
"""
import sys
from pathlib import Path

import h5py
import numpy as np

out = Path(sys.argv[1])
ramp = np.arange(24, dtype="<f4")


def make(name, **options):
    return h5py.File(out / f"{name}.h5", "w", **options)


def keras(file, layers, names=None):
    """Weights as Keras stores them: a group a layer, whose weights repeat its name; `names` cuts the list into attributes of that many."""
    file.attrs["layer_names"] = np.array([n.encode() for n in layers])
    for layer, weights in layers.items():
        group = file.create_group(layer)
        listed = np.array([w.encode() for w in weights])
        if names:
            for part in range(0, len(listed), names):
                group.attrs[f"weight_names{part // names}"] = listed[part:part + names]
        else:
            group.attrs["weight_names"] = listed
        for path, (data, how) in weights.items():
            group.create_dataset(path, data=data, **how)


# Every layout of Keras, under names of two layers, one of them nested.
layers = {
    "conv": {"conv/kernel:0": (ramp.reshape(2, 2, 2, 3), {}), "conv/bias:0": (ramp[:3], {})},
    "block": {
        "scope_1/block/dense/kernel:0": (ramp.reshape(4, 6), {}),
        "scope_1/block/depth/depthwise_kernel:0": (ramp.reshape(2, 2, 3, 2), {}),
        "scope_1/block/norm/gamma:0": (ramp[:2], {}), "scope_1/block/norm/beta:0": (ramp[2:4], {}),
        "scope_1/block/norm/moving_mean:0": (ramp[4:6], {}), "scope_1/block/norm/moving_variance": (ramp[6:8], {}),
        "scope_1/block/line/kernel": (ramp.reshape(3, 4, 2), {}),
    },
}
with make("valid_layouts") as f:
    keras(f, layers)
with make("valid_split_names") as f:
    keras(f, layers, names=2)
with make("valid_newest_format", libver="latest") as f:
    keras(f, layers)
with make("valid_whole_model") as f:
    keras(f.create_group("model_weights"), layers)
    f.create_dataset("optimizer_weights/adam/m:0", data=ramp)
packed = {"chunks": (1, 2, 2, 3), "compression": "gzip", "shuffle": True, "fletcher32": True}
with make("valid_filters") as f:
    keras(f, {"conv": {"conv/kernel:0": (ramp.reshape(2, 2, 2, 3), packed), "conv/bias:0": (ramp[:3], {"chunks": (2,)})}})

with make("valid_types") as f:
    for name in ["<f2", ">f2", "<f4", ">f4", "<f8", ">f8", "i1", "u1", "<i2", ">i2", "<u2", "<i4", ">i4", "<u4", "<i8", ">i8", "<u8"]:
        f.create_dataset(name.replace("<", "l").replace(">", "b"), data=ramp[:5].astype(name))
    f.create_dataset("scalar", data=np.float32(7))
    f.create_dataset("empty", data=np.zeros((2, 0), "<f4"))
    f["soft"] = h5py.SoftLink("/lf4")
    f["hard"] = f["lf4"]

# Refused: outside of the file.
with make("external_link") as f:
    f["w"] = h5py.ExternalLink("/etc/hostname", "/x")
with make("soft_link_outside") as f:
    f["x"] = h5py.ExternalLink("valid_types.h5", "/lf4")
    f["a"] = h5py.SoftLink("/x")
with make("soft_link_to_nothing") as f:
    f["a"] = h5py.SoftLink("/b")
with make("external_storage") as f:
    f.create_dataset("w", (4,), "<f4", external=[("/etc/hostname", 0, 16)])
with make("virtual") as f:
    layout = h5py.VirtualLayout((4,), "<f4")
    layout[:] = h5py.VirtualSource("valid_types.h5", "lf4", (5,))[:4]
    f.create_virtual_dataset("w", layout)
# Refused: code from outside, and types that are no numbers.
with make("user_filter") as f:
    f.create_dataset("w", data=ramp, chunks=(24,), compression="lzf")
with make("scale_offset") as f:
    f.create_dataset("w", data=ramp.astype("<i4"), chunks=(24,), scaleoffset=0)
with make("text") as f:
    f.create_dataset("w", data=[b"abc"])
with make("compound") as f:
    f.create_dataset("w", data=np.zeros(2, [("a", "<f4"), ("b", "<i4")]))
# Refused: bombs.
with make("shape_bomb") as f:
    f.create_dataset("w", (1 << 20, 1 << 20), "<f4", chunks=(64, 64))
with make("late_bomb") as f:
    f.create_dataset("w", (1 << 22,), "<f4")
with make("gzip_bomb") as f:
    f.create_dataset("w", data=np.zeros(18 << 20, "u1"), chunks=(18 << 20,), compression="gzip", compression_opts=9)
with make("overflow") as f:
    f.create_dataset("w", (1 << 31, 1 << 31, 1 << 31), "<f8", chunks=(1, 1, 64))
with make("cycle") as f:
    f.create_group("a/b")
    f["a/b/c"] = f["a"]
with make("root_cycle") as f:
    f["a"] = f["/"]
with make("soft_cycle") as f:
    f["a"] = h5py.SoftLink("/b")
    f["b"] = h5py.SoftLink("/a")
with make("deep", libver="latest") as f:
    f.create_dataset("g/" * 70 + "w", data=ramp[:1])
with make("long_path") as f:
    f.create_dataset(("n" * 400 + "/") * 3 + "w", data=ramp[:1])
with make("twice", libver="latest") as f:
    # Each level holds the next one twice: 2^20 paths.
    groups = [f.create_group(f"g{i}") for i in range(20)]
    for a, b in zip(groups, groups[1:]):
        a["x"], a["y"] = b, b
# Refused: what the names say.
with make("missing_weight") as f:
    keras(f, {"conv": {"conv/bias:0": (ramp[:3], {})}})
    f["conv"].attrs["weight_names"] = np.array([b"conv/bias:0", b"conv/kernel:0"])
with make("unnamed") as f:
    f.create_dataset("layers/dense/vars/0", data=ramp)
with make("same_name") as f:
    f.create_dataset("w:0", data=ramp)
    f.create_dataset("w:1", data=ramp)
with make("nothing") as f:
    f.create_group("a")
