"""Looks at a model in training: fidelity at several guidances, sizes and steps, and sheets of pictures.

Run: python -m tools.demo_model.trial --help. Must not know: how the model is exported.
"""

import argparse
from pathlib import Path
from typing import Any

import torch

from tools.demo_model.evaluate import fidelity, held_out, load_judge
from tools.demo_model.paint import Painter, sheet

PROMPTS = (
    "a small red house on the left and a tall green tree on the right, meadow, morning",
    "a white cat in the snow at night",
    "a blue sailboat on the sea at sunset",
    "three yellow balloons over the mountains, clear day",
    "a purple castle by a lake in the mist",
    "a pink rabbit and an orange mushroom in the forest, rain",
    "夜晚的雪山，左边一座红色的房子",
    "日落时海边的白色灯塔",
    "",
    "a dragon reading a newspaper",
    "a yellow car in the desert, cloudy",
    "a blue kite on the left, a red kite on the right",
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--network", type=Path, help="training's weights; without it the shipped ones are looked at")
    parser.add_argument("--vae", type=Path)
    parser.add_argument("--tokenizers", type=Path)
    parser.add_argument("--model", type=Path, default=Path("models/demo"))
    parser.add_argument("--judge", type=Path, required=True)
    parser.add_argument("--captions", type=int, default=500)
    parser.add_argument("--runs", nargs="+", default=["512x512:8:3.5:1"], help="WIDTHxHEIGHT:STEPS:GUIDANCE:CFG")
    parser.add_argument("--sheets", type=Path, help="folder for sheets of pictures")
    parser.add_argument("--sheet-runs", nargs="*", default=["512x512:8:3.5:1"])
    parser.add_argument("--count", type=int, default=24)
    arguments = parser.parse_args()
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    if arguments.network:
        painter = Painter.of_training(
            network=arguments.network, vae=arguments.vae, tokenizers=arguments.tokenizers, device=device
        )
    else:
        painter = Painter.of_shipped(arguments.model, device)
    judge = load_judge(arguments.judge, device)
    for run in arguments.runs:
        found = fidelity(painter, judge, held_out(arguments.captions), **_options(run))
        line = ", ".join(f"{name} {right / max(1, judged):.1%}" for name, (right, judged) in found.items())
        print(f"trial {run}: {line}", flush=True)
    if arguments.sheets is None:
        return
    arguments.sheets.mkdir(parents=True, exist_ok=True)
    texts = [*PROMPTS, *(request.text for request in held_out(arguments.count))][: arguments.count]
    for run in arguments.sheet_runs:
        pictures = painter.paint(texts, seeds=range(100, 100 + len(texts)), **_options(run))
        name = run.replace(":", "_").replace(".", "-")
        sheet(pictures, columns=6).save(arguments.sheets / f"sheet_{name}.jpg", quality=88)


def _options(run: str) -> dict[str, Any]:
    size, steps, guidance, cfg_scale = run.split(":")
    width, height = size.split("x")
    return {
        "width": int(width),
        "height": int(height),
        "steps": int(steps),
        "guidance": float(guidance),
        "cfg_scale": float(cfg_scale),
    }


if __name__ == "__main__":
    main()
