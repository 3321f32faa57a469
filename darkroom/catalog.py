"""The models Darkroom knows: where their files lie, what they allow, and their defaults.

Must not know: tensors, devices, or how a model is run.
"""

from dataclasses import dataclass, replace
from pathlib import PurePosixPath
from typing import Any, Literal, get_args

from darkroom.architecture import DEMO as DEMO_ARCHITECTURE
from darkroom.architecture import FLUX1, Architecture
from darkroom.errors import InvalidRequest, NotFound, Problem
from darkroom.request import GenerationRequest
from darkroom.weights import (
    DEV_TRANSFORMER,
    KREA_TRANSFORMER,
    MAJICFLUS_TRANSFORMER,
    SCHNELL_TRANSFORMER,
    SHARED,
    SHARED_FILES,
    WeightFile,
)

PresetName = Literal["fast", "standard", "fine"]
PRESET_NAMES: tuple[PresetName, ...] = get_args(PresetName)
# What a licence allows, in a word that the page has plain sentences for.
Terms = Literal["mit", "apache", "flux_dev", "own"]


@dataclass(frozen=True, kw_only=True)
class Preset:
    """A choice between speed and detail, made with one click. Whoever runs Darkroom may set others in the settings.

    All but the name are fields of a request.
    """

    name: PresetName
    steps: int
    guidance: float
    step_cache: float = 0.0
    prompt_tokens: int = 0

    @property
    def values(self) -> dict[str, int | float]:
        """By the names of the fields."""
        return {name: value for name, value in vars(self).items() if name != "name"}


@dataclass(frozen=True, kw_only=True)
class ModelFiles:
    """Paths below the models folder, or absolute. Without `latent_colours` a preview has FLUX.1's own figures."""

    transformer: PurePosixPath
    text_encoder_1: PurePosixPath
    text_encoder_2: PurePosixPath
    vae: PurePosixPath
    tokenizer_1: PurePosixPath
    tokenizer_2: PurePosixPath
    latent_colours: PurePosixPath | None = None


@dataclass(frozen=True, kw_only=True)
class ModelEntry:
    """One model. Sizes are pixels; `prompt_tokens` is how much of a prompt the second text encoder reads.

    The preset "standard" is what the form begins with: `default_steps` and `default_guidance`. `weights` are the files
    that a hub has; a model without them ships with Darkroom, or is a person's own. `link` is where it comes from.
    `more_loras` are folders of other programs where LoRAs lie too; they are only read.
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
    terms: Terms = "own"
    link: str = ""
    weights: tuple[WeightFile, ...] = ()
    more_loras: tuple[PurePosixPath, ...] = ()

    @property
    def has_guidance(self) -> bool:
        """Some were made to do without: whatever is asked for changes nothing."""
        return self.architecture.guidance

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
    terms="mit",
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

FLUX1_DEV = ModelEntry(
    name="flux1-dev",
    title="FLUX.1 [dev]",
    family="flux1",
    licence="FLUX.1 [dev] Non-Commercial License",
    terms="flux_dev",
    link="https://huggingface.co/black-forest-labs/FLUX.1-dev",
    files=ModelFiles(
        transformer=DEV_TRANSFORMER.place,
        text_encoder_1=SHARED / "clip_l.safetensors",
        text_encoder_2=SHARED / "t5xxl_fp16.safetensors",
        vae=SHARED / "ae.safetensors",
        tokenizer_1=SHARED / "tokenizer",
        tokenizer_2=SHARED / "tokenizer_2",
    ),
    weights=(DEV_TRANSFORMER, *SHARED_FILES),
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


def _like_dev(transformer: WeightFile, **changes: Any) -> ModelEntry:
    """FLUX.1 [dev] with another transformer; all else of it is shared."""
    files = replace(FLUX1_DEV.files, transformer=transformer.place)
    return replace(FLUX1_DEV, files=files, weights=(transformer, *SHARED_FILES), **changes)


MAJICFLUS = _like_dev(
    MAJICFLUS_TRANSFORMER,
    name="majicflus-v1",
    title="majicFlus v1",
    link="https://www.modelscope.cn/models/MAILAND/majicflus_v1",
)
FLUX1_KREA_DEV = _like_dev(
    KREA_TRANSFORMER,
    name="flux1-krea-dev",
    title="FLUX.1 Krea [dev]",
    link="https://huggingface.co/black-forest-labs/FLUX.1-Krea-dev",
    default_steps=28,
    default_guidance=4.5,
    presets=(
        Preset(name="fast", steps=16, guidance=4.5),
        Preset(name="standard", steps=28, guidance=4.5),
        Preset(name="fine", steps=40, guidance=4.5),
    ),
)
# Distilled to four steps, and without guidance.
FLUX1_SCHNELL = _like_dev(
    SCHNELL_TRANSFORMER,
    name="flux1-schnell",
    title="FLUX.1 [schnell]",
    licence="Apache-2.0",
    terms="apache",
    link="https://huggingface.co/black-forest-labs/FLUX.1-schnell",
    architecture=replace(FLUX1, guidance=False),
    default_steps=4,
    default_guidance=0.0,
    prompt_tokens=256,
    presets=(
        Preset(name="fast", steps=2, guidance=0.0),
        Preset(name="standard", steps=4, guidance=0.0),
        Preset(name="fine", steps=8, guidance=0.0),
    ),
)

# In the order they are offered. Which of them are there is not known here.
MODELS: tuple[ModelEntry, ...] = (MAJICFLUS, FLUX1_DEV, FLUX1_KREA_DEV, FLUX1_SCHNELL, DEMO)


def find_model(name: str) -> ModelEntry:
    """Raises NotFound."""
    for entry in MODELS:
        if entry.name == name:
            return entry
    raise NotFound("model", name)
