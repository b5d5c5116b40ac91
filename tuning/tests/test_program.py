"""The built program itself, on a small network: what Optuna drives, and what TensorBoard reads."""

import json
import os
import random
import struct
import subprocess
import sys

import optuna
import pytest
from optuna.trial import TrialState
from test_study import ROOT, command, environment, finished

PROGRAM = os.environ.get("ALULA", os.path.join(os.path.dirname(ROOT), ".build", "release", "alula"))
GRAPH = """alula 1
input %x : f32[1,6]
const @first.weight : f32[16,6]
const @first.bias : f32[16]
const @head.weight : f32[3,16]
const @head.bias : f32[3]
%0 = linear(%x, @first.weight, @first.bias) : f32[1,16]
%1 = relu(%0) : f32[1,16]
%2 = linear(%1, @head.weight, @head.bias) : f32[1,3]
output %2
"""

if not os.access(PROGRAM, os.X_OK):
    print(f"SKIPPED: {PROGRAM} is not built", file=sys.__stderr__)
    pytest.skip("the program is not built", allow_module_level=True)


def write(path, tensors, metadata=None):
    """A safetensors file; tensors are (name, dtype, shape, bytes)."""
    header, offset = {"__metadata__": metadata} if metadata else {}, 0
    for name, kind, shape, data in tensors:
        header[name] = {"dtype": kind, "shape": shape, "data_offsets": [offset, offset + len(data)]}
        offset += len(data)
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    path.write_bytes(struct.pack("<Q", len(text)) + text + b"".join(data for *_, data in tensors))


@pytest.fixture
def problem(tmp_path):
    draw = random.Random(1)
    floats = lambda values: struct.pack(f"<{len(values)}f", *values)
    weights = [("first.weight", [16, 6]), ("first.bias", [16]), ("head.weight", [3, 16]), ("head.bias", [3])]
    tensors = []
    for name, shape in weights:
        count = shape[0] * (shape[1] if len(shape) > 1 else 1)
        values = [draw.gauss(0, 0.4) if "weight" in name else 0.0 for _ in range(count)]
        tensors.append((name, "F32", shape, floats(values)))
    write(tmp_path / "model.alula", tensors, {"alula.version": "1", "alula.graph": GRAPH})
    labels = [index % 3 for index in range(300)]
    inputs = [(place % 3 == label) + draw.uniform(-1, 1) for label in labels for place in range(6)]
    data = [("x", "F32", [300, 6], floats(inputs)), ("labels", "I64", [300], struct.pack("<300q", *labels))]
    write(tmp_path / "data.safetensors", data)
    return str(tmp_path / "model.alula"), f"tensors:{tmp_path}/data.safetensors"


def test_a_study_drives_the_program(problem, space_file, tmp_path):
    model, data = problem
    storage = f"sqlite:///{tmp_path}/study.db"
    call = command(space_file, PROGRAM, tmp_path / "runs", storage, 8, "--recipe", "cifar-scratch")
    call[call.index("m.alula")], call[call.index("cifar100:d")] = model, data
    subprocess.run([*call, "--", "--threads", "1", "--cutmix", "0"], env=environment(), check=True)
    done = finished(storage)
    assert len(done) == 8 and [t for t in done if t.state == TrialState.COMPLETE]
    best = optuna.load_study(study_name="alula", storage=storage).best_trial
    # The recipe that was written trains again to the same figure.
    again = [PROGRAM, "finetune", model, "--data", data, "-o", str(tmp_path / "again.alula"), "--json", "--threads", "1"]
    result = subprocess.run([*again, "--recipe", str(tmp_path / "runs" / "best.json")], capture_output=True, check=True)
    assert json.loads(result.stdout.splitlines()[-1])["best"]["val_accuracy"] == best.value


def test_tensorboard_reads_the_event_file(problem, tmp_path):
    accumulator = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    model, data = problem
    call = [PROGRAM, "finetune", model, "--data", data, "-o", str(tmp_path / "a.alula"), "--epochs", "3", "--json"]
    result = subprocess.run([*call, "--recipe", "cifar-scratch", "--batch", "30", "--cutmix", "0"], capture_output=True, check=True)
    epochs = [json.loads(line) for line in result.stdout.splitlines()][:-1]
    events = accumulator.EventAccumulator(str(tmp_path / "a.run"))
    events.Reload()
    shown = events.Scalars("val/accuracy")
    assert [event.step for event in shown] == [epoch["step"] for epoch in epochs]
    assert [event.value for event in shown] == pytest.approx([epoch["val_accuracy"] for epoch in epochs])
    assert len(events.Scalars("step/loss")) == epochs[-1]["step"]
