"""What the server and an engine process say to each other: small frozen messages over one duplex pipe.

Must not know: torch, rows, or who listens.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from darkroom.catalog import ModelEntry
from darkroom.request import GenerationRequest
from darkroom.wishes import Wishes

Stage = Literal["encoding", "denoising", "decoding"]
FailureKind = Literal[
    "out_of_memory", "out_of_ram", "card_fault", "does_not_fit", "model_unusable", "lora_unusable", "engine_fault"
]


# --- from the server to the engine


@dataclass(frozen=True, kw_only=True)
class Run:
    """Make this picture. Answered by Done, Stopped or Failed with the same `job`.

    `rung` is how many times it is to be cheaper than the settings say (`darkroom.rungs`). `checkpoint` is the content
    of the last Checkpoint that came of this job; one that does not fit the request and the model is passed over.
    """

    job: int
    request: GenerationRequest
    model: ModelEntry
    rung: int = 0
    checkpoint: bytes | None = None


@dataclass(frozen=True, kw_only=True)
class Stop:
    """End this job as soon as it can be. Ignored when the job is not running."""

    job: int


@dataclass(frozen=True, kw_only=True)
class Pause:
    """Like Stop, but if any step is done, a Checkpoint of the last one comes first."""

    job: int


@dataclass(frozen=True, kw_only=True)
class Finish:
    """Make a picture of this job with the steps that are done, the one in work included. Answered by Done."""

    job: int


@dataclass(frozen=True, kw_only=True)
class Unload:
    """Drop the model and give its memory back; stay ready."""


@dataclass(frozen=True, kw_only=True)
class Quit:
    """End the process."""


Command = Run | Stop | Pause | Finish | Unload | Quit


# --- from the engine to the server


@dataclass(frozen=True, kw_only=True)
class Ready:
    """The process is up and its libraries are imported. `device` is "cpu" or a card's name."""

    device: str
    torch_version: str


@dataclass(frozen=True, kw_only=True)
class Loading:
    """`part` is "transformer", "text_encoder_1", "text_encoder_2" or "vae"; `fraction` is of all bytes, 0 to 1."""

    job: int
    part: str
    fraction: float


@dataclass(frozen=True, kw_only=True)
class Entered:
    """The job has entered a stage, or `fraction` of it is done, 0 to 1. Denoising is told by Step."""

    job: int
    stage: Stage
    fraction: float = 0.0


@dataclass(frozen=True, kw_only=True)
class Step:
    """Step `number` of `of` is done (1 is the first). `preview_jpeg` is a small picture of what it will be."""

    job: int
    number: int
    of: int
    preview_jpeg: bytes


@dataclass(frozen=True, kw_only=True)
class Planned:
    """The picture is planned: how long a step should take."""

    job: int
    seconds_per_step: float


@dataclass(frozen=True, kw_only=True)
class Checkpoint:
    """All that is needed to go on after step `number`. `content` is for the engine only."""

    job: int
    number: int
    content: bytes


@dataclass(frozen=True, kw_only=True)
class Done:
    """`pixels` are width × height × 3 bytes, RGB, row by row. `facts` is what it took: JSON values by name."""

    job: int
    width: int
    height: int
    pixels: bytes
    facts: Mapping[str, str | int | float]


@dataclass(frozen=True, kw_only=True)
class Stopped:
    """The job ended because it was asked to."""

    job: int


@dataclass(frozen=True, kw_only=True)
class Failed:
    """The job ended with a fault; the engine can make the next picture. `detail` is for the log and the curious.

    Of "does_not_fit" and "lora_unusable" it is JSON: the error's `code` and its `details`.
    """

    job: int
    kind: FailureKind
    detail: str


@dataclass(frozen=True, kw_only=True)
class Memory:
    """What the process holds, in bytes, told once a second; and of the whole card, what is free and what there is.

    The last three are 0 without a card.
    """

    resident: int
    card: int
    card_free: int = 0
    card_total: int = 0


Event = Ready | Loading | Entered | Planned | Step | Checkpoint | Done | Stopped | Failed | Memory


# --- given once, when the process starts


@dataclass(frozen=True, kw_only=True)
class EngineOptions:
    """What an engine process needs to know. `device` is "auto", "cpu" or "cuda"; `threads` 0 means all cores.

    `convert`: wide checkpoints are written once as float8, beside themselves or else in `cache`.
    `compile`: whether the transformer runs as compiled code, which is kept in `cache`.
    `checkpoint_seconds` lie between two Checkpoints of a picture, at least.
    """

    models: Path
    device: str
    threads: int
    expandable_segments: bool
    log_level: str
    wishes: Wishes = field(default_factory=Wishes)
    convert: bool = False
    cache: Path | None = None
    compile: Literal["auto", "on", "off"] = "off"
    checkpoint_seconds: float = 5.0
