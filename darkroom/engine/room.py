"""A plan that leaves room on the card for what compiles beside the picture, and the size that is compiled for.

Must not know: what is compiled, or how a plan is found.
"""

from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace

from darkroom.engine.tracing import Size
from darkroom.errors import DoesNotFit
from darkroom.machine import Machine
from darkroom.planner import Plan
from darkroom.request import GenerationRequest


def size_of(request: GenerationRequest, prompt_tokens: int) -> Size:
    return Size(text=prompt_tokens, image=request.width // 16 * (request.height // 16))


def plan_with_room(plan_on: Callable[[Machine], Plan], machine: Machine, room: int) -> Plan:
    """`room` in bytes; where the picture would not fit then, no room is left. Raises DoesNotFit."""
    if room and machine.card is not None:
        with suppress(DoesNotFit):
            return plan_on(replace(machine, card=replace(machine.card, free=machine.card.free - room)))
    return plan_on(machine)
