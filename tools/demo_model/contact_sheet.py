"""Draws many random scenes onto one sheet, for people to look at.

`python -m tools.demo_model.contact_sheet --count 50 --seed 1 --out sheet.png`
"""

from __future__ import annotations

import argparse
import random
from pathlib import Path

from PIL import Image, ImageDraw

from tools.demo_model.captions import caption
from tools.demo_model.drawing import draw
from tools.demo_model.scenes import STYLES, Scene, Style, random_scene


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
    parser.add_argument("--out", type=Path, required=True)
    args = parser.parse_args()
    style: Style = args.style
    rng = random.Random(args.seed)
    scenes = [random_scene(rng, style) for _ in range(args.count)]
    contact_sheet(scenes, seed=args.seed * 1000, columns=args.columns, size=args.size, captions=args.captions).save(
        args.out
    )


if __name__ == "__main__":
    main()
