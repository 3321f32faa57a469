"""Draws a data set. Run: python -m tools.demo_model.draw_dataset --out DIR --count N --seed S [--style ink]."""

import argparse
from pathlib import Path

from tools.demo_model.dataset import SIZES, draw_dataset
from tools.demo_model.scenes import STYLES


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--count", type=int, required=True)
    parser.add_argument("--seed", type=int, required=True)
    parser.add_argument("--style", choices=STYLES, default="book")
    parser.add_argument("--only", metavar="WIDTHxHEIGHT", help="pictures of this size alone, instead of all sizes")
    parser.add_argument("--workers", type=int, default=None)
    arguments = parser.parse_args()
    sizes = SIZES
    if arguments.only:
        width, height = (int(side) for side in arguments.only.split("x"))
        sizes = {(width, height): 1.0}
    draw_dataset(
        arguments.out,
        count=arguments.count,
        seed=arguments.seed,
        style=arguments.style,
        sizes=sizes,
        workers=arguments.workers,
    )


if __name__ == "__main__":
    main()
