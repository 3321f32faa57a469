"""Drawn pictures on disk: one memory-mapped array of pixels and one list of scenes for each picture size.

Must not know: models, tokens, or what the pictures are for.
"""

import json
import multiprocessing
import os
import random
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from tools.demo_model.drawing import draw
from tools.demo_model.scenes import Scene, Subject, random_scene

# (width, height): share of all pictures. Sides are multiples of 16 from 256 to 512 pixels.
SIZES: dict[tuple[int, int], float] = {
    (512, 512): 0.24,
    (512, 384): 0.09,
    (384, 512): 0.09,
    (384, 384): 0.14,
    (512, 288): 0.07,
    (288, 512): 0.07,
    (512, 256): 0.03,
    (256, 512): 0.03,
    (256, 256): 0.24,
}
PICTURES_AT_ONCE = 64


@dataclass(frozen=True, kw_only=True)
class PictureSet:
    """All drawn pictures of one size. `pixels` is (pictures, height, width, 3) uint8, opened read-only."""

    width: int
    height: int
    scenes: tuple[Scene, ...]
    pixels: npt.NDArray[np.uint8]


def draw_dataset(folder: Path, *, count: int, seed: int, style: str = "book", workers: int | None = None) -> None:
    """Draw about `count` pictures over SIZES into `folder`. Same arguments, same pictures."""
    folder.mkdir(parents=True, exist_ok=True)
    jobs: list[tuple[Path, int, int, int, list[Scene], int]] = []
    for number, ((width, height), share) in enumerate(SIZES.items()):
        rng = random.Random(f"{seed} {style} {width} {height}")
        scenes = [random_scene(rng, style=style) for _ in range(max(1, round(count * share)))]
        path = folder / f"{width}x{height}.npy"
        np.lib.format.open_memmap(path, mode="w+", dtype=np.uint8, shape=(len(scenes), height, width, 3))
        lines = "\n".join(json.dumps(asdict(scene)) for scene in scenes)
        (folder / f"{width}x{height}.jsonl").write_text(lines, encoding="utf-8")
        first_seed = seed * 100_000_000 + number * 10_000_000
        jobs += [
            (path, width, height, start, scenes[start : start + PICTURES_AT_ONCE], first_seed)
            for start in range(0, len(scenes), PICTURES_AT_ONCE)
        ]
    with multiprocessing.get_context("fork").Pool(workers or os.cpu_count()) as pool:
        for _ in pool.imap_unordered(_draw_some, jobs):
            pass
    (folder / "drawn").touch()


def picture_sets(folder: Path) -> Iterator[PictureSet]:
    """The sets of `draw_dataset`, one for each size."""
    for width, height in SIZES:
        lines = (folder / f"{width}x{height}.jsonl").read_text(encoding="utf-8").splitlines()
        yield PictureSet(
            width=width,
            height=height,
            scenes=tuple(scene_from(line) for line in lines),
            pixels=np.load(folder / f"{width}x{height}.npy", mmap_mode="r"),
        )


def scene_from(line: str) -> Scene:
    values = json.loads(line)
    values["subjects"] = tuple(Subject(**subject) for subject in values["subjects"])
    return Scene(**values)


def _draw_some(job: tuple[Path, int, int, int, list[Scene], int]) -> None:
    path, width, height, start, scenes, first_seed = job
    pixels = np.load(path, mmap_mode="r+")
    for offset, scene in enumerate(scenes):
        picture = draw(scene, width=width, height=height, seed=first_seed + start + offset)
        pixels[start + offset] = np.asarray(picture)
    pixels.flush()
