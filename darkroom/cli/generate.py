"""`generate`: an order, followed until each of its pictures is made or cannot be, and the files.

Must not know: which Darkroom makes them.
"""

import os
import time
from argparse import Namespace
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from darkroom.cli.darkroom import Studio, View
from darkroom.cli.terminal import Terminal
from darkroom.errors import CommandRefused, InvalidRequest, Problem, shown
from darkroom.files import write_whole

VALUES = (
    "prompt",
    "negative_prompt",
    "seed",
    "count",
    "steps",
    "width",
    "height",
    "guidance",
    "cfg_scale",
    "model",
    "loras",
)
ENDED = ("done", "failed", "cancelled")
SECONDS_BETWEEN_LOOKS = 0.1
PAUSED = "queue_paused"


@dataclass(frozen=True, kw_only=True)
class Wish:
    """`values` are those that were said; for all others holds what the model begins with."""

    values: dict[str, Any]
    out: Path | None
    resume: bool


def wish_of(said: Namespace) -> Wish:
    """Raises InvalidRequest where a picture could not be written, before anything is made."""
    given = vars(said)
    if said.out is not None and not _can_be_written(said.out):
        allowed = "a file name that ends in .png, in a folder that is there and can be written to"
        raise InvalidRequest(Problem(field="--out", value=shown(str(said.out)), allowed=allowed))
    values = {name: given[name] for name in VALUES if given[name] is not None}
    return Wish(values=values, out=said.out, resume=said.resume)


def generate(studio: Studio, wish: Wish, terminal: Terminal) -> int:
    """The exit code. Raises DarkroomError where nothing was begun."""
    queue = studio.queue()
    if queue["paused"] and wish.resume:
        studio.resume_queue()
    elif queue["paused"]:
        raise CommandRefused(PAUSED, f"{queue['words']} Resume it on the page, or with --resume.")
    jobs = studio.order(wish.values)
    try:
        prompt = _prompt_told(studio.reading(wish.values), terminal)
        views = _followed(studio, jobs, terminal)
        return _told(studio, views, wish.out, prompt, terminal)
    except KeyboardInterrupt:
        for job in jobs:
            if studio.job(job)["state"] not in ENDED:
                studio.stop(job)
        raise


def _prompt_told(reading: View, terminal: Terminal) -> View:
    """Of several prompts, the longest. What the model does not read of it is no refusal, but is said."""
    tokens, unread = reading["tokens"], (reading["unread"] or {}).get("words", "")
    if unread:
        terminal.trouble(unread)
    return {"tokens": tokens and tokens["used"], "most_tokens": tokens and tokens["limit"], "unread": unread}


def _followed(studio: Studio, jobs: Sequence[int], terminal: Terminal) -> list[View]:
    """The jobs at their ends. One that will not begin, because the queue paused over a fault, is cancelled."""
    views = []
    for number, job in enumerate(jobs, start=1):
        while (view := studio.job(job))["state"] not in ENDED:
            queue = studio.queue() if view["state"] == "waiting" else {}
            if queue.get("paused") and queue["code"] is not None:
                terminal.trouble(queue["words"])
                studio.stop(job)
            terminal.progress(_progress(view, number, len(jobs)))
            time.sleep(SECONDS_BETWEEN_LOOKS)
        views.append(view)
    terminal.clear()
    return views


def _progress(view: View, number: int, count: int) -> str:
    words = view["words"]
    which = f"{number} / {count}" if count > 1 else ""
    return " · ".join(part for part in (which, words["activity"], words["detail"], words["left"]) if part)


def _told(studio: Studio, views: Sequence[View], out: Path | None, prompt: View, terminal: Terminal) -> int:
    pictures, failed = [], []
    for number, view in enumerate(views, start=1):
        told = {"job": view["id"], "seed": view["seed"]}
        if view["state"] != "done":
            words = " ".join(part for part in (view["words"]["error"], view["words"]["next"]) if part)
            words = words or view["words"]["activity"]
            failed.append(told | {"state": view["state"], "error": view["error"], "words": words})
            terminal.trouble(f"Job {view['id']}: {words}")
            continue
        place = studio.place(view["picture"])
        if out is not None:
            file = out if len(views) == 1 else out.with_stem(f"{out.stem}-{number}")
            try:
                write_whole(file, studio.picture(view["picture"]))
            except OSError as error:
                words = f"{file} could not be written ({error.strerror}). The picture is in the history: {place}"
                failed.append(told | {"state": "done", "error": "not_written", "words": words})
                terminal.trouble(words)
                continue
            place = str(file)
        pictures.append(told | {"picture": view["picture"], "file": place})
        terminal.line(place)
    terminal.result({"pictures": pictures, "failed": failed, "prompt": prompt})
    return 1 if failed else 0


def _can_be_written(out: Path) -> bool:
    try:
        is_name = out.suffix.lower() == ".png" and not out.is_dir()
        return is_name and out.parent.is_dir() and os.access(out.parent, os.W_OK)
    except OSError:  # a name longer than any file's
        return False
