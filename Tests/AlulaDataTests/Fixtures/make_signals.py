"""Golden values of resampling, filtering and metrics, from scipy and scikit-learn.

Usage: python make_signals.py > signals.json      (needs: numpy, scipy, scikit-learn)

Inputs are the noise of `noise()`, which the tests make themselves; outputs are thinned to keep the file small.
"""
import json
import warnings

import numpy as np
import scipy
import sklearn
from scipy import signal
from sklearn import metrics

warnings.filterwarnings("ignore")


def noise(count, seed):
    state, values = seed, []
    for _ in range(count):
        state = (state * 1664525 + 1013904223) % 2**32
        values.append((state >> 8) / 2**24 - 0.5)
    return np.array(values)


def thinned(values, step):
    return [float(v) for v in values[::step]]


def resampled():
    cases = []
    for count, up, down in [(300, 1, 5), (100, 5, 1), (257, 100, 257), (250, 2, 5), (37, 3, 2), (9, 4, 7), (64, 8, 8)]:
        y = signal.resample_poly(noise(count, 11) + 0.3, up, down)
        cases.append(dict(count=count, up=up, down=down, length=len(y), step=3, values=thinned(y, 3)))
    return cases


def filtered():
    cases = []
    for order, low, high, rate, count in [
        (4, 0.5, 40, 500, 1500), (4, 0.5, 40, 100, 1000), (3, 0.5, 40, 100, 400), (2, 5, 15, 250, 300),
        (1, 1, 45, 100, 200), (3, 0.67, None, 250, 500), (4, 0.5, None, 500, 700), (5, None, 40, 500, 300),
        (2, None, 30, 100, 60),
    ]:
        edges, kind = ([low, high], "bandpass") if low and high else (low, "highpass") if low else (high, "lowpass")
        sos = signal.butter(order, edges, kind, fs=rate, output="sos")
        y = signal.sosfiltfilt(sos, noise(count, 5) + 0.2)
        step = max(1, count // 40)
        cases.append(dict(order=order, highPass=low, lowPass=high, rate=rate, count=count, step=step,
                          values=thinned(y, step)))
    return cases


def single():
    cases = []
    for name, examples, classes, decimals, seed in [
        ("random", 60, 7, 6, 1), ("ties", 40, 6, 1, 2), ("one class only", 20, 5, 3, 3), ("two classes", 30, 2, 3, 4),
    ]:
        p = np.round(noise(examples * classes, seed).reshape(examples, classes) + 0.5, decimals)
        y = (noise(examples, seed + 100) + 0.5) * classes
        y = np.minimum(y.astype(int), classes - 1)
        if name == "one class only":
            y[:] = 2
        labels = list(range(classes))
        decision = p.argmax(1)
        prf = metrics.precision_recall_fscore_support(y, decision, labels=labels, zero_division=0)
        # Of equal scores the first class wins, as argmax has it; scikit-learn's own top-k takes the last.
        better = [sum(p[i, j] > p[i, y[i]] or (p[i, j] == p[i, y[i]] and j < y[i]) for j in labels) for i in range(examples)]
        cases.append(dict(
            name=name, examples=examples, classes=classes, decimals=decimals, seed=seed, fixedLabel=2 if name == "one class only" else None,
            accuracy=metrics.accuracy_score(y, decision), topFive=float(np.mean(np.array(better) < 5)),
            precision=prf[0].tolist(), recall=prf[1].tolist(), f1=prf[2].tolist(), support=prf[3].tolist(),
            macroF1=metrics.f1_score(y, decision, labels=labels, average="macro", zero_division=0),
            confusion=metrics.confusion_matrix(y, decision, labels=labels).reshape(-1).tolist(),
            ece=ece(p.max(1), decision == y)))
    return cases


def ece(confidence, correct, bins=15):
    edges = np.linspace(0, 1, bins + 1)
    place = np.clip(np.ceil(confidence * bins).astype(int) - 1, 0, bins - 1)
    total = 0.0
    for b in range(bins):
        hit = place == b
        if hit.any():
            total += hit.mean() * abs(correct[hit].mean() - confidence[hit].mean())
    return float(total)


def multiple():
    cases = []
    for name, examples, classes, decimals, seed in [
        ("random", 50, 6, 6, 21), ("ties", 40, 5, 1, 22), ("degenerate", 12, 6, 2, 23), ("one example", 1, 3, 3, 24),
    ]:
        s = np.round(noise(examples * classes, seed).reshape(examples, classes) + 0.5, decimals)
        y = noise(examples * classes, seed + 100).reshape(examples, classes) > 0.1
        if name == "degenerate":
            y[:, 0], y[:, 1], s[:, 2], y[:, 3] = False, True, 0.25, s[:, 3] >= 0.5
        p = s >= 0.5
        has = [bool(0 < y[:, j].sum() < examples) for j in range(classes)]
        cases.append(dict(
            name=name, examples=examples, classes=classes, decimals=decimals, seed=seed,
            auroc=[metrics.roc_auc_score(y[:, j], s[:, j]) if has[j] else None for j in range(classes)],
            ap=[metrics.average_precision_score(y[:, j], s[:, j]) if y[:, j].any() else None for j in range(classes)],
            f1=metrics.f1_score(y, p, average=None, zero_division=0).tolist(),
            precision=metrics.precision_score(y, p, average=None, zero_division=0).tolist(),
            recall=metrics.recall_score(y, p, average=None, zero_division=0).tolist(),
            macroF1=metrics.f1_score(y, p, average="macro", zero_division=0),
            microF1=metrics.f1_score(y, p, average="micro", zero_division=0),
            sampleF1=metrics.f1_score(y, p, average="samples", zero_division=0),
            exactMatch=metrics.accuracy_score(y, p)))
    return cases


def rounded(value):
    """Twelve digits are more than any test compares."""
    if isinstance(value, dict):
        return {key: rounded(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [rounded(inner) for inner in value]
    return float(f"{value:.12g}") if isinstance(value, float) else value


print(json.dumps(rounded(dict(
    versions=dict(scipy=scipy.__version__, sklearn=sklearn.__version__), resampled=resampled(), filtered=filtered(),
    single=single(), multiple=multiple())), separators=(",", ":")))
