"""What other cards may expect: the planner's arithmetic with published rates, for cards that were not measured.

Run: python -m benchmarks.expectations. An estimate, and marked so. Must not know: engines, or how anything is measured.
"""

import sys
from dataclasses import dataclass, replace

from benchmarks.measuring import gib, seconds, table
from darkroom.cards import FLOAT8_SINCE, KNOWN, speed_of
from darkroom.catalog import FLUX1_DEV
from darkroom.footprint import COEFFICIENTS, GB, Coefficients
from darkroom.machine import Card, Machine
from darkroom.planner import Plan, make_plan
from darkroom.wishes import Wishes

SIDE, STEPS = 1024, 20
# Of a desktop with such a card. What is free of it must do for the weights, which rest in RAM.
RAM, RAM_FREE, CORES = 32 * GB, 26 * GB, 8
# A screen, a browser and CUDA itself.
SHOWN = int(0.5 * GB)
# What copies from pinned RAM reach of PCIe 4, by lanes: as much of it as the H100's of PCIe 5.
X16, X8, H100_MEASURED = 26e9, 13e9, 55e9
# No work but the transformer's multiplications, at the published rates, with copies beside them.
FLOOR = replace(
    COEFFICIENTS,
    matrix_share=1,
    attention_share=1,
    elementwise_passes=0,
    quantising_passes=0,
    launching=0,
    upcast_traffic=0,
    exposed=0,
)
# As the kernels of a fused step on an H100 (docs/benchmarks.md): 41 ms of float8 products, 24 of attention, 11 of all
# else, 6 between them. Without float8 it is torch's compiler, which made 25 passes more of the same; a weight that is
# upcast is read, written in bf16, and read: not measured.
COMPILED = replace(
    COEFFICIENTS,
    matrix_share=0.73,
    attention_share=0.63,
    elementwise_passes=48,
    quantising_passes=-25,
    launching=0.006,
    upcast_traffic=5,
)
HEAD = ("card", "GB", "float8", "streamed a step", "floor", "compiled", "uncompiled", f"{STEPS} steps, compiled")
NOTES = f"""
**An estimate**: of these cards only the H100 was measured; the shares are those of its steps. FLUX.1 dev, \
{SIDE}×{SIDE}, seconds and GiB. Streamed: what the planner lets come from RAM, over PCIe 4 at 26 GB/s (13 with eight \
lanes), beside 0.5 GB for a screen.

- floor = max(products ÷ rate in float8 + attention ÷ rate in bf16, streamed ÷ PCIe), rates as published, nothing else;
- compiled, uncompiled = max(computing, copying) + {COEFFICIENTS.exposed:.0%} of the lesser, where computing = \
products ÷ (share × rate) + attention ÷ ({COMPILED.attention_share:g} × rate) + passes over all rows ÷ \
memory's rate + launching;
- compiled: a share of {COMPILED.matrix_share:g}, {COMPILED.elementwise_passes + COMPILED.quantising_passes:g} passes \
({COMPILED.elementwise_passes:g} without float8), \
{COMPILED.launching * 1000:g} ms; \
uncompiled: {COEFFICIENTS.matrix_share:g}, \
{COEFFICIENTS.elementwise_passes + COEFFICIENTS.quantising_passes:g}, \
{COEFFICIENTS.launching * 1000:g} ms;
- cards before the 40 series have no float8: products at the rate of bf16, each weight upcast in every step \
({COMPILED.upcast_traffic:g} and \
{COEFFICIENTS.upcast_traffic:g} bytes of memory traffic a weight), and uncompiled \
{COEFFICIENTS.elementwise_passes:g} passes, as nothing is quantised.
"""


@dataclass(frozen=True, kw_only=True)
class Sold:
    """A card as it is sold: its name among the known speeds, GB, compute capability, and bytes a second from RAM."""

    name: str
    gigabytes: int
    compute: tuple[int, int]
    copy_rate: float

    def __post_init__(self) -> None:
        if speed_of(self.name, self.compute) is not KNOWN[self.name]:
            raise ValueError(f"{self.name} has no rates of its own")

    def plan(self, coefficients: Coefficients) -> Plan:
        size = self.gigabytes * GB
        card = Card(name=self.name, total=size, free=size - SHOWN, compute=self.compute, copy_rate=self.copy_rate)
        machine = Machine(card=card, ram_total=RAM, ram_free=RAM_FREE, pinnable=RAM_FREE, cores=CORES)
        return make_plan(FLUX1_DEV, machine, Wishes(), width=SIDE, height=SIDE, passes=STEPS, coefficients=coefficients)

    def cells(self) -> list[str]:
        plans = [self.plan(each) for each in (FLOOR, COMPILED, COEFFICIENTS)]
        floor, compiled, uncompiled = (plan.seconds_per_step for plan in plans)
        float8 = "yes" if self.compute >= FLOAT8_SINCE else "no"
        steps = [seconds(each) for each in (floor, compiled, uncompiled, STEPS * compiled)]
        return [self.name, str(self.gigabytes), float8, gib(plans[0].streamed_bytes), *steps]


CARDS = (
    Sold(name="RTX 3060 Ti", gigabytes=8, compute=(8, 6), copy_rate=X16),
    Sold(name="RTX 3060", gigabytes=12, compute=(8, 6), copy_rate=X16),
    Sold(name="RTX 3090", gigabytes=24, compute=(8, 6), copy_rate=X16),
    Sold(name="RTX 4060", gigabytes=8, compute=(8, 9), copy_rate=X8),
    Sold(name="RTX 4060 Ti", gigabytes=16, compute=(8, 9), copy_rate=X8),
    Sold(name="RTX 4070", gigabytes=12, compute=(8, 9), copy_rate=X16),
    Sold(name="RTX 4090 D", gigabytes=24, compute=(8, 9), copy_rate=X16),
    Sold(name="RTX 4090", gigabytes=24, compute=(8, 9), copy_rate=X16),
    Sold(name="H100", gigabytes=80, compute=(9, 0), copy_rate=H100_MEASURED),
)


def expectations() -> str:
    """As a section of the document."""
    rows = [card.cells() for card in CARDS]
    return "\n".join(("### What other cards may expect", NOTES, table(HEAD, rows)))


def main() -> int:
    print(expectations())
    return 0


if __name__ == "__main__":
    sys.exit(main())
