"""What the presets trade: time against likeness, for each preset as it is and for each trade alone.

Run: python -m benchmarks.presets [--model demo|flux1] [--size WxH] [--pictures 12] [--cap GB] [--compile] [--write].
Of FLUX.1's shapes with random weights only times mean anything: which steps are passed over is given, every second one
or two of three. --fit: the curve of the demo's step cache, from its own pictures. Must not know: how steps are made.
"""

import argparse
import statistics
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np
import torch
from torch import Tensor

from benchmarks.documents import ENGINE, command_of, write_section
from benchmarks.fidelity import JUDGE
from benchmarks.full_size import MODELS, SHAPES, build_ours, make_ours, plan_ours, request_of
from benchmarks.likeness import ssim
from benchmarks.measuring import GIB, Clock, Gauge, again_as_the_engine, cap_card, machine_line, say, seconds, table
from darkroom.catalog import ModelEntry, Preset
from darkroom.engine import demo
from darkroom.engine.compilation import CompileWishes
from darkroom.engine.flux import WatchedPipeline, computation_type, load_pipeline
from darkroom.engine.step_cache import Curve, StepCache
from darkroom.engine.watcher import Watcher
from darkroom.request import GenerationRequest
from tools.demo_model.evaluate import Request, fidelity, held_out, load_judge

FEWER_STEPS_MADE: dict[str, Curve] = {"every second step made": (0.0, 0.6), "a third of the steps made": (0.0, 0.4)}
THRESHOLDS = (0.1, 0.15, 0.2, 0.3, 0.4)
POWERS = 2


@dataclass(frozen=True, kw_only=True)
class Way:
    """A preset, or one with a trade. `against` names the way without it; `curve` if not the model's own."""

    name: str
    preset: Preset
    against: str = ""
    curve: Curve | None = None


@dataclass(frozen=True, kw_only=True)
class Made:
    """One picture: seconds, how many steps were made, and its pixels (3, H, W) in −1…1."""

    whole: float
    computed: int
    pixels: Tensor


class Bench:
    """Our engine, one way after the other for each prompt, so that what else the machine does is shared by all."""

    def __init__(self, options: argparse.Namespace, cache: Path) -> None:
        self._options, self._device = options, torch.device(options.device)
        self.entry = SHAPES[options.model].entry
        self._width, self._height = options.size
        cap_card(self._device, int(options.cap * GIB) if options.cap else None)
        self.pipeline = self._pipeline()
        if options.compile:
            self.pipeline.compilation.wishes = CompileWishes(mode="on", folder=cache)

    def _pipeline(self) -> WatchedPipeline:
        if self._options.model == "demo":
            return load_pipeline(self.entry, MODELS, self._device, Watcher())
        return build_ours(SHAPES[self._options.model], self._device, computation_type(self._device))

    def make(self, way: Way, prompt: str, seed: int) -> Made:
        asked = request_of(self.entry, prompt, width=self._width, height=self._height, steps=way.preset.steps)
        asked = GenerationRequest.model_validate(asked.model_dump() | way.preset.values | {"seed": seed})
        own, self.pipeline.curve = self.pipeline.curve, way.curve or self.pipeline.curve
        counted = _Counted(self.pipeline)
        try:
            plan = plan_ours(self.pipeline, asked, int(self._options.cap * GIB) if self._options.cap else None)
            with Gauge(self._device) as gauge:
                timing, pixels = make_ours(self.pipeline, plan, Clock(gauge, self._device), asked)
        finally:
            self.pipeline.curve = own
        picture = torch.frombuffer(bytearray(pixels), dtype=torch.uint8).view(self._height, self._width, 3)
        computed = counted.end()
        return Made(whole=timing.whole, computed=computed, pixels=picture.permute(2, 0, 1).float() / 127.5 - 1)


class _Counted:
    """How often the transformer's first block has run."""

    def __init__(self, pipeline: WatchedPipeline) -> None:
        self._count = 0
        self._hook = pipeline.dit.blocks[0].register_forward_hook(self._another)

    def _another(self, *_: object) -> None:
        self._count += 1

    def end(self) -> int:
        self._hook.remove()
        return self._count


