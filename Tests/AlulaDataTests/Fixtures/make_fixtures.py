"""Draws the pictures of this folder and records what Pillow makes of them in golden.json.

Usage: python make_fixtures.py [FOLDER_OF_SHARED_DATA]     (needs pillow and numpy)

With the folder of shared data, the SHA-256 of its decoded photos are recorded too.
"""
import hashlib
import io
import json
import random
import struct
import sys
import zlib
from pathlib import Path

import numpy as np
import PIL
from PIL import Image, ImageDraw, ImageOps, features

HERE = Path(__file__).parent
FILTERS = dict(nearest=0, lanczos=1, bilinear=2, bicubic=3, box=4, hamming=5)
RESIZES = [(37, 29, 16, 16), (37, 29, 64, 51), (61, 23, 13, 40), (23, 61, 41, 61), (61, 23, 61, 7), (1, 5, 7, 3),
           (5, 1, 2, 9), (40, 40, 1, 1), (97, 131, 33, 47), (31, 17, 31, 17), (200, 3, 7, 150), (64, 64, 63, 65),
           (50, 90, 56, 56), (70, 90, 56, 56), (40, 60, 30, 39), (40, 60, 30, 40), (9, 300, 5, 4), (30, 20, 30, 7)]


def drawing(width, height, scale=4):
    """A bird on a branch, in a colour gradient: smooth areas, edges and saturated colours."""
    x, y = np.meshgrid(np.linspace(0, 1, width * scale), np.linspace(0, 1, height * scale))
    sky = np.stack([80 + 170 * y, 120 + 80 * x * y, 220 - 130 * y], axis=-1)
    picture = Image.fromarray(sky.astype(np.uint8))
    pen, w, h = ImageDraw.Draw(picture), width * scale, height * scale
    pen.line([0, h * 0.8, w, h * 0.7], fill=(70, 40, 20), width=max(1, h // 16))
    pen.ellipse([w * 0.25, h * 0.3, w * 0.7, h * 0.75], fill=(20, 110, 190))
    pen.ellipse([w * 0.55, h * 0.15, w * 0.8, h * 0.45], fill=(250, 140, 30))
    pen.polygon([w * 0.78, h * 0.26, w * 0.95, h * 0.32, w * 0.78, h * 0.36], fill=(30, 30, 30))
    pen.polygon([w * 0.3, h * 0.5, w * 0.05, h * 0.45, w * 0.3, h * 0.65], fill=(120, 20, 140))
    return picture.resize((width, height), Image.Resampling.LANCZOS)


def noise(width, height):
    """Bytes of a linear congruential generator, as the test makes them too."""
    state, values = 12345, bytearray()
    for _ in range(width * height * 3):
        state = (state * 1664525 + 1013904223) % 2**32
        values.append(state >> 24)
    return Image.frombytes("RGB", (width, height), bytes(values))


def chunk(name, data):
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))


def png(width, height, depth, color, rows, extra=b""):
    """An uncommon PNG that Pillow does not write, from packed rows."""
    raw = b"".join(b"\0" + bytes(row) for row in rows)
    return (b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, depth, color, 0, 0, 0))
            + extra + chunk(b"IDAT", zlib.compress(raw, 9)) + chunk(b"IEND", b""))


ADAM7 = [(0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2)]


def interlaced(picture):
    pixels, raw = np.asarray(picture), b""
    for x, y, dx, dy in ADAM7:
        for row in pixels[y::dy, x::dx]:
            if row.size:
                raw += b"\0" + row.tobytes()
    header = struct.pack(">IIBBBBB", picture.width, picture.height, 8, 2, 0, 0, 1)
    return (b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(raw, 9)) + chunk(b"IEND", b""))


def saved(picture, kind, **options):
    out = io.BytesIO()
    picture.save(out, kind, **options)
    return out.getvalue()


def tiff(orientation, order="<"):
    head = b"II*\0" if order == "<" else b"MM\0*"
    entry = struct.pack(order + "HHIHH", 0x0112, 3, 1, orientation, 0)
    return head + struct.pack(order + "IH", 8, 1) + entry + struct.pack(order + "I", 0)


