#!/usr/bin/env python3
"""Stands in for the program: the same lines and signals, no training. Its figure depends on lr alone: best at 0.01."""

import json
import math
import os
import signal
import sys
import time

arguments = sys.argv[1:]
assert arguments[0] == "finetune" and "--json" in arguments
values = dict(word.split("=", 1) for flag, word in zip(arguments, arguments[1:]) if flag == "--set")
folder = arguments[arguments.index("--logdir") + 1]
os.makedirs(folder, exist_ok=True)


def stop(*_):
    with open(os.path.join(folder, "stopped"), "w") as file:
        file.write("saved")
    sys.exit(128 + signal.SIGTERM)


signal.signal(signal.SIGTERM, stop)
rate = float(values["lr"])
if values.get("clip") == "13":
    sys.exit("alula: model.alula: training diverged")
goal = 1 / (1 + abs(math.log10(rate / 0.01)))
record = {}
for epoch in range(1, int(values.get("epochs", 4)) + 1):
    time.sleep(float(os.environ.get("FAKE_SECONDS", "0.01")))
    record = {"epoch": epoch, "step": epoch * 10, "lr": rate, "val_accuracy": goal * (1 - 0.5**epoch), "best": True}
    print(json.dumps(record), flush=True)
result = {"output": "x.alula", "best_epoch": epoch, "best": record, "recipe": {"lr": rate, "epochs": epoch}}
print(json.dumps(result), flush=True)