def ways_of(model: ModelEntry, *, trained: bool) -> list[Way]:
    """The presets, and each trade alone on the finest of them: the first is what all are compared with."""
    fast, standard, fine = model.presets
    whole = replace(fine, step_cache=0.0, prompt_tokens=0) if trained else replace(standard, step_cache=0.0)
    name = f"{whole.steps} steps"
    ways = [Way(name=name, preset=whole)]
    if trained:
        ways += [
            Way(name=f"step cache {threshold:g}", preset=replace(whole, step_cache=threshold), against=name)
            for threshold in THRESHOLDS
        ]
    else:
        ways += [
            Way(name=each, preset=replace(whole, step_cache=1.0), against=name, curve=curve)
            for each, curve in FEWER_STEPS_MADE.items()
        ]
    half = model.prompt_tokens // 2
    ways.append(Way(name=f"{half} tokens of the prompt", preset=replace(whole, prompt_tokens=half), against=name))
    return ways + [Way(name=preset.name.capitalize(), preset=preset, against=name) for preset in (fast, standard, fine)]


def compare(bench: Bench, ways: Sequence[Way], options: argparse.Namespace) -> str:
    trained = options.model == "demo"
    asked = held_out(options.pictures)
    made: dict[str, list[Made]] = {way.name: [] for way in ways}
    for way in ways:
        bench.make(way, "a lighthouse", 0)
    for number, each in enumerate(asked):
        for way in ways:
            made[way.name].append(bench.make(way, each.text, number))
        say(f"{number + 1} of {len(asked)}")
    first = made[ways[0].name]
    head = ["", "steps", "step cache", "prompt tokens", "steps made", "seconds", "times as fast"]
    head += ["SSIM, mean", "SSIM, lowest", "judge"] if trained else []
    rows = []
    for way in ways:
        found, preset = made[way.name], way.preset
        times = statistics.median(one.whole / other.whole for one, other in zip(first, found, strict=True))
        prompt = preset.prompt_tokens or bench.entry.prompt_tokens
        row = [way.name, str(preset.steps), f"{preset.step_cache:g}", str(prompt)]
        row += [f"{statistics.mean(each.computed for each in found):.1f}"]
        row += [seconds(statistics.median(each.whole for each in found)), f"{times:.2f}"]
        if trained:
            alike = ssim(_pixels(found), _pixels(first))
            row += [f"{alike.mean():.3f}", f"{alike.min():.3f}", _judged(asked, found)]
        rows.append(row)
    return table(head, rows)


def _pixels(made: Sequence[Made]) -> Tensor:
    return torch.stack([each.pixels for each in made])


class _Shown:
    """Stands where the judge's program expects a painter: shows what is painted already."""

    def __init__(self, made: Sequence[Made]) -> None:
        self._made = made

    def paint(self, prompts: Sequence[str], *, seeds: Sequence[int], **_: float) -> Tensor:  # noqa: ARG002
        return _pixels([self._made[seed] for seed in seeds])


def _judged(asked: list[Request], made: Sequence[Made]) -> str:
    height, width = made[0].pixels.shape[1:]
    marks = fidelity(_Shown(made), load_judge(JUDGE, torch.device("cpu")), asked, width=width, height=height)
    return f"{100 * sum(right for right, _ in marks.values()) / max(1, sum(of for _, of in marks.values())):.1f} %"


# --- the curve


class _Noting(StepCache):
    """Passes nothing over, and notes by how much the first block's input and the blocks' work change in each step."""

    def __init__(self, steps: int) -> None:
        super().__init__(0.0, steps, (0.0,))
        self.notes: list[tuple[float, float]] = []
        self._work: Tensor | None = None
        self._changed = 0.0

    def check(self, dit: Any, hidden_states: Tensor, conditioning: Tensor) -> bool:
        before = self._given
        super().check(dit, hidden_states, conditioning)
        self._changed = 0.0 if before is None else _share(self._given, before, before)
        return False

    def store(self, hidden_states: Tensor) -> None:
        super().store(hidden_states)
        work, self._work = self._work, self._made
        if work is not None:
            self.notes.append((self._changed, _share(self._work, work, hidden_states)))