def pictures():
    bird, small = drawing(45, 31), drawing(21, 13)
    gray = bird.convert("L")
    for orientation in range(1, 9):
        exif = b"Exif\0\0" + tiff(orientation, "<>"[orientation % 2])
        yield f"orientation_{orientation}.jpg", saved(drawing(24, 17), "JPEG", quality=85, exif=exif)
    yield "baseline_444.jpg", saved(bird, "JPEG", quality=90, subsampling=0)
    yield "baseline_422.jpg", saved(bird, "JPEG", quality=75, subsampling=1)
    yield "baseline_420.jpg", saved(bird, "JPEG", quality=75, subsampling=2)
    yield "restarts.jpg", saved(bird, "JPEG", quality=75, restart_marker_blocks=2)
    yield "progressive.jpg", saved(bird, "JPEG", quality=80, progressive=True)
    yield "gray.jpg", saved(gray, "JPEG", quality=80)
    yield "cmyk.jpg", saved(bird.convert("CMYK"), "JPEG", quality=85)
    yield "rgb_not_ycc.jpg", saved(bird, "JPEG", quality=85, keep_rgb=True)
    cmyk = saved(bird.convert("CMYK"), "JPEG", quality=85)
    at = cmyk.index(b"Adobe")
    yield "ycck.jpg", cmyk[:at + 11] + b"\x02" + cmyk[at + 12:]
    yield "rgb.png", saved(bird, "PNG", optimize=True)
    yield "interlaced.png", interlaced(small)
    yield "gray.png", saved(gray, "PNG")
    faint = small.convert("L")
    yield "gray_alpha.png", saved(Image.merge("LA", (faint, faint.point(lambda v: 255 - v))), "PNG")
    yield "rgba.png", saved(Image.merge("RGBA", (*small.split(), faint)), "PNG")
    yield "bilevel.png", saved(gray.convert("1"), "PNG")
    indexed = bird.quantize(13)
    yield "palette_4bit.png", saved(indexed, "PNG", bits=4)
    yield "palette_transparent.png", saved(bird.quantize(40), "PNG", transparency=bytes(range(0, 240, 6)))
    rng = random.Random(7)
    yield "gray_2bit.png", png(21, 5, 2, 0, [[rng.randrange(256) for _ in range(6)] for _ in range(5)])
    yield "gray_4bit_transparent.png", png(
        9, 6, 4, 0, [[rng.randrange(256) for _ in range(5)] for _ in range(6)], chunk(b"tRNS", b"\0\7"))
    two = chunk(b"PLTE", bytes([200, 30, 40, 10, 90, 220]))
    yield "palette_1bit.png", png(19, 4, 1, 3, [[rng.randrange(256) for _ in range(3)] for _ in range(4)], two)
    yield "palette_beyond_end.png", png(5, 2, 8, 3, [[0, 1, 2, 3, 200]] * 2, two)
    deep = np.asarray(small).astype(">u2") * 257 - 40
    yield "rgb_16bit.png", png(21, 13, 16, 2, [row.tobytes() for row in deep])
    alpha = np.concatenate([deep, deep[..., :1]], axis=-1)
    yield "rgba_16bit.png", png(21, 13, 16, 6, [row.tobytes() for row in alpha])
    yield "gray_16bit.png", png(21, 13, 16, 0, [row[:, 1].tobytes() for row in deep])
    shallow = [row.tobytes() for row in np.asarray(small)]
    yield "gamma.png", png(21, 13, 8, 2, shallow, chunk(b"gAMA", struct.pack(">I", 100000)))
    yield "orientation_6.png", png(21, 13, 8, 2, shallow, chunk(b"eXIf", tiff(6)))


def golden(path):
    picture = ImageOps.exif_transpose(Image.open(path))
    if picture.mode.startswith("I;16"):  # Pillow clips at 255; Alula keeps the high byte
        picture = Image.fromarray((np.asarray(picture) >> 8).astype(np.uint8))
    picture = picture.convert("RGB")
    return dict(width=picture.width, height=picture.height, sha256=hashlib.sha256(picture.tobytes()).hexdigest())


def main(shared):
    files = {}
    for name, data in pictures():
        (HERE / name).write_bytes(data)
        files[name] = golden(HERE / name)
    resizes = []
    for name, number in FILTERS.items():
        for w, h, new_w, new_h in RESIZES:
            result = noise(w, h).resize((new_w, new_h), number).tobytes()
            digest = hashlib.sha256(result).hexdigest()
            resizes.append(dict(filter=name, size=[w, h], new=[new_w, new_h], sha256=digest))
    old = json.loads((HERE / "golden.json").read_text()) if (HERE / "golden.json").exists() else {}
    outside = old.get("shared", {})
    if shared:
        chosen = sorted((shared / "photos").iterdir()) + sorted((shared / "imagenet-sample").glob("*.JPEG"))[::14]
        outside = {str(path.relative_to(shared)): golden(path) for path in chosen if path.name != "truncated.jpg"}
    def lines(entries):  # one entry a line
        return json.dumps(entries, separators=(",", ":")).replace("},", "},\n")

    document = dict(pillow=PIL.__version__, libjpeg_turbo=features.version("libjpeg_turbo"), files=files,
                    resizes=resizes, shared=outside)
    parts = [f'"{key}": {lines(value)}' for key, value in document.items()]
    (HERE / "golden.json").write_text("{\n" + ",\n".join(parts) + "\n}\n")


main(Path(sys.argv[1]) if len(sys.argv) > 1 else None)
