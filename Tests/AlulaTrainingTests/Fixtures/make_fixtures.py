#!/usr/bin/env python3
"""Gradients and losses of PyTorch for the whole-model tests: writes one small safetensors file a model beside this script.

Needs torch, transformers and safetensors, and the reference files: make_fixtures.py PATH_TO_FIXTURES
Each file holds inputs `x` (channels last) and `targets`, `loss`, the `logits` of the first step, `gradient.NAME` for every parameter, `statistic.NAME` for
running statistics after one step, and `losses` of ten steps of AdamW (rate 1e-3, weight decay 0.05 on matrices only). Names and layouts are PyTorch's.
"""
import json
import pathlib
import sys

import numpy as np
import torch
from safetensors.torch import load_file, save_file
from torch import nn

HERE = pathlib.Path(__file__).parent
FIXTURES = pathlib.Path(sys.argv[1] if len(sys.argv) > 1 else HERE / "../../../../shared/fixtures").resolve()
sys.path.insert(0, str(FIXTURES / "make"))
torch.set_num_threads(1)


def soft_targets(batch, classes, seed):
    generator = torch.Generator().manual_seed(seed)
    return torch.softmax(2 * torch.randn(batch, classes, generator=generator), -1)


def record(name, model, logits_of, x, targets, steps=10):
    """`x` is as the model takes it; stored channels last."""
    model.train()
    loss_of = nn.CrossEntropyLoss()
    tensors = {"x": (x.permute(0, 2, 3, 1) if x.dim() == 4 else x).contiguous().float(), "targets": targets}
    decayed = [p for p in model.parameters() if sum(s > 1 for s in p.shape) > 1]
    others = [p for p in model.parameters() if sum(s > 1 for s in p.shape) <= 1]
    optimizer = torch.optim.AdamW(
        [{"params": decayed, "weight_decay": 0.05}, {"params": others, "weight_decay": 0.0}], lr=1e-3)
    losses = []
    for step in range(steps):
        optimizer.zero_grad()
        logits = logits_of(model, x)
        loss = loss_of(logits, targets)
        loss.backward()
        losses.append(loss.item())
        if step == 0:
            tensors["logits"], tensors["loss"] = logits.detach().float(), loss.detach().float().reshape(1)
            for key, parameter in model.named_parameters():
                if parameter.grad is not None:
                    tensors["gradient." + key] = parameter.grad.detach().float().clone()
            for key, value in model.named_buffers():
                if "running" in key:
                    tensors["statistic." + key] = value.detach().float().clone()
        optimizer.step()
    tensors["losses"] = torch.tensor(losses, dtype=torch.float32)
    save_file({k: v.float().contiguous() for k, v in tensors.items()}, HERE / f"{name}.safetensors")
    print(name, losses[0], losses[-1], (HERE / f"{name}.safetensors").stat().st_size)


def efficientformer():
    import transformers.utils.import_utils as availability
    availability._torchvision_available = False             # not needed, and may not fit this torch
    availability.is_torchvision_available = lambda: False
    from transformers import EfficientFormerForImageClassificationWithTeacher as Model
    model = Model.from_pretrained(FIXTURES / "hf_efficientformer_tiny_a").double()
    size = model.config.image_size
    x = torch.randn(3, 3, size, size, generator=torch.Generator().manual_seed(1)).float().double()
    targets = soft_targets(3, model.config.num_labels, 2)
    record("efficientformer", model, lambda m, x: m(x).logits, x, targets.double())


def edgevit():
    from edgevit_model import EdgeViT
    folder = FIXTURES / "edgevit_tiny_cifar32"
    configuration = json.loads((folder / "config.json").read_text())
    weights = load_file(folder / "model.safetensors")
    first = weights["patch_embed1.proj.weight"].shape[-1]
    rates = configuration.get("sr_ratios") or configuration.get("rates")
    model = EdgeViT(
        configuration["depth"], configuration["embed_dim"], configuration["head_dim"], weights["head.weight"].shape[0],
        mlp_ratio=configuration.get("mlp_ratio", (4, 4, 4, 4)), **({"sr_ratios": rates} if rates else {}))
    assert first == 4, first
    model.load_state_dict(weights)
    x = torch.randn(4, 3, 32, 32, generator=torch.Generator().manual_seed(3)).float().double()
    record("edgevit", model.double(), lambda m, x: m(x), x, soft_targets(4, weights["head.weight"].shape[0], 4).double())


