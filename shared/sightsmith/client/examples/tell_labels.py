"""Tells what is on images: `python predict.py IMAGE…`. Needs onnxruntime, numpy and pillow, and nothing else."""

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
kept = ("labels", "thresholds", "task")
labels, thresholds, task = (json.loads((folder / f"{name}.json").read_text("utf-8")) for name in kept)
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
    (scores,) = model.run(None, {"INPUT__0": np.asarray(ImageOps.exif_transpose(square))[None]})[0]
    ranked = sorted(zip(scores, labels, strict=True), reverse=True)
    for score, label in ranked[:1] if task == "classification" else ranked:
        if score >= thresholds.get(label, 0):
            sys.stdout.write(f"{path}\t{label}\t{score:.6f}\n")
if failed:
    sys.exit("\n".join(failed))
