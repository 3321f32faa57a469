"""A machine as far as pictures need it: a card, memory, cores; and the names people know a card's memory by.

Must not know: torch, how it is looked at, or models.
"""

from dataclasses import dataclass
from typing import Literal

from darkroom.footprint import GB

Profile = Literal["24", "16", "12", "8", "6", "4", "cpu"]

PROFILES: tuple[tuple[Profile, int], ...] = (("24", 24), ("16", 16), ("12", 12), ("8", 8), ("6", 6), ("4", 4))
# A card sold with 8 GB shows a little less.
SHARE_OF_A_PROFILE = 0.93


@dataclass(frozen=True, kw_only=True)
class Card:
    """Bytes. `free` counts what this process itself holds for models as free, and its CUDA context as taken.

    `copy_rate` is bytes a second from pinned RAM.
    """

    name: str
    total: int
    free: int
    compute: tuple[int, int]
    copy_rate: float


@dataclass(frozen=True, kw_only=True)
class Machine:
    """Bytes. `ram_free` counts what this process itself holds as free. `pinnable` is how much of it may be pinned.

    `number_bytes` is what the processor computes with: 2 for bf16, 4 for float32. A card always computes in bf16.
    """

    card: Card | None
    ram_total: int
    ram_free: int
    pinnable: int
    cores: int
    number_bytes: int = 4


def profile_for(card: Card | None) -> Profile:
    """The name people know a card's memory by."""
    if card is None:
        return "cpu"
    return next((name for name, size in PROFILES if card.total >= size * GB * SHARE_OF_A_PROFILE), "4")
