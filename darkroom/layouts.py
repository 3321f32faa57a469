"""Layout: which of a model's weights are on the card, and the ring through which the others come.

Must not know: how much memory there is, or the picture.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cache
from typing import Literal

from darkroom.architecture import Architecture
from darkroom.footprint import allocated

Part = Literal["vae", "text_encoder_1", "text_encoder_2"]

# In the order in which parts come to stay beside a whole transformer.
PARTS: tuple[Part, ...] = ("vae", "text_encoder_1", "text_encoder_2")


@dataclass(frozen=True, kw_only=True)
class Layout:
    """`streamed` are places of transformer blocks in running order; `stays`, parts that never leave the card.

    `lent` are blocks that stay but for decoding: the VAE has their room, and they come again with the next picture.

    T5 streams unless it stays, and modulation that is apart from its blocks always does, once for many steps; CLIP and
    the VAE come as a whole.
    """

    streamed: tuple[int, ...]
    stays: tuple[Part, ...]
    slots: int
    lent: tuple[int, ...] = ()

    def resident(self, model: Architecture) -> tuple[int, ...]:
        return tuple(place for place in range(len(model.transformer_blocks)) if place not in self.streamed)

    def lending(self, model: Architecture, size: int) -> "Layout | None":
        """This layout with so many bytes lent, or a little more; None where there are not as many.

        Evenly spread, so that in the next picture's first step they come beside the arithmetic of those between.
        """
        resident = self.resident(model)
        for count in range(len(resident) + 1):
            layout = replace(self, lent=tuple(resident[place] for place in _evenly(count, len(resident))))
            if layout.lent_bytes(model) >= size:
                return layout
        return None

    def lent_bytes(self, model: Architecture) -> int:
        return sum(allocated(model.transformer_blocks[place]) for place in self.lent)

    def streamed_bytes(self, model: Architecture) -> int:
        """Of a step."""
        joint, single = self._streamed(model)
        return joint * model.joint_block_bytes + single * model.single_block_bytes

    def slot_bytes(self, model: Architecture) -> int:
        """The largest unit that streams; 0 when none does."""
        joint, single = self._streamed(model)
        return max(
            model.joint_block_bytes if joint else 0,
            model.single_block_bytes if single else 0,
            *model.modulation_units,
            0 if "text_encoder_2" in self.stays else max(model.t5_blocks),
        )

    def resting_bytes(self, model: Architecture) -> int:
        """What is on the card in every stage, but for what is lent in decoding."""
        joint, single = self._streamed(model)
        blocks = (model.joint_blocks - joint) * allocated(model.joint_block_bytes)
        blocks += (model.single_blocks - single) * allocated(model.single_block_bytes)
        parts = {
            "vae": allocated(model.vae_bytes),
            "text_encoder_1": allocated(model.clip_bytes),
            "text_encoder_2": allocated(model.t5_norm_bytes) + sum(map(allocated, model.t5_blocks)),
        }
        return blocks + allocated(model.transformer_rest_bytes) + sum(parts[part] for part in self.stays)

    def _streamed(self, model: Architecture) -> tuple[int, int]:
        """How many joint blocks, and how many single ones."""
        joint = sum(place < model.joint_blocks for place in self.streamed)
        return joint, len(self.streamed) - joint


@cache
def streamed_sets(model: Architecture) -> tuple[tuple[int, ...], ...]:
    """Sets of transformer blocks that might stream, from none to all, the fewest bytes first.

    Joint blocks are larger and take as long as single ones: where both stream, each part of a step streams about as
    many bytes as the other. Where only single blocks stream, the ring's slots are smaller.
    """
    joint, single = model.joint_blocks, model.single_blocks
    counts = {(0, number) for number in range(single + 1)}
    joints = singles = 0
    while (joints, singles) != (joint, single):
        joint_density = (joints + 1) * model.joint_block_bytes / joint
        single_density = (singles + 1) * model.single_block_bytes / single
        if singles == single or (joints < joint and joint_density < single_density):
            joints += 1
        else:
            singles += 1
        counts.add((joints, singles))
    ordered = sorted(counts, key=lambda pair: pair[0] * model.joint_block_bytes + pair[1] * model.single_block_bytes)
    return tuple(
        (*_evenly(joints, joint), *(joint + place for place in _evenly(singles, single))) for joints, singles in ordered
    )


def _evenly(number: int, places: int) -> Iterator[int]:
    return ((2 * each + 1) * places // (2 * number) for each in range(number))
