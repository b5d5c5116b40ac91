#!/usr/bin/env python3
"""Images a second and peak memory of PyTorch's training steps: torch_step.py MODEL BATCH THREADS STEPS [PATH_TO_FIXTURES]

The same models and steps as train-bench: forward, cross entropy with smoothing, backward, AdamW. Needs torch and transformers; EdgeViT's module is that of the reference files.
"""
import pathlib
import resource
import sys
import time

import torch
from torch import nn

name, batch, threads, steps = sys.argv[1], *map(int, sys.argv[2:5])
fixtures = pathlib.Path(sys.argv[5] if len(sys.argv) > 5 else pathlib.Path(__file__).parents[3] / "shared/fixtures")
torch.set_num_threads(threads)
torch.manual_seed(0)


def efficientformer():
    import transformers.utils.import_utils as availability
    availability._torchvision_available = False             # not needed, and may not fit this torch
    availability.is_torchvision_available = lambda: False
    from transformers import EfficientFormerConfig, EfficientFormerForImageClassification as Model
    model = Model(EfficientFormerConfig(num_labels=1000))
    return (lambda x: model(x).logits), model, 224, 1000


def edgevit():
    sys.path.insert(0, str(fixtures / "make"))
    from edgevit_model import CONFIGS, EdgeViT, Patches
    model = EdgeViT(**CONFIGS["xxs"], num_classes=100)
    model.patch_embed1 = Patches(3, CONFIGS["xxs"]["embed_dim"][0], 2)
    return model, model, 32, 100


logits, model, size, classes = edgevit() if name.startswith("edgevit") else efficientformer()
model.train()
optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3, weight_decay=0.05)
loss_of = nn.CrossEntropyLoss(label_smoothing=0.1)
x, targets = torch.randn(batch, 3, size, size), torch.arange(batch) * 37 % classes
best = float("inf")
for step in range(steps + 1):
    begin = time.perf_counter()
    optimizer.zero_grad()
    loss = loss_of(logits(x), targets)
    loss.backward()
    optimizer.step()
    if step > 0:
        best = min(best, time.perf_counter() - begin)
peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
parameters = sum(p.numel() for p in model.parameters())
print(f"{name}, batch {batch}, {threads} threads: {batch / best:.2f} images/s, loss {loss.item():.4f}, {parameters} parameters, peak {peak:.0f} MiB")
