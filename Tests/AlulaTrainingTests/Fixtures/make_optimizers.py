"""Writes optimizers.safetensors: what torch.optim and torch's schedulers do, for OptimizerTests and ScheduleTests.

    python make_optimizers.py     (torch, safetensors)
"""

import torch
from safetensors.torch import save_file

SHAPES = {"matrix": (3, 5), "bias": (7,), "filter": (2, 1, 3, 3)}
STEPS = 8
generator = torch.Generator().manual_seed(0)
start = {name: torch.randn(shape, generator=generator) for name, shape in SHAPES.items()}
gradients = {name: torch.randn((STEPS, *shape), generator=generator) for name, shape in SHAPES.items()}
tensors = {f"start.{n}": t for n, t in start.items()} | {f"gradient.{n}": t for n, t in gradients.items()}


def run(case, make, clip=None):
    parameters = {name: torch.nn.Parameter(t.clone()) for name, t in start.items()}
    optimizer = make([parameters["matrix"], parameters["filter"]], [parameters["bias"]])
    history = {name: [] for name in start}
    for step in range(STEPS):
        for name, parameter in parameters.items():
            parameter.grad = gradients[name][step].clone()
        if clip:
            torch.nn.utils.clip_grad_norm_(parameters.values(), clip)
        optimizer.step()
        for name, parameter in parameters.items():
            history[name].append(parameter.detach().clone())
    for name, values in history.items():
        tensors[f"{case}.{name}"] = torch.stack(values)


def groups(decayed, plain, decay):
    return [{"params": decayed, "weight_decay": decay}, {"params": plain, "weight_decay": 0.0}]


run("sgd", lambda d, p: torch.optim.SGD(groups(d, p, 0.0), lr=0.1, momentum=0.9))
run("sgd_decay", lambda d, p: torch.optim.SGD(groups(d, p, 0.05), lr=0.1, momentum=0.8))
run("nesterov", lambda d, p: torch.optim.SGD(groups(d, p, 0.01), lr=0.05, momentum=0.9, nesterov=True))
run("adam", lambda d, p: torch.optim.Adam(groups(d, p, 0.0), lr=0.01))
run("adam_decay", lambda d, p: torch.optim.Adam(groups(d, p, 0.1), lr=0.02, betas=(0.8, 0.95), eps=1e-6))
run("adamw", lambda d, p: torch.optim.AdamW(groups(d, p, 0.05), lr=0.01))
run("clip", lambda d, p: torch.optim.AdamW(groups(d, p, 0.05), lr=0.01), clip=1.5)

# The moving average as timm's with a ramp: min(decay, (1 + n) / (10 + n)).
average = {n: t.clone() for n, t in start.items()}
kept = {n: [] for n in start}
for step in range(STEPS):
    decay = min(0.6, (1 + step) / (10 + step))
    for name in start:
        average[name] = decay * average[name] + (1 - decay) * tensors[f"adamw.{name}"][step]
        kept[name].append(average[name])
for name in start:
    tensors[f"average.{name}"] = torch.stack(kept[name])


def schedule(case, make, steps, feed=None):
    parameter = torch.nn.Parameter(torch.zeros(1))
    optimizer = torch.optim.SGD([parameter], lr=0.4)
    scheduler = make(optimizer)
    rates = []
    for step in range(steps):
        rates.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        scheduler.step(*([feed[step]] if feed else []))
    tensors[f"schedule.{case}"] = torch.tensor(rates, dtype=torch.float64)


schedulers = torch.optim.lr_scheduler
schedule("cosine", lambda o: schedulers.CosineAnnealingLR(o, T_max=24, eta_min=0.02), 24)
schedule("step", lambda o: schedulers.StepLR(o, step_size=3, gamma=0.5), 12)
schedule("exponential", lambda o: schedulers.ExponentialLR(o, gamma=0.7), 12)
schedule("one_cycle", lambda o: schedulers.OneCycleLR(o, max_lr=0.4, total_steps=24, cycle_momentum=False), 24)
losses = [1.0, 0.9, 0.95, 0.91, 0.92, 0.9, 0.8, 0.85, 0.86, 0.87, 0.88, 0.89, 0.9, 0.91]
schedule("plateau", lambda o: schedulers.ReduceLROnPlateau(o, factor=0.5, patience=2), len(losses), losses)
tensors["schedule.plateau_losses"] = torch.tensor(losses, dtype=torch.float64)
schedule(
    "warmup",
    lambda o: schedulers.SequentialLR(
        o,
        [schedulers.LinearLR(o, start_factor=0.1, total_iters=6), schedulers.CosineAnnealingLR(o, T_max=18, eta_min=0.02)],
        milestones=[6],
    ),
    24,
)
save_file(tensors, "optimizers.safetensors")
