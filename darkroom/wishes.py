"""Wishes: what whoever runs Darkroom asks of a plan for memory.

Must not know: settings, machines, or how a plan is found.
"""

from dataclasses import dataclass
from typing import Literal

from darkroom.machine import Profile


@dataclass(frozen=True, kw_only=True)
class Wishes:
    """What whoever runs Darkroom asks for. Limits are bytes, 0 for none; of several limits the lowest counts.

    `vram_limit` and a profile stand for a whole card of that size. `offload` False: all of the model stays on the
    card, or it is refused. `keep_in_vram`: text encoders and VAE stay as far as they fit, even where blocks of the
    transformer must stream for it. `vae_tile` is the side of a tile in pixels. `modulation_table`: what the transformer
    makes of time, pooled prompt and guidance is computed for all steps at once, and the layers that do so, 27 % of
    FLUX.1's transformer, take no room on the card beside its blocks; even with `offload` False they only visit.
    `vram_share`: of the card, only so much of what would be taken, or as much more as a picture needs at least.
    `from_disk`: weights that stream rest in their files, whatever room RAM has.
    """

    profile: Literal["auto"] | Profile = "auto"
    offload: bool = True
    keep_in_vram: bool = False
    vram_limit: int = 0
    ram_limit: int = 0
    vae_tile: Literal["auto", "off"] | int = "auto"
    modulation_table: bool = True
    vram_share: float = 1.0
    from_disk: bool = False
