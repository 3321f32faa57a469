"""Draws many random scenes onto one sheet, for people to look at; or has the demo model paint captions of such scenes.

`python -m tools.demo_model.contact_sheet --count 50 --seed 1 --out sheet.png`; for the model, `--model models/demo`.
"""

from __future__ import annotations

import argparse
import random
from pathlib import Path

import torch
from PIL import Image, ImageDraw

from tools.demo_model.captions import caption
from tools.demo_model.drawing import draw
from tools.demo_model.evaluate import held_out
from tools.demo_model.paint import Painter, to_images
from tools.demo_model.scenes import STYLES, Scene, Style, random_scene

CAPTIONS_JUDGED = 500


def contact_sheet(scenes: list[Scene], *, seed: int, columns: int, size: int, captions: bool) -> Image.Image:
    """The scenes in rows, each with a caption below it if asked for."""
    line = 42 if captions else 4
    rows = -(-len(scenes) // columns)
    sheet = Image.new("RGB", (columns * (size + 4), rows * (size + line)), (30, 30, 34))
    pen = ImageDraw.Draw(sheet)
    for i, scene in enumerate(scenes):
        x, y = i % columns * (size + 4), i // columns * (size + line)
        sheet.paste(draw(scene, width=size, height=size, seed=seed + i), (x, y))
        if captions:
            text = caption(scene, random.Random(seed + i)).text
            pen.multiline_text((x + 2, y + size + 2), _wrapped(text, size // 6), fill=(230, 230, 230))
    return sheet


def painted_sheet(model: Path, *, count: int, columns: int, size: int) -> Image.Image:
    """What the model paints at 512 × 512 for the `count` captions that follow those of `evaluate`; not picked."""
    painter = Painter.of_shipped(model, torch.device("cpu"))
    texts = [request.text for request in held_out(CAPTIONS_JUDGED + count)[CAPTIONS_JUDGED:]]
    rows = -(-count // columns)
    paper = Image.new("RGB", (columns * (size + 4) - 4, rows * (size + 4) - 4), (30, 30, 34))
    pictures = to_images(painter.paint(texts, seeds=range(1000, 1000 + count), at_once=10))
    for place, picture in enumerate(pictures):
        corner = place % columns * (size + 4), place // columns * (size + 4)
        paper.paste(picture.resize((size, size), Image.Resampling.LANCZOS), corner)
    return paper


def _wrapped(text: str, width: int) -> str:
    lines = [""]
    for word in text.split():
        if len(lines[-1]) + len(word) > width:
            lines.append("")
        lines[-1] = f"{lines[-1]} {word}".strip()
    return "\n".join(lines[:3])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=50)
    parser.add_argument("--columns", type=int, default=10)
    parser.add_argument("--size", type=int, default=256)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--style", choices=STYLES, default="book")
    parser.add_argument("--captions", action="store_true")
    parser.add_argument(
        "--model", type=Path, help="paint, with this model, captions that neither training nor judging used"
    )
    parser.add_argument("--out", type=Path, required=True)
    args = parser.parse_args()
    if args.model is not None:
        painted_sheet(args.model, count=args.count, columns=args.columns, size=args.size).save(args.out, quality=86)
        return
    style: Style = args.style
    rng = random.Random(args.seed)
    scenes = [random_scene(rng, style) for _ in range(args.count)]
    contact_sheet(scenes, seed=args.seed * 1000, columns=args.columns, size=args.size, captions=args.captions).save(
        args.out
    )


if __name__ == "__main__":
    main()
