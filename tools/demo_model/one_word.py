"""Measures what one changed word changes: the same seed, the same words, but another colour or another time of day.

Run: python -m tools.demo_model.one_word [--pairs 100]. Must not know: how the model was trained.
"""

import argparse
import random
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from tools.demo_model.evaluate import HERE, load_judge
from tools.demo_model.paint import Painter, sheet
from tools.demo_model.scenes import COLOURS, KINDS, PLACES, TERRAINS, TIMES, Colour, Kind, Place

SIDE = 512
WHERE: dict[Place, str] = {"left": "on the left", "centre": "in the middle", "right": "on the right"}


@dataclass(frozen=True, kw_only=True)
class Pair:
    """Two prompts that differ in the colour of the thing at `place`, and which colours these are."""

    before: str
    after: str
    kind: Kind
    place: Place
    old: Colour
    new: Colour


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", type=Path, default=Path("models/demo"))
    parser.add_argument("--judge", type=Path, default=HERE / "judge.safetensors")
    parser.add_argument("--pairs", type=int, default=100)
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--sheet", type=Path, help="a file for the first pairs, each above the other")
    arguments = parser.parse_args()
    device = torch.device(arguments.device)
    painter, judge = Painter.of_shipped(arguments.model, device), load_judge(arguments.judge, device)
    pairs, seeds = random_pairs(arguments.pairs), range(arguments.pairs)
    before = painter.paint([pair.before for pair in pairs], seeds=seeds, width=SIDE, height=SIDE)
    after = painter.paint([pair.after for pair in pairs], seeds=seeds, width=SIDE, height=SIDE)
    with torch.no_grad():
        seen = [{name: scores.argmax(-1).cpu() for name, scores in judge(one).items()} for one in (before, after)]
    places = torch.tensor([PLACES.index(pair.place) for pair in pairs])
    rows = torch.arange(len(pairs))
    new = torch.tensor([1 + COLOURS.index(pair.new) for pair in pairs])
    turned = seen[1]["colour"][rows, places] == new
    same_thing = seen[0]["kind"][rows, places] == seen[1]["kind"][rows, places]
    same_around = torch.stack([seen[0][name] == seen[1][name] for name in ("time", "weather", "terrain")]).all(0)
    inside, outside = _differences(before, after, places)
    print(f"{len(pairs)} pairs, one colour word changed, {SIDE}×{SIDE}:")
    print(f"  the thing has the new colour       {float(turned.float().mean()):6.1%}")
    print(f"  it is the same kind of thing       {float(same_thing.float().mean()):6.1%}")
    print(f"  time, weather and land are the same {float(same_around.float().mean()):5.1%}")
    print(f"  mean difference of 255, in its third {inside:.1f}, elsewhere {outside:.1f}")
    if arguments.sheet is not None:
        shown = torch.stack([before[:12], after[:12]]).cpu()
        sheet(torch.cat([shown[:, :6].flatten(0, 1), shown[:, 6:].flatten(0, 1)]), columns=6).save(arguments.sheet)


def random_pairs(count: int) -> list[Pair]:
    rng = random.Random("one word")
    pairs = []
    for _ in range(count):
        kind, place = rng.choice([kind for kind in KINDS if kind != "sailboat"]), rng.choice(PLACES)
        old, new = rng.sample(COLOURS, 2)
        rest = f"{kind} {WHERE[place]}, {rng.choice(TERRAINS)}, {rng.choice(TIMES)}"
        pairs.append(Pair(before=f"a {old} {rest}", after=f"a {new} {rest}", kind=kind, place=place, old=old, new=new))
    return pairs


def _differences(before: Tensor, after: Tensor, places: Tensor) -> tuple[float, float]:
    """Mean absolute differences, of 255, in the third of the picture where the thing is, and in the other two."""
    columns = ((before - after).abs() * 127.5).mean((1, 2)).cpu()
    third = torch.arange(columns.shape[1]) * len(PLACES) // columns.shape[1]
    inside = third[None] == places[:, None]
    return float(columns[inside].mean()), float(columns[~inside].mean())


if __name__ == "__main__":
    main()
