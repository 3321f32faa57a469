"""Plans for a card of any size, carried out on the CPU: the same path through the engine as on a card."""

from dataclasses import replace

from darkroom.architecture import Architecture
from darkroom.catalog import DEMO
from darkroom.machine import Card, Machine
from darkroom.planner import Plan, make_plan
from darkroom.wishes import Wishes

GIB = 2**30
# DiffSynth computes on the CPU in the type that the processor is good at.
MACHINE = Machine(
    card=Card(name="card", total=24 * GIB, free=23 * GIB, compute=(8, 6), copy_rate=10e9),
    ram_total=32 * GIB,
    ram_free=24 * GIB,
    pinnable=24 * GIB,
    cores=4,
)
BLOCKS = len(DEMO.architecture.transformer_blocks)


def streaming_plan(*, resident: tuple[int, ...] = (), slots: int = 2, number_bytes: int = 2, **changes: object) -> Plan:
    """Some blocks stay, the others stream; nothing else stays."""
    plan = make_plan(DEMO, MACHINE, Wishes(), width=256, height=256)
    largest = largest_unit(replace(DEMO.architecture, number_bytes=number_bytes))
    changed: dict[str, object] = {"resident": resident, "slots": slots, "slot_bytes": largest, "stays": (), **changes}
    return replace(plan, **changed)  # type: ignore[arg-type]


def largest_unit(architecture: Architecture) -> int:
    return max(*architecture.transformer_blocks, *architecture.t5_blocks)
