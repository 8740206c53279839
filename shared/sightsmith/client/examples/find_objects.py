"""Finds objects on images: `python predict.py IMAGE…`. Needs onnxruntime, numpy and pillow, and nothing else."""

import json
import sys
from pathlib import Path

import numpy as np
import onnxruntime
from PIL import Image, ImageOps

if not sys.argv[1:]:
    sys.stderr.write("usage: python predict.py IMAGE…\n")
    sys.exit(2)
folder = Path(__file__).parent
labels, thresholds = (json.loads((folder / name).read_text("utf-8")) for name in ("labels.json", "thresholds.json"))
model = onnxruntime.InferenceSession(folder / "model.onnx", providers=["CPUExecutionProvider"])
side = model.get_inputs()[0].shape[1]
failed = []
for path in sys.argv[1:]:
    try:
        image = Image.open(path)
        image.draft(None, (2 * side, 2 * side))  # The JPEG decoder shrinks large photos much faster.
        picture = image.convert("RGBA")
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        failed.append(f"{path} cannot be read as an image: {error}")
        continue
    opaque = Image.alpha_composite(Image.new("RGBA", picture.size, "white"), picture).convert("RGB")
    square = opaque.resize((side, side), Image.Resampling.BICUBIC, reducing_gap=3)
    square.getexif().update(image.getexif())
    pixels = np.asarray(ImageOps.exif_transpose(square))[None]
    found = model.run(["OUTPUT__0", "OUTPUT__1", "OUTPUT__2"], {"INPUT__0": pixels})
    for box, score, label in zip(*(output[0] for output in found), strict=True):
        if score >= thresholds[labels[label]]:  # The box: left, top, right, bottom in shares of the image's sides.
            sys.stdout.write(f"{path}\t{labels[label]}\t{score:.6f}\t{' '.join(f'{side:.5f}' for side in box)}\n")
if failed:
    sys.exit("\n".join(failed))
