"""Drawn pictures on disk: for each picture size an array of pixels, one of subject maps, and a list of scenes.

Must not know: models, tokens, or what the pictures are for.
"""

import json
import multiprocessing
import os
import random
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from tools.demo_model.drawing import draw, spots_rng
from tools.demo_model.layout import lay_out
from tools.demo_model.maps import PATCH, subject_map
from tools.demo_model.scenes import Scene, Style, Subject, random_scene

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
    """All drawn pictures of one size, opened read-only. `pixels` is (pictures, height, width, 3) uint8.

    `maps` is (pictures, height/16, width/16) uint8, as `subject_map` gives them.
    """

    width: int
    height: int
    scenes: tuple[Scene, ...]
    pixels: npt.NDArray[np.uint8]
    maps: npt.NDArray[np.uint8]


def draw_dataset(
    folder: Path,
    *,
    count: int,
    seed: int,
    style: Style = "book",
    sizes: Mapping[tuple[int, int], float] = SIZES,
    workers: int | None = None,
) -> None:
    """Draw about `count` pictures over `sizes` into `folder`. Same arguments, same pictures."""
    folder.mkdir(parents=True, exist_ok=True)
    jobs: list[tuple[Path, int, int, int, list[Scene], int]] = []
    for number, ((width, height), share) in enumerate(sizes.items()):
        rng = random.Random(f"{seed} {style} {width} {height}")
        scenes = [random_scene(rng, style=style) for _ in range(max(1, round(count * share)))]
        path = folder / f"{width}x{height}.npy"
        patches = (len(scenes), height // PATCH, width // PATCH)
        np.lib.format.open_memmap(path, mode="w+", dtype=np.uint8, shape=(len(scenes), height, width, 3))
        np.lib.format.open_memmap(_maps_beside(path), mode="w+", dtype=np.uint8, shape=patches)
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
        path = folder / f"{width}x{height}.npy"
        if not path.exists():
            continue
        lines = path.with_suffix(".jsonl").read_text(encoding="utf-8").splitlines()
        yield PictureSet(
            width=width,
            height=height,
            scenes=tuple(scene_from(line) for line in lines),
            pixels=np.load(path, mmap_mode="r"),
            maps=np.load(_maps_beside(path), mmap_mode="r"),
        )


def scene_from(line: str) -> Scene:
    values = json.loads(line)
    values["subjects"] = tuple(Subject(**subject) for subject in values["subjects"])
    return Scene(**values)


def _draw_some(job: tuple[Path, int, int, int, list[Scene], int]) -> None:
    path, width, height, start, scenes, first_seed = job
    pixels, maps = np.load(path, mmap_mode="r+"), np.load(_maps_beside(path), mmap_mode="r+")
    for place, scene in enumerate(scenes, start):
        seed = first_seed + place
        pixels[place] = np.asarray(draw(scene, width=width, height=height, seed=seed))
        spots = lay_out(scene, width=width, height=height, rng=spots_rng(seed))
        maps[place] = subject_map(spots, width=width, height=height)
    pixels.flush()
    maps.flush()


def _maps_beside(path: Path) -> Path:
    return path.with_suffix(".maps.npy")
