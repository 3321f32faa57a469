"""A long history: makes one to look at in a browser, or measures how fast pages and searches of one are.

Run: python -m benchmarks.history_of_10000 make FOLDER [--pictures 10000], then app.py with that history folder;
or python -m benchmarks.history_of_10000 measure [--pictures 10000 100000]. Must not know: the page, or engines.
"""

import argparse
import random
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from PIL import Image
from sqlalchemy import insert

from darkroom.history.database import Database, sqlite_url
from darkroom.history.library import Library
from darkroom.history.metadata.write import png_text
from darkroom.history.pictures import png_bytes, thumbnail_bytes
from darkroom.history.tables import JobRow, PictureRow
from darkroom.request import GenerationRequest

SIDE = 256
BATCH = 4
"""Pictures of one prompt in a row."""
ROWS_AT_ONCE = 1000
COLOURS = 48
FACTS: dict[str, str | int | float] = {
    "seconds": 4.2,
    "device": "cpu",
    "model": "demo",
    "engine": "0.1.0",
    "steps": 8,
    "peak_mib": 812,
}

SUBJECTS = ("a red lighthouse", "two white sailboats", "an old barn", "a yellow tent", "一座紫色的城堡", "雪夜里的帐篷")
PLACES = ("by the sea", "in the forest", "on a green meadow", "between mountains", "海边", "山间")
LIGHTS = ("at sunset", "on a misty morning", "at night", "in heavy rain", "黄昏", "清晨的雾里")
STYLES = ("oil painting, visible brush strokes", "35 mm photograph, shallow focus", "watercolour on rough paper")
DETAIL = "highly detailed, soft light, muted colours, a calm composition with much sky, gentle clouds, far horizon"


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    commands = parser.add_subparsers(dest="command", required=True)
    maker = commands.add_parser("make", help="a history folder with real files")
    maker.add_argument("folder", type=Path)
    maker.add_argument("--pictures", type=int, default=10_000)
    measurer = commands.add_parser("measure", help="rows only, in a folder that goes away")
    measurer.add_argument("--pictures", type=int, nargs="+", default=[10_000, 100_000])
    arguments = parser.parse_args()
    if arguments.command == "make":
        if any(arguments.folder.glob("history.db*")):
            parser.error(f"{arguments.folder} has a history already")
        began = time.perf_counter()
        make(arguments.folder, arguments.pictures, files=True)
        sys.stdout.write(f"{arguments.pictures} pictures in {time.perf_counter() - began:.0f} s" + "\n")
    else:
        measure(arguments.pictures)


def make(folder: Path, count: int, *, files: bool) -> None:
    database = Database(sqlite_url(folder))
    database.open()
    colours = [picture_of(number) for number in range(COLOURS)] if files else []
    thumbnails = [thumbnail_bytes(image) for image in colours]
    rows: list[dict[str, Any]] = []
    for row in rows_of(count):
        rows.append(row)
        if files:
            which = row["id"] % COLOURS
            request = GenerationRequest.model_validate(row["request"])
            write(folder / row["file"], png_bytes(colours[which], png_text(request, FACTS)))
            inside = Path(row["file"]).relative_to("pictures").with_suffix(".webp")
            write(folder / "thumbnails" / inside, thumbnails[which])
        if len(rows) == ROWS_AT_ONCE or row["id"] == count:
            with database.writing() as session:
                session.execute(insert(JobRow), [job_of(row) for row in rows])
                session.execute(insert(PictureRow), rows)
            rows = []
    database.close()


def rows_of(count: int) -> Iterator[dict[str, Any]]:
    """The same for each run. One in a hundred is starred, one in two hundred in the trash."""
    chance = random.Random(10_000)
    first = datetime.now(UTC) - timedelta(minutes=count)
    prompt = ""
    for id in range(1, count + 1):
        if id % BATCH == 1:
            words = (chance.choice(SUBJECTS), chance.choice(PLACES), chance.choice(LIGHTS), chance.choice(STYLES))
            prompt = f"{' '.join(words[:3])}, {words[3]}, {DETAIL}, number {id}"
        made = first + timedelta(minutes=id)
        seed = chance.randrange(2**32)
        request = GenerationRequest(
            prompt=prompt,
            negative_prompt="blurry, text" if id % 10 == 0 else "",
            seed=seed,
            steps=8,
            guidance=3.5,
            width=SIDE,
            height=SIDE,
            model="demo",
        )
        yield {
            "id": id,
            "job_id": id,
            "created_at": made,
            "file": f"pictures/{made:%Y/%m}/{id:06d}-{seed}-{id:08x}.png",
            "request": request.model_dump(mode="json"),
            "facts": FACTS,
            "prompt": prompt,
            "negative_prompt": request.negative_prompt,
            "model": "demo",
            "seed": seed,
            "width": SIDE,
            "height": SIDE,
            "starred": id % 100 == 0,
            "deleted_at": made if id % 200 == 1 else None,
        }


