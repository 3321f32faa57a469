"""A row of the table of engines side by side: what came of one case, in figures or in the words of a fault.

Must not know: engines, or how anything was measured.
"""

import json
from collections.abc import Iterable
from dataclasses import dataclass

from benchmarks.measuring import Peak, Timing, gib, seconds
from benchmarks.promises import Case

HEAD: tuple[str, ...] = ("engine", "card", "size", "steps", "s/step", "new prompt", "same prompt", "encode", "decode")
HEAD += ("reserved", "allocated", "RAM", "streamed a step")
NOTES = """
Seconds and GiB. Card: `N GB` is emulated: the process may take N − 0.7 GiB. s/step: the median of the steps after the
first. New prompt, same prompt: a whole picture, warm; ≈ where it was measured with fewer steps, and lengthened by the
median step. Encode, decode: wall time before the first and after the last step. Reserved, allocated: the most on the
card; RAM: the process's own pages and pinned memory, at their most, with the weights. Stock: DiffSynth's documented
set-up for small cards (float8 in RAM, `vram_limit` as large as it could be without running out); stock-bf16: all of it
on the card. diffusers, cache-dit: our transformer's own float8 layers under their offloading hooks, steps only.
"""


@dataclass(frozen=True, kw_only=True)
class Row:
    """What came of a case: figures, or `fault`. Seconds and bytes; `measured_steps` may be fewer than asked for."""

    case: Case
    fault: str = ""
    note: str = ""
    measured_steps: int = 0
    step: float | None = None
    warm_up: float | None = None
    new_prompt: float | None = None
    same_prompt: float | None = None
    encode: float | None = None
    decode: float | None = None
    reserved: int = 0
    allocated: int = 0
    ram: int = 0
    streamed: int = 0
    pixels: str = ""

    @classmethod
    def of(cls, case: Case, timing: Timing, peak: Peak) -> "Row":
        return cls(
            case=case,
            measured_steps=len(timing.steps),
            step=timing.step,
            new_prompt=timing.with_steps(case.steps),
            encode=timing.encode,
            decode=timing.decode,
            reserved=peak.reserved,
            allocated=peak.allocated,
            ram=peak.ram,
        )

    @classmethod
    def read(cls, text: str) -> "Row":
        values = json.loads(text)
        return cls(**{**values, "case": Case(**values["case"])})

    def cells(self) -> list[str]:
        case = self.case
        engine = f"{case.engine} ({self.note})" if self.note else case.engine
        cells = [engine, f"{case.cap:g} GB" if case.cap else "whole", f"{case.width}×{case.height}", str(case.steps)]
        if self.fault:
            return [*cells, self.fault, *[""] * (len(HEAD) - len(cells) - 1)]
        about = "≈ " if self.measured_steps < case.steps else ""
        wholes = ["–" if each is None else about + seconds(each) for each in (self.new_prompt, self.same_prompt)]
        memory = [gib(each) for each in (self.reserved, self.allocated, self.ram, self.streamed)]
        return [*cells, seconds(self.step), *wholes, seconds(self.encode), seconds(self.decode), *memory]


def same_pictures(made: Iterable[tuple[str, Case, str]]) -> list[str]:
    """By whom, of what, its digest: a line for each size, on which of the cards it is the same, bit for bit."""
    cards: dict[str, dict[str, list[str]]] = {}
    for who, case, pixels in made:
        if pixels:
            cap = f"{case.cap:g} GB" if case.cap else "whole"
            cards.setdefault(f"{who}, {case.width}×{case.height}", {}).setdefault(pixels, []).append(cap)
    return [
        f"{what}, the same pixels at: {'; at: '.join(', '.join(each) for each in found.values())}."
        for what, found in cards.items()
    ]
