"""The engines that are measured side by side: ours, stock DiffSynth, diffusers, and our transformer under their hooks.

Must not know: tables, processes, or what a row looks like in words.
"""

import argparse
import time
from dataclasses import replace
from pathlib import Path

import torch

from benchmarks.diffusers_flux import WAYS, DiffusersFlux, Way
from benchmarks.full_size import SHAPES, HookedSteps, build_stock, limit_stock, make_stock, request_of
from benchmarks.measuring import GIB, Clock, Gauge, Timing, cap_card, check_picture, say, tidy
from benchmarks.promises import Case, Ours
from benchmarks.rows import Row
from darkroom.engine.flux import computation_type

DIFFUSERS: dict[str, Way] = {f"diffusers-{way}": way for way in WAYS}
ENGINES = ("ours", "ours-compiled", "stock", "stock-bf16", *DIFFUSERS, "diffusers", "cache-dit")
# Of the first picture, which is not counted.
WARMING_STEPS = 2
# GiB that stock's `vram_limit` stays below the card's size: its documentation's, then more.
HEADROOMS = (0.5, 1.5, 2.5, 3.5)


class OursUnderCaps:
    """Our engine. A plan for each case; the pictures of one case share it. `compiled_into`: where graphs are kept."""

    def __init__(self, options: argparse.Namespace, *, compiled_into: Path | None = None) -> None:
        self._ours = Ours(options)
        if compiled_into is not None:
            compilation = self._ours.pipeline.compilation
            compilation.wishes = replace(compilation.wishes, mode="on", folder=compiled_into)

    def measure(self, case: Case) -> Row:
        ours, plan = self._ours, self._ours.plan(case)
        cap_card(ours.device, case.cap_bytes)
        ours.settle_into(plan)
        with Gauge(ours.device) as warming:
            warm, _ = ours.picture(warming, plan, replace(case, steps=WARMING_STEPS), "warm up")
        ours.pipeline.prompts.clear()
        with Gauge(ours.device) as gauge:
            new, pixels = ours.picture(gauge, plan, case, "a lighthouse")
            same, pixels_again = ours.picture(gauge, plan, case, "a lighthouse")
        if pixels_again != pixels:
            raise AssertionError("the same request gave two pictures")
        row = replace(Row.of(case, new, gauge.peak), same_prompt=same.whole, streamed=plan.streamed_bytes)
        notes = [f"tile {plan.decode_tile}"] if plan.decode_tile else []
        if case.engine == "ours-compiled" and (why := ours.pipeline.compilation.why_not):
            notes.append(f"uncompiled: {why}")
        return replace(row, pixels=pixels, warm_up=warm.whole, note=", ".join(notes))


class Stock:
    """DiffSynth as its documentation sets it up. What it may prepare on the card is lowered until a picture fits."""

    def __init__(self, options: argparse.Namespace, *, low_vram: bool) -> None:
        self._shape = SHAPES[options.model]
        self._device = torch.device(options.device)
        # Without a card, DiffSynth's management of its memory raises.
        self._low_vram = low_vram and self._device.type == "cuda"
        self._pipeline = build_stock(self._shape, self._device, low_vram=self._low_vram)
        self._steps = options.stock_steps
        self._headrooms = list(HEADROOMS)
        self._warm_up: float | None = None

    def measure(self, case: Case) -> Row:
        cap_card(self._device, case.cap_bytes)
        steps = min(self._steps or case.steps, case.steps)
        while True:
            try:
                limit = self._limit(case) if self._low_vram else None
                if self._warm_up is None:
                    small = replace(case, width=256, height=256, steps=1)
                    self._warm_up = self._picture(Gauge(self._device), small).whole
                with Gauge(self._device) as gauge:
                    timing = self._picture(gauge, replace(case, steps=steps))
                row = Row.of(case, timing, gauge.peak)
                # It keeps nothing of a prompt it has read.
                note = "" if limit is None else f"limit {limit:.1f}"
                return replace(row, same_prompt=row.new_prompt, warm_up=self._warm_up, note=note)
            except torch.OutOfMemoryError:
                if len(self._headrooms) == 1 or not self._low_vram:
                    raise
                say(f"stock ran out of memory {self._headrooms.pop(0)} GiB below the card's size")
            tidy()

    def _limit(self, case: Case) -> float:
        whole = torch.cuda.mem_get_info(self._device)[1] / GIB
        limit = max(0.0, (case.cap or whole) - self._headrooms[0])
        limit_stock(self._pipeline, limit)
        tidy()
        return limit

    def _picture(self, gauge: Gauge, case: Case) -> Timing:
        request = request_of(self._shape.entry, "a lighthouse", width=case.width, height=case.height, steps=case.steps)
        timing, pixels = make_stock(self._pipeline, self._shape, Clock(gauge, self._device), request)
        check_picture(pixels)
        return timing


class Hooked:
    """Our transformer's steps under another package's hooks."""

    def __init__(self, options: argparse.Namespace, hooks: str) -> None:
        self._device = torch.device(options.device)
        self._steps = HookedSteps(SHAPES[options.model], hooks, self._device, computation_type(self._device))
        self._count = options.stock_steps

    def measure(self, case: Case) -> Row:
        plan = self._steps.plan(case.cap_bytes, width=case.width, height=case.height)
        cap_card(self._device, case.cap_bytes)
        self._steps.follow(plan)
        with Gauge(self._device) as gauge:
            clock = Clock(gauge, self._device)
            count = 1 + min(self._count or case.steps, case.steps)
            timing = self._steps.run(clock, width=case.width, height=case.height, steps=count)
        row = Row.of(case, timing, gauge.peak)
        return replace(row, new_prompt=None, encode=None, decode=None)


class Diffusers:
    """diffusers' own FLUX.1, which knows no amount of memory to use."""

    def __init__(self, options: argparse.Namespace, way: Way) -> None:
        self._device = torch.device(options.device)
        self._shape = SHAPES[options.model]
        self._flux = DiffusersFlux(self._shape, way, self._device, computation_type(self._device))

    def measure(self, case: Case) -> Row:
        cap_card(self._device, case.cap_bytes)
        with Gauge(self._device) as warming:
            warm = self._picture(warming, replace(case, steps=WARMING_STEPS))
        with Gauge(self._device) as gauge:
            timing = self._picture(gauge, case)
        row = replace(Row.of(case, timing, gauge.peak), same_prompt=timing.whole, warm_up=warm.whole)
        return replace(row, new_prompt=None, encode=None)

    def _picture(self, gauge: Gauge, case: Case) -> Timing:
        request = request_of(self._shape.entry, "", width=case.width, height=case.height, steps=case.steps)
        timing, pixels = self._flux.make(Clock(gauge, self._device), request)
        check_picture(pixels)
        return timing


Bench = OursUnderCaps | Stock | Diffusers | Hooked


def build(engine: str, options: argparse.Namespace) -> Bench:
    began = time.monotonic()
    if engine == "ours":
        bench: Bench = OursUnderCaps(options)
    elif engine == "ours-compiled":
        bench = OursUnderCaps(options, compiled_into=Path(options.folder))
    elif engine in ("stock", "stock-bf16"):
        bench = Stock(options, low_vram=engine == "stock")
    elif engine in DIFFUSERS:
        bench = Diffusers(options, DIFFUSERS[engine])
    else:
        bench = Hooked(options, engine)
    say(f"{engine}: built in {time.monotonic() - began:.0f} s")
    return bench
