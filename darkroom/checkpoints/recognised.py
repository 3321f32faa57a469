"""What a file of weights was found to be. Must not know: how it was found out, or what will be done with it."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal

from darkroom.architecture import Architecture
from darkroom.checkpoints.parts import PartName
from darkroom.checkpoints.sources import Found, Source

# "flux1": a part that goes with dev and schnell alike.
Family = Literal["flux1-dev", "flux1-schnell", "flux1"]
Layout = Literal["native", "prefixed", "diffusers", "all_in_one", "pipeline", "lora"]


@dataclass(frozen=True, kw_only=True)
class RecognisedPart:
    """`dtype` is that of most of its bytes, as safetensors calls it; `scaled`: it is float8 and has scales beside it.

    `sources` says by its makers' names where each tensor is in `files`.
    """

    name: PartName
    files: tuple[Path, ...]
    dtype: str
    scaled: bool
    bytes: int
    found: Found = field(repr=False)

    @property
    def sources(self) -> Mapping[str, Source]:
        return self.found.sources


@dataclass(frozen=True, kw_only=True)
class Recognised:
    """`architecture` is that of the transformer, or of what a lone part belongs to; `guidance` there tells dev-like
    from schnell-like. A LoRA has no parts; what it is for, `darkroom.loras` says. `title` is what it calls itself.
    """

    path: Path
    layout: Layout
    family: Family | None
    parts: tuple[RecognisedPart, ...]
    files: tuple[Path, ...]
    bytes: int
    architecture: Architecture | None
    title: str | None

    @property
    def is_lora(self) -> bool:
        return self.layout == "lora"

    @property
    def part_names(self) -> tuple[PartName, ...]:
        return tuple(part.name for part in self.parts)

    @property
    def dtypes(self) -> tuple[str, ...]:
        """Each once, that of the largest part first."""
        by_size = sorted(self.parts, key=lambda part: -part.bytes)
        return tuple(dict.fromkeys(part.dtype for part in by_size))

    def fits(self, architecture: Architecture) -> bool:
        """The same in all but whether the small text encoder is float8, which only says how it was saved."""
        own = self.architecture
        return own is not None and replace(own, clip=replace(own.clip, float8=architecture.clip.float8)) == architecture

    def part(self, name: PartName) -> RecognisedPart | None:
        return next((part for part in self.parts if part.name == name), None)
