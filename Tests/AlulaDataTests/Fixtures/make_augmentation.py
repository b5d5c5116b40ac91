"""Golden values of the augmentations' deterministic parts, from torchvision (on Pillow's pictures) and numpy.

Usage: python make_augmentation.py > augmentation.json      (needs: torch, torchvision, Pillow, numpy)

What is random, torchvision draws here too; the numbers drawn are written beside what it made of them.
"""
import base64
import json
import math

import numpy as np
import PIL
import torch
from PIL import Image

# torchvision's own operators are not needed, and do not load beside every build of torch.
library = torch.library.Library("torchvision", "DEF")
for name in ("nms", "qnms"):
    library.define(f"{name}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
import torchvision  # noqa: E402
from torchvision.transforms import InterpolationMode, RandomErasing, RandomResizedCrop  # noqa: E402
from torchvision.transforms import functional as F  # noqa: E402

WIDTH, HEIGHT = 18, 14


def noise(count, seed):
    state, values = seed, []
    for _ in range(count):
        state = (state * 1664525 + 1013904223) % 2**32
        values.append(state >> 24)
    return np.array(values)


def picture():
    """A slope of 30 to about 200 with some noise, so that no operation is the identity."""
    y, x, c = np.mgrid[0:HEIGHT, 0:WIDTH, 0:3]
    levels = 30 + 5 * x + 4 * y + 10 * c + noise(HEIGHT * WIDTH * 3, 3).reshape(HEIGHT, WIDTH, 3) // 8
    return Image.fromarray(levels.astype(np.uint8))


def text(image):
    assert image.size == (WIDTH, HEIGHT)
    return base64.b64encode(image.tobytes()).decode()


def affine(image, angle=0.0, translate=(0, 0), shear=(0.0, 0.0)):
    return F.affine(image, angle, list(translate), 1.0, list(shear), InterpolationMode.NEAREST)


def operations(image):
    """RandAugment's operations at our strengths (1 is its largest magnitude)."""
    cases = []

    def add(name, strength, result):
        cases.append(dict(name=name, strength=strength, bytes=text(result)))

    for s in (-1, -0.63, 0.37, 1):
        add("brightness", s, F.adjust_brightness(image, 1 + 0.9 * s))
        add("contrast", s, F.adjust_contrast(image, 1 + 0.9 * s))
        add("saturation", s, F.adjust_saturation(image, 1 + 0.9 * s))
        add("sharpness", s, F.adjust_sharpness(image, 1 + 0.9 * s))
    for s in (0.3, 0.63, 1):
        add("posterize", s, F.posterize(image, 8 - round(4 * s)))
        add("solarize", s, F.solarize(image, 256 * (1 - s)))
    add("autoContrast", 1, F.autocontrast(image))
    add("equalize", 1, F.equalize(image))
    for s in (-0.83, 0.41, 1):
        # A positive angle turns clockwise in F.affine; ours turns the same way.
        add("rotate", s, affine(image, angle=-30 * s))
        add("shearX", s, affine(image, shear=(math.degrees(math.atan(0.3 * s)), 0)))
        add("shearY", s, affine(image, shear=(0, math.degrees(math.atan(0.3 * s)))))
    for pixels in (-4, 3):
        add("translateX", pixels / (0.45 * WIDTH), affine(image, translate=(-pixels, 0)))
        add("translateY", pixels / (0.45 * HEIGHT), affine(image, translate=(0, -pixels)))
    return cases


def crops(image):
    """Random crops of the picture padded by 4: the place, and what is there."""
    padded = F.pad(image, [4])
    return [dict(left=left, top=top, bytes=text(F.crop(padded, top, left, HEIGHT, WIDTH)))
            for left, top in ((0, 0), (8, 3), (4, 7), (5, 8))]


def resized_crops(image):
    """RandomResizedCrop: share and aspect drawn, box, and the box resized to the picture's size."""
    cases = []
    for seed in range(6):
        torch.manual_seed(seed)
        share = torch.empty(1).uniform_(0.3, 0.6).item()
        aspect = torch.exp(torch.empty(1).uniform_(*torch.log(torch.tensor([3 / 4, 4 / 3])))).item()
        torch.manual_seed(seed)
        top, left, height, width = RandomResizedCrop.get_params(image, [0.3, 0.6], [3 / 4, 4 / 3])
        result = F.resized_crop(image, top, left, height, width, [HEIGHT, WIDTH], InterpolationMode.BILINEAR)
        cases.append(dict(share=share, aspect=aspect, top=top, left=left, height=height, width=width, bytes=text(result)))
    return cases


def erasures():
    """RandomErasing on 32 x 24: area and aspect drawn, and the box's sides."""
    cases, image = [], torch.zeros(3, 24, 32)
    for seed in range(200):
        torch.manual_seed(seed)
        area = 24 * 32 * torch.empty(1).uniform_(0.02, 0.33).item()
        aspect = torch.exp(torch.empty(1).uniform_(*torch.log(torch.tensor([0.3, 3.3])))).item()
        height, width = round(math.sqrt(area * aspect)), round(math.sqrt(area / aspect))
        if height >= 24 or width >= 32:
            continue  # torchvision draws again, as Alula does
        torch.manual_seed(seed)
        _, _, h, w, _ = RandomErasing.get_params(image, (0.02, 0.33), (0.3, 3.3), [0.0])
        cases.append(dict(area=area, aspect=aspect, height=h, width=w))
        if len(cases) == 12:
            return cases


def cut_boxes():
    """torchvision's CutMix (transforms.v2): half sides cut off to whole pixels, clipped at the edges."""
    cases = []
    for share, x, y in ((0.1, 3, 2), (0.5, 20, 30), (0.5, 0, 0), (0.9, 31, 15), (0.02, 16, 20), (1.0, 16, 20)):
        height, width, r = 40, 32, 0.5 * math.sqrt(share)
        rows, columns = int(r * height), int(r * width)
        cases.append(dict(share=share, x=x, y=y, box=[max(y - rows, 0), min(y + rows, height), max(x - columns, 0),
                                                        min(x + columns, width)]))
    return cases


def mixed():
    """torchvision's MixUp of a batch of two."""
    a, b = (noise(12, seed).astype(np.float32) / 32 - 4 for seed in (7, 8))
    cases = []
    for share in (0.0, 0.3, 0.875, 1.0):
        batch = torch.tensor(np.stack([a, b]))
        result = batch.roll(1, 0).mul(1.0 - share).add_(batch.mul(share))
        cases.append(dict(share=share, values=result.flatten().tolist()))
    return dict(inputs=[a.tolist(), b.tolist()], cases=cases)


def signals():
    """Three leads of 40 samples at 100 Hz."""
    samples, rate = 40, 100
    x = (noise(samples * 3, 5).astype(np.float32) / 64 - 2).reshape(samples, 3)
    sine = x.copy()
    sine[:, 1] += (0.7 * np.sin(2 * np.pi * 0.31 * np.arange(samples) / rate + 1.25)).astype(np.float32)
    later, earlier, silenced = np.zeros_like(x), np.zeros_like(x), x.copy()
    later[7:], earlier[:-11] = x[:-7], x[11:]
    silenced[13:17] = 0
    return dict(input=x.flatten().tolist(), sine=sine.flatten().tolist(), later=later.flatten().tolist(),
                earlier=earlier.flatten().tolist(), silenced=silenced.flatten().tolist())


image = picture()
print(json.dumps(dict(
    comment=f"torchvision {torchvision.__version__}, Pillow {PIL.__version__}, numpy {np.__version__}",
    width=WIDTH, height=HEIGHT, picture=text(image), operations=operations(image), crops=crops(image),
    resizedCrops=resized_crops(image), erasures=erasures(), cutBoxes=cut_boxes(), mixed=mixed(), signals=signals())))
