"""The models Darkroom knows: where their files lie, what they allow, and their defaults.

Must not know: tensors, devices, or how a model is run.
"""

from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Literal, get_args

from darkroom.architecture import DEMO as DEMO_ARCHITECTURE
from darkroom.architecture import FLUX1, Architecture
from darkroom.errors import InvalidRequest, NotFound, Problem
from darkroom.request import GenerationRequest

PresetName = Literal["fast", "standard", "fine"]
PRESET_NAMES: tuple[PresetName, ...] = get_args(PresetName)


@dataclass(frozen=True, kw_only=True)
class Preset:
    """A choice between speed and detail, made with one click. Whoever runs Darkroom may set others in the settings."""

    name: PresetName
    steps: int
    guidance: float


@dataclass(frozen=True, kw_only=True)
class ModelFiles:
    """Paths below the models folder."""

    transformer: PurePosixPath
    text_encoder_1: PurePosixPath
    text_encoder_2: PurePosixPath
    vae: PurePosixPath
    tokenizer_1: PurePosixPath
    tokenizer_2: PurePosixPath
    latent_colours: PurePosixPath


@dataclass(frozen=True, kw_only=True)
class ModelEntry:
    """One model. Sizes are pixels; `prompt_tokens` is how much of a prompt the second text encoder reads.

    The preset "standard" is what the form begins with: `default_steps` and `default_guidance`.
    """

    name: str
    title: str
    family: str
    licence: str
    files: ModelFiles
    architecture: Architecture
    smallest_side: int
    largest_side: int
    default_width: int
    default_height: int
    default_steps: int
    default_guidance: float
    prompt_tokens: int
    presets: tuple[Preset, ...]

    def check(self, request: GenerationRequest) -> None:
        """Raise InvalidRequest where this model allows less than `GenerationRequest` does."""
        problems = tuple(
            Problem(field=field, value=str(side), allowed=f"{self.smallest_side} to {self.largest_side} pixels")
            for field, side in (("width", request.width), ("height", request.height))
            if not self.smallest_side <= side <= self.largest_side
        )
        if problems:
            raise InvalidRequest(*problems)


DEMO = ModelEntry(
    name="demo",
    title="Darkroom demo",
    family="flux1",
    licence="MIT",
    files=ModelFiles(
        transformer=PurePosixPath("demo/transformer.safetensors"),
        text_encoder_1=PurePosixPath("demo/text_encoder.safetensors"),
        text_encoder_2=PurePosixPath("demo/text_encoder_2.safetensors"),
        vae=PurePosixPath("demo/ae.safetensors"),
        tokenizer_1=PurePosixPath("demo/tokenizer"),
        tokenizer_2=PurePosixPath("demo/tokenizer_2"),
        latent_colours=PurePosixPath("demo/latent_colours.json"),
    ),
    architecture=DEMO_ARCHITECTURE,
    smallest_side=256,
    largest_side=512,
    default_width=512,
    default_height=512,
    default_steps=8,
    default_guidance=3.5,
    prompt_tokens=96,
    presets=(
        Preset(name="fast", steps=4, guidance=3.5),
        Preset(name="standard", steps=8, guidance=3.5),
        Preset(name="fine", steps=20, guidance=3.5),
    ),
)

# The real thing's size, for benchmarks and plans. Its weights are not ours to ship, and no page offers it yet.
FLUX1_DEV = ModelEntry(
    name="flux1-dev",
    title="FLUX.1 [dev]",
    family="flux1",
    licence="FLUX.1 [dev] Non-Commercial License",
    files=ModelFiles(
        transformer=PurePosixPath("flux1-dev/flux1-dev.safetensors"),
        text_encoder_1=PurePosixPath("flux1-dev/clip_l.safetensors"),
        text_encoder_2=PurePosixPath("flux1-dev/t5xxl.safetensors"),
        vae=PurePosixPath("flux1-dev/ae.safetensors"),
        tokenizer_1=PurePosixPath("flux1-dev/tokenizer"),
        tokenizer_2=PurePosixPath("flux1-dev/tokenizer_2"),
        latent_colours=PurePosixPath("flux1-dev/latent_colours.json"),
    ),
    architecture=FLUX1,
    smallest_side=256,
    largest_side=2048,
    default_width=1024,
    default_height=1024,
    default_steps=20,
    default_guidance=3.5,
    prompt_tokens=512,
    presets=(
        Preset(name="fast", steps=12, guidance=3.5),
        Preset(name="standard", steps=20, guidance=3.5),
        Preset(name="fine", steps=40, guidance=3.5),
    ),
)

MODELS: tuple[ModelEntry, ...] = (DEMO,)


def find_model(name: str) -> ModelEntry:
    """Raises NotFound."""
    for entry in MODELS:
        if entry.name == name:
            return entry
    raise NotFound("model", name)