def _share(one: Tensor | None, other: Tensor, of: Tensor) -> float:
    assert one is not None
    return float((one - other).abs().mean() / of.abs().mean())


def fit(bench: Bench, options: argparse.Namespace) -> str:
    """A polynomial through what pictures of the finest preset show."""
    fine = replace(bench.entry.presets[-1], step_cache=1.0)

    def noting(_threshold: float, *, steps: int, **_: object) -> StepCache:
        caches.append(_Noting(steps))
        return caches[-1]

    caches: list[_Noting] = []
    with patch("darkroom.engine.flux.step_cache_for", noting):
        for number, each in enumerate(held_out(options.pictures)):
            bench.make(Way(name="", preset=fine), each.text, number)
    notes = [note for cache in caches for note in cache.notes]
    changes, works = np.array(notes).T
    factors = ", ".join(f"{factor:.4g}" for factor in np.polyfit(changes, works, POWERS))
    return f"From {options.pictures} pictures of {fine.steps} steps: ({factors})"


def main(arguments: Sequence[str] | None = None) -> int:
    options = _options(arguments)
    if (ended := again_as_the_engine("benchmarks.presets", arguments)) is not None:
        return ended
    if options.threads:
        torch.set_num_threads(options.threads)
    with tempfile.TemporaryDirectory() as cache:
        bench = Bench(options, Path(cache))
        try:
            text = fit(bench, options) if options.fit else _section(bench, options, arguments)
        finally:
            bench.pipeline.compilation.stop()
    print(text, flush=True)
    if options.write and not options.fit:
        write_section(options.write, f"presets-{options.model}", text)
    return 0


def _section(bench: Bench, options: argparse.Namespace, arguments: Sequence[str] | None) -> str:
    trained = options.model == "demo"
    ways = ways_of(bench.entry, trained=trained)
    width, height = options.size
    words = [f"{bench.entry.title}, {width}×{height}, {options.pictures} new prompts, each in all ways in turn."]
    words.append("Seconds: the median of whole pictures. Times as fast: than the first row, the median over prompts.")
    if trained:
        words.append("SSIM against the first row's pictures. Judge: its share of right answers.")
    if options.cap:
        words.append(f"The card as one of {options.cap:g} GB.")
    if options.compile:
        words.append("Compiled.")
    title = "## What the presets trade" + ("" if trained else f": {bench.entry.title}")
    command = f"`{command_of('benchmarks.presets', arguments)}`, {machine_line(torch.device(options.device))}."
    return "\n".join([title, "", command, "", " ".join(words), "", compare(bench, ways, options)])


def _size(words: str) -> tuple[int, int]:
    width, _, height = words.partition("x")
    return int(width), int(height)


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--model", choices=tuple(SHAPES), default="demo")
    parser.add_argument("--size", type=_size, help="WIDTHxHEIGHT; by default the model's own")
    parser.add_argument("--pictures", type=int, default=12)
    parser.add_argument("--cap", type=float, default=0.0, help="GB of the card to emulate; 0: all of it")
    parser.add_argument("--compile", action="store_true", help="compiled graphs, made before the first picture")
    parser.add_argument("--device", choices=("cuda", "cpu"), default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--threads", type=int, default=0, help="of the processor; 0: as many as torch takes")
    parser.add_argument("--fit", action="store_true", help="only find the curve of the demo's step cache")
    parser.add_argument("--write", type=Path, nargs="?", const=ENGINE, help="put the table into this document")
    options = parser.parse_args(arguments)
    demo.register()
    entry = SHAPES[options.model].entry
    options.size = options.size or (entry.default_width, entry.default_height)
    if options.fit and options.model != "demo":
        parser.error("--fit needs a model whose pictures mean something")
    return options


if __name__ == "__main__":
    sys.exit(main())