def job_of(row: dict[str, Any]) -> dict[str, Any]:
    made = row["created_at"]
    times = {"created_at": made, "started_at": made, "finished_at": made}
    return {"id": row["id"], "state": "done", "request": row["request"], "attempts": 1} | times


def picture_of(number: int) -> Image.Image:
    """A soft gradient, each in its own colour, so that a wrong thumbnail is seen."""
    hue = Image.new("L", (SIDE, SIDE), number * 256 // COLOURS)
    light = Image.linear_gradient("L").rotate(90 * (number % 4))
    return Image.merge("HSV", (hue, Image.new("L", (SIDE, SIDE), 140), light)).convert("RGB")


def write(path: Path, content: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)


def measure(counts: list[int]) -> None:
    results: dict[str, list[str]] = {}
    for count in counts:
        with tempfile.TemporaryDirectory() as folder:
            began = time.perf_counter()
            make(Path(folder), count, files=False)
            results.setdefault("making the rows (s)", []).append(f"{time.perf_counter() - began:.1f}")
            results.setdefault("database (MB)", []).append(f"{(Path(folder) / 'history.db').stat().st_size / 1e6:.0f}")
            database = Database(sqlite_url(Path(folder)))
            database.open()
            for name, question in questions(Library(database, Path(folder)), count).items():
                results.setdefault(name, []).append(median_ms(question))
            database.close()
    sys.stdout.write(f"{'median of 7, milliseconds':44}" + "".join(f"{count:>12,}" for count in counts) + "\n")
    for name, times in results.items():
        sys.stdout.write(f"{name:44}" + "".join(f"{time:>12}" for time in times) + "\n")


def questions(library: Library, count: int) -> dict[str, Callable[[], object]]:
    middle = count // 2
    return {
        "page, newest": lambda: library.page(),
        "page, from the middle": lambda: library.page(cursor=middle),
        "page, oldest first": lambda: library.page(order="oldest"),
        "page, starred": lambda: library.page(starred=True),
        "page, starred, from the middle": lambda: library.page(starred=True, cursor=middle),
        "page, trash": lambda: library.page(trash=True),
        "search, a word of many": lambda: library.page(words="lighthouse"),
        "search, two words of many": lambda: library.page(words="sea lighthouse"),
        "search, 中文": lambda: library.page(words="城堡 黄昏"),
        "search, the oldest picture": lambda: library.page(words="number 1,"),
        "search, nothing found": lambda: library.page(words="submarine"),
        "search, nothing found, three words": lambda: library.page(words="submarine in space"),
        "search among starred, nothing found": lambda: library.page(words="submarine", starred=True),
        "neighbours": lambda: library.neighbours(middle),
        "neighbours, starred": lambda: library.neighbours(middle, starred=True),
        "neighbours, a word of many": lambda: library.neighbours(middle, words="lighthouse"),
        "neighbours, nothing found": lambda: library.neighbours(middle, words="submarine"),
        "count": lambda: library.count(),
        "count, starred": lambda: library.count(starred=True),
        "count, trash": lambda: library.count(trash=True),
        "count, a word of many": lambda: library.count(words="lighthouse"),
        "recent prompts": lambda: library.recent_prompts(),
        "recent prompts, a word of many": lambda: library.recent_prompts("lighthouse"),
        "recent prompts, nothing found": lambda: library.recent_prompts("submarine"),
        "star": lambda: library.star(middle, True),
        "delete and restore": lambda: (library.delete(middle), library.restore(middle)),
    }


def median_ms(question: Callable[[], object]) -> str:
    times = []
    for _ in range(7):
        began = time.perf_counter()
        question()
        times.append(time.perf_counter() - began)
    return f"{statistics.median(times) * 1000:.2f}"


if __name__ == "__main__":
    main()
