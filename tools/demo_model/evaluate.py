"""Measures how well the shipped demo model does what it is asked, on captions never used in training.

Run: python -m tools.demo_model.evaluate [--captions 500] [--size 512x512] [--steps 8] [--guidance 3.5] [--json FILE].
A judge trained on the drawing program's labels looks at each picture; only what the caption asked for counts.
"""

import argparse
import json
import random
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import torch
from safetensors.torch import load_file
from torch import Tensor

from tools.demo_model.captions import caption
from tools.demo_model.judge import Judge
from tools.demo_model.paint import Painter
from tools.demo_model.scenes import COLOURS, KINDS, PLACES, TERRAINS, TIMES, WEATHERS, Scene, random_scene

HERE = Path(__file__).parent
BARS = {"kind": 0.90, "colour": 0.95, "place": 0.90, "weather": 0.95, "time": 0.95}


@dataclass(frozen=True, kw_only=True)
class Request:
    scene: Scene
    text: str
    asked: frozenset[str]


class Paints(Protocol):
    """Whatever makes pictures (n, 3, H, W) in −1…1 of prompts."""

    def paint(
        self,
        prompts: Sequence[str],
        *,
        seeds: Sequence[int],
        width: int,
        height: int,
        steps: int,
        guidance: float,
        cfg_scale: float,
    ) -> Tensor: ...


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", type=Path, default=Path("models/demo"))
    parser.add_argument("--judge", type=Path, default=HERE / "judge.safetensors")
    parser.add_argument("--captions", type=int, default=500)
    parser.add_argument("--language", choices=("en", "zh", "both"), default="both")
    parser.add_argument("--size", default="512x512", help="WIDTHxHEIGHT")
    parser.add_argument("--steps", type=int, default=8)
    parser.add_argument("--guidance", type=float, default=3.5)
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    device = torch.device(arguments.device)
    width, height = (int(side) for side in arguments.size.split("x"))
    began = time.monotonic()
    requests = held_out(arguments.captions, arguments.language)
    painter = Painter.of_shipped(arguments.model, device)
    options = {"width": width, "height": height, "steps": arguments.steps, "guidance": arguments.guidance}
    result = fidelity(painter, load_judge(arguments.judge, device), requests, **options)
    print(f"{len(requests)} captions, {options}, {time.monotonic() - began:.0f} s")
    for name, (right, judged) in result.items():
        bar = f"bar {BARS[name]:.0%}" if name in BARS else ""
        print(f"  {name:8} {right / max(1, judged):7.1%}  of {judged:4}  {bar}")
    if arguments.json:
        shares = {name: right / max(1, judged) for name, (right, judged) in result.items()}
        arguments.json.write_text(json.dumps(options | {"captions": len(requests)} | shares, indent=1) + "\n")


def held_out(count: int, language: str = "both") -> list[Request]:
    """Scenes and captions of a seed that training never uses; every fourth one in Chinese where both are asked for."""
    rng = random.Random("held out")
    requests = []
    for number in range(count):
        scene = random_scene(rng)
        chinese = language == "zh" or (language == "both" and number % 4 == 3)
        said = caption(scene, rng, language="zh" if chinese else "en")
        requests.append(Request(scene=scene, text=said.text, asked=said.mentioned))
    return requests


def load_judge(path: Path, device: torch.device) -> Judge:
    judge = Judge()
    judge.load_state_dict({name: value.float() for name, value in load_file(path).items()})
    return judge.to(device).eval()


@torch.no_grad()
def fidelity(
    painter: Paints,
    judge: Judge,
    requests: list[Request],
    *,
    width: int = 512,
    height: int = 512,
    steps: int = 8,
    guidance: float = 3.5,
    cfg_scale: float = 1.0,
) -> dict[str, tuple[int, int]]:
    """For each label: how often right, of how many asked for."""
    seen: dict[str, list[Tensor]] = {}
    for start in range(0, len(requests), 32):
        some = requests[start : start + 32]
        pictures = painter.paint(
            [request.text for request in some],
            seeds=range(start, start + len(some)),
            width=width,
            height=height,
            steps=steps,
            guidance=guidance,
            cfg_scale=cfg_scale,
        )
        for name, scores in judge(pictures).items():
            seen.setdefault(name, []).append(scores.argmax(-1).cpu())
    answers = {name: torch.cat(found) for name, found in seen.items()}
    marks: dict[str, list[bool]] = {}
    for number, request in enumerate(requests):
        for name, right in _marks(request, {name: found[number].tolist() for name, found in answers.items()}):
            marks.setdefault(name, []).append(right)
    return {name: (sum(marks[name]), len(marks[name])) for name in sorted(marks)}


def _marks(request: Request, seen: dict[str, list[int]]) -> list[tuple[str, bool]]:
    scene, asked = request.scene, request.asked
    whole = (("time", TIMES, scene.time), ("weather", WEATHERS, scene.weather), ("terrain", TERRAINS, scene.terrain))
    marks = [(name, words[seen[name]] == wanted) for name, words, wanted in whole if name in asked]  # type: ignore[call-overload]
    for number, subject in enumerate(scene.subjects):
        if f"kind:{number}" not in asked:
            continue
        wanted_place = PLACES.index(subject.place)
        places = [place for place, kind in enumerate(seen["kind"]) if kind == 1 + KINDS.index(subject.kind)]
        marks.append(("kind", bool(places)))
        if f"place:{number}" in asked:
            marks.append(("place", wanted_place in places))
        if not places:
            continue
        place = wanted_place if wanted_place in places else places[0]
        if f"colour:{number}" in asked:
            marks.append(("colour", seen["colour"][place] == 1 + COLOURS.index(subject.colour)))
        if f"count:{number}" in asked:
            marks.append(("count", seen["count"][place] == subject.count))
    return marks


if __name__ == "__main__":
    main()