class Window(nn.Module):
    """Attention in windows of `size` tokens after a turn to the left by `shift`; tokens are filled up to whole windows."""

    def __init__(self, dim, heads, size, shift, tokens):
        super().__init__()
        self.heads, self.size, self.shift, self.tokens = heads, size, shift, tokens
        self.qkv, self.proj = nn.Linear(dim, 3 * dim), nn.Linear(dim, dim)
        self.rel_bias = nn.Parameter(torch.zeros(heads, 2 * size - 1))

    def forward(self, x):
        batch, tokens, dim = x.shape
        size, heads = self.size, self.heads
        filled = -(-tokens // size) * size
        place = torch.arange(filled)
        source = (place + self.shift) % filled
        wrapped = place + self.shift >= filled
        padding = source >= tokens
        y = nn.functional.pad(x, (0, 0, 0, filled - tokens))[:, source]
        q, k, v = self.qkv(y).reshape(batch, filled // size, size, 3, heads, dim // heads).permute(3, 0, 1, 4, 2, 5)
        scores = q @ k.transpose(-1, -2) * (dim // heads) ** -0.5
        index = torch.arange(size)[:, None] - torch.arange(size)[None, :] + size - 1
        scores = scores + self.rel_bias[:, index]
        w, p = wrapped.reshape(-1, size), padding.reshape(-1, size)
        hidden = (w[:, :, None] != w[:, None, :]) | p[:, None, :]
        scores = scores.masked_fill(hidden[None, :, None], -100.0 * 1e3)
        y = (scores.softmax(-1) @ v).transpose(2, 3).reshape(batch, filled, dim)
        return self.proj(y)[:, torch.argsort(source)][:, :tokens]


class MSWBlock(nn.Module):
    def __init__(self, dim, heads, size, tokens):
        super().__init__()
        self.norm1, self.norm2, self.norm3 = (nn.LayerNorm(dim) for _ in range(3))
        self.attn = Window(dim, heads, size, 0, tokens)
        self.shifted_attn = Window(dim, heads, size, size // 2, tokens)
        self.mlp = nn.ModuleDict({"fc1": nn.Linear(dim, 4 * dim), "fc2": nn.Linear(4 * dim, dim)})

    def forward(self, x):
        x = x + self.attn(self.norm1(x))
        x = x + self.shifted_attn(self.norm2(x))
        return x + self.mlp["fc2"](nn.functional.gelu(self.mlp["fc1"](self.norm3(x))))


class MSW(nn.Module):
    def __init__(self, leads, length, patch, dim, heads, windows, classes):
        super().__init__()
        tokens = -(-length // patch)
        self.missing = tokens * patch - length
        self.patch_embed = nn.ModuleDict({"proj": nn.Conv1d(leads, dim, patch, stride=patch), "norm": nn.LayerNorm(dim)})
        self.pos_embed = nn.Parameter(torch.zeros(1, tokens, dim))
        self.scales = nn.ModuleList(
            nn.ModuleDict({"blocks": nn.ModuleList([MSWBlock(dim, heads, w, tokens)])}) for w in windows)
        self.fusion = nn.Module()
        self.fusion.logits = nn.Parameter(torch.zeros(len(windows)))
        self.fusion.proj = nn.ModuleList(nn.Linear(dim, dim) for _ in windows)
        self.norm, self.head = nn.LayerNorm(dim), nn.Linear(dim, classes)

    def forward(self, x):                                   # [batch, samples, leads]
        x = nn.functional.pad(x.transpose(1, 2), (0, self.missing))
        x = self.patch_embed["norm"](self.patch_embed["proj"](x).transpose(1, 2)) + self.pos_embed
        weights = self.fusion.logits.softmax(0)
        total = 0
        for i, scale in enumerate(self.scales):
            y = x
            for block in scale["blocks"]:
                y = block(y)
            total = total + weights[i] * self.fusion.proj[i](y)
        return self.head(self.norm(total).mean(1))


def msw():
    torch.manual_seed(5)
    model = MSW(3, 118, 5, 16, 2, [5, 7], 4)
    for parameter in model.parameters():
        if parameter.dim() > 1 or parameter.numel() == 2:
            nn.init.normal_(parameter, std=0.3)
    weights = {k: v.detach().float().contiguous() for k, v in model.state_dict().items()}
    save_file(weights, HERE / "msw_model.safetensors")
    x = torch.randn(3, 118, 3, generator=torch.Generator().manual_seed(6)).float().double()
    record("msw", model.double(), lambda m, x: m(x), x, soft_targets(3, 4, 7).double())


efficientformer()
edgevit()
msw()
