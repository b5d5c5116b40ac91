"""What every script here shares: photos, tensors, quality measures and a description of the machine.

Every runtime is calibrated with the same photos and judged on the same other photos; both sets are written once as
safetensors so that no runtime's own image decoder or resizer takes part in the comparison.
"""
from __future__ import annotations

import importlib.metadata
import platform
import subprocess
from pathlib import Path

import numpy as np
from PIL import Image
from safetensors.numpy import load_file, save_file

REPOSITORY = Path(__file__).resolve().parents[2]
RESULTS = REPOSITORY / "benchmarks" / "results"
PHOTOS = REPOSITORY.parent / "shared" / "data" / "imagenet-sample"
FIXTURES = REPOSITORY.parent / "shared" / "fixtures"
ALULA = REPOSITORY / ".build" / "release" / "alula"

MEAN = np.array([0.485, 0.456, 0.406], np.float32)  # ImageNet, RGB, pixel / 255
STD = np.array([0.229, 0.224, 0.225], np.float32)
CALIBRATION_PHOTOS, EVALUATION_PHOTOS = 64, 32
RESIZE, CROP = 256, 224


def photo(path: Path) -> np.ndarray:
    """One photo as normalized f32 [crop, crop, 3]: bicubic, short side to 256, centre crop 224."""
    with Image.open(path) as file:
        image = file.convert("RGB")
    scale = RESIZE / min(image.size)
    size = tuple(RESIZE if side == min(image.size) else int(side * scale) for side in image.size)
    image = image.resize(size, Image.Resampling.BICUBIC)
    left, top = ((side - CROP) // 2 for side in size)
    pixels = np.asarray(image.crop((left, top, left + CROP, top + CROP)), np.float32)
    return normalize(pixels)


def normalize(pixels: np.ndarray) -> np.ndarray:
    return (pixels / np.float32(255) - MEAN) / STD


def photo_paths(folder: Path = PHOTOS) -> tuple[list[Path], list[Path]]:
    """The calibration photos and the evaluation photos: the first 64 by name, and the next 32."""
    paths = sorted(folder.glob("*.JPEG"))
    if len(paths) < CALIBRATION_PHOTOS + EVALUATION_PHOTOS:
        raise SystemExit(f"{folder}: {len(paths)} photos, need {CALIBRATION_PHOTOS + EVALUATION_PHOTOS}")
    return paths[:CALIBRATION_PHOTOS], paths[CALIBRATION_PHOTOS:][:EVALUATION_PHOTOS]


def write_tensors(folder: Path, name: str, images_nhwc: np.ndarray) -> None:
    """`name.nhwc.safetensors` (tensor `image`) and `name.nchw.safetensors` (tensor `pixel_values`)."""
    folder.mkdir(parents=True, exist_ok=True)
    images_nhwc = np.ascontiguousarray(images_nhwc, np.float32)
    save_file({"image": images_nhwc}, folder / f"{name}.nhwc.safetensors")
    save_file({"pixel_values": to_nchw(images_nhwc)}, folder / f"{name}.nchw.safetensors")


def read_tensors(folder: Path, name: str) -> np.ndarray:
    """The images that `write_tensors` stored, f32 NCHW."""
    return load_file(folder / f"{name}.nchw.safetensors")["pixel_values"]


def to_nchw(images: np.ndarray) -> np.ndarray:
    return np.ascontiguousarray(images.transpose(0, 3, 1, 2))


def photo_tensors(folder: Path, photos: Path = PHOTOS) -> tuple[np.ndarray, np.ndarray]:
    """Calibration and evaluation photos as f32 NCHW, made in `folder` unless they are there."""
    for name, paths in zip(("calibration", "evaluation"), photo_paths(photos)):
        if not (folder / f"{name}.nchw.safetensors").exists():
            write_tensors(folder, name, np.stack([photo(path) for path in paths]))
            (folder / f"{name}.txt").write_text("".join(f"{path.name}\n" for path in paths))
    return read_tensors(folder, "calibration"), read_tensors(folder, "evaluation")


def sqnr(reference: np.ndarray, result: np.ndarray) -> dict[str, float]:
    """Signal-to-quantization-noise ratio of logits [n, classes] in dB, and top-1 agreement.

    `sqnr_centered_db` takes as signal only what tells one picture from another: the reference minus its mean over the
    pictures, class by class. The noise is the same in both, so a constant offset of a class counts as noise.
    """
    reference, result = reference.astype(np.float64), result.astype(np.float64)
    noise = np.sum((reference - result) ** 2)
    centered = reference - reference.mean(axis=0)

    def decibels(signal: np.ndarray) -> float:
        return round(float(10 * np.log10(np.sum(signal**2) / max(noise, 1e-300))), 2)

    agreement = np.mean(reference.argmax(-1) == result.argmax(-1))
    return {"sqnr_db": decibels(reference), "sqnr_centered_db": decibels(centered),
            "top1_agreement": round(float(agreement), 4), "max_abs_error": float(np.abs(reference - result).max())}


def machine() -> dict:
    """Model and instruction sets of this CPU, as far as they decide which int8 kernels a runtime can use."""
    info = dict(line.split(":", 1) for line in Path("/proc/cpuinfo").read_text().split("\n\n")[0].splitlines())
    info = {key.strip(): value.strip() for key, value in info.items()}
    flags = info["flags"].split()
    wanted = ("avx2", "fma", "avx_vnni", "avx512f", "avx512_vnni", "avx512vbmi", "avx512_bf16", "amx_int8")
    return {"cpu": info["model name"], "vendor": info["vendor_id"], "family": int(info["cpu family"]),
            "model": int(info["model"]), "logical_cpus": len(Path("/proc/cpuinfo").read_text().split("\n\n")) - 1,
            "flags": {flag: flag in flags for flag in wanted}, "system": f"{platform.system()} {platform.machine()}"}


def commit() -> str:
    def git(*arguments: str) -> str:
        return subprocess.run(["git", "-C", str(REPOSITORY), *arguments], capture_output=True, text=True).stdout.strip()

    return git("rev-parse", "--short=12", "HEAD") + ("+changes" if git("status", "--porcelain", "-uno") else "")


def versions(*packages: str) -> dict[str, str]:
    """Installed versions of the packages that take part; a missing one is left out."""
    found = {"python": platform.python_version()}
    for package in packages:
        try:
            found[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found
