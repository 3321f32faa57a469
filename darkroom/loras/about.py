"""What one LoRA file says of itself: rank, layout, what it was made for, the words that wake it, its name.

Must not know: folders, or which models there are.
"""

import json
import re
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from darkroom.checkpoints.header import read_header
from darkroom.errors import LoraUnusable, ModelUnusable
from darkroom.loras.family import OURS, family_of
from darkroom.loras.pieces import pieces_of

MOST_WORDS = 6
LONGEST_WORDS = 80
LONGEST_TITLE = 120
# Fields of the files that other tools put beside a LoRA are small, or not meant for us.
LARGEST_SIDECAR = 2**20
SIDECARS = (".civitai.info", ".json", ".metadata.json")
PICTURES = (".preview.png", ".preview.jpg", ".preview.webp", ".png", ".jpg", ".jpeg", ".webp")
LARGEST_WEIGHT = 2.0
# A caption that all pictures share wakes a LoRA; one that few have tells what is in those.
SHARED = 0.5


@dataclass(frozen=True, kw_only=True)
class About:
    """`problem` says why no model of ours can use it.

    `family` and `layout` are empty where they cannot be told. `rank` is the largest, 0 if there is none. `words` wake
    it, each to be written into a prompt as it is. `weight` is what its maker found best.
    """

    bytes: int
    title: str = ""
    family: str = ""
    layout: str = ""
    rank: int = 0
    words: tuple[str, ...] = ()
    weight: float = 1.0
    picture: Path | None = None
    problem: LoraUnusable | None = None


def read_about(path: Path) -> About:
    """Of a file that may be anything. Raises nothing: what is wrong is the answer's `problem`."""
    name = path.name
    try:
        header = read_header(path)
    except ModelUnusable as error:
        reason = error.reason if error.reason in ("missing", "damaged") else "damaged"
        return About(bytes=_size(path), problem=LoraUnusable(reason, name))
    shapes = {tensor: about.shape for tensor, about in header.tensors.items()}
    pieces, problem = None, None
    if not any(_is_of_a_lora(tensor) for tensor in shapes):
        return About(bytes=_size(path), problem=LoraUnusable("none", name))
    try:
        pieces = pieces_of(shapes, name)
    except LoraUnusable as error:
        problem = error
    family = family_of(pieces, shapes, header.metadata)
    if family and family not in OURS:
        problem = LoraUnusable("other_family", name, family)
    elif not family and problem is None:
        problem = LoraUnusable("other_model", name)
    beside = _beside(path)
    return About(
        bytes=_size(path),
        title=_title(header.metadata, beside),
        family=family,
        layout=_layout(shapes),
        rank=max((piece.rank for piece in pieces.pieces), default=0) if pieces else 0,
        words=_words(header.metadata, beside),
        weight=_weight(beside),
        picture=next((each for each in _pictures(path) if each.is_file()), None),
        problem=problem,
    )


def _size(path: Path) -> int:
    with suppress(OSError):
        return path.stat().st_size
    return 0


def _is_of_a_lora(tensor: str) -> bool:
    return re.search(r"lora|lokr_|hada_|oft_|\.diff(_b)?$|dora_scale", tensor) is not None


def _layout(shapes: Mapping[str, object]) -> str:
    """Whose names these are."""
    names = "\n".join(shapes)
    for title, pattern in (
        ("kohya", r"(?m)^lora_unet_(double|single)_blocks_"),
        ("OneTrainer", r"(?m)^lora_transformer_"),
        ("PEFT", r"(?m)^base_model\.model\."),
        ("AI-toolkit", r"(?m)^(transformer|diffusion_model)\..*\.alpha$"),
        ("diffusers", r"(?m)^transformer\."),
        ("ComfyUI", r"(?m)^diffusion_model\."),
        ("BFL", r"(?m)^(double|single)_blocks\."),
        ("DiffSynth", r"(?m)^(single_)?blocks\."),
        ("kohya", r"(?m)^lora_(unet|te)"),
    ):
        if re.search(pattern, names):
            return title
    return ""


# --- words and names


def _title(metadata: Mapping[str, str], beside: Mapping[str, Any]) -> str:
    named = beside.get("model")
    candidates = (
        metadata.get("modelspec.title"),
        named.get("name") if isinstance(named, dict) else None,
        metadata.get("ss_output_name"),
    )
    return next((_line(text)[:LONGEST_TITLE] for text in candidates if isinstance(text, str) and _line(text)), "")


def _words(metadata: Mapping[str, str], beside: Mapping[str, Any]) -> tuple[str, ...]:
    found: dict[str, None] = {}
    for text in _candidates(metadata, beside):
        for word in (text,) if len(text) <= LONGEST_WORDS else text.split(","):
            word = _line(word).strip(" ,")
            if 0 < len(word) <= LONGEST_WORDS and "<" not in word:
                found.setdefault(word)
    return tuple(found)[:MOST_WORDS]


def _candidates(metadata: Mapping[str, str], beside: Mapping[str, Any]) -> Iterator[str]:
    """The surest first. Where someone has said which words it takes, captions are not asked."""
    said = [metadata.get("modelspec.trigger_phrase"), beside.get("activation text")]
    for field in ("trainedWords", "trained_words"):
        words = beside.get(field)
        said += words if isinstance(words, list) else []
    texts = [text for text in said if isinstance(text, str) and text.strip()]
    yield from texts or _shared_captions(metadata.get("ss_tag_frequency", ""))


def _shared_captions(text: str) -> Iterator[str]:
    """kohya counts the captions' parts by folder of pictures; AI-toolkit writes its trigger there."""
    try:
        folders = json.loads(text) if text else {}
    except (ValueError, RecursionError):
        return
    counts: dict[str, int] = {}
    for tags in folders.values() if isinstance(folders, dict) else ():
        for tag, count in tags.items() if isinstance(tags, dict) else ():
            if type(count) is int and isinstance(tag, str):
                counts[tag.strip()] = counts.get(tag.strip(), 0) + count
    most = max(counts.values(), default=0)
    if most < 2 < len(counts):
        return  # a sentence for each picture
    for tag in sorted(counts, key=lambda tag: -counts[tag]):
        if counts[tag] >= most * SHARED and len(tag) <= LONGEST_WORDS:
            yield tag


def _weight(beside: Mapping[str, Any]) -> float:
    """As A1111 keeps it, where 0 means that nobody has said."""
    weight = beside.get("preferred weight")
    if isinstance(weight, int | float) and not isinstance(weight, bool) and 0 < abs(weight) <= LARGEST_WEIGHT:
        return round(float(weight), 2)
    return 1.0


def _line(text: str) -> str:
    return " ".join("".join(sign if sign.isprintable() else " " for sign in text).split())


# --- what lies beside


def _beside(path: Path) -> dict[str, Any]:
    """What other tools keep about this file: Civitai's and A1111's."""
    found: dict[str, Any] = {}
    for ending in SIDECARS:
        sidecar = path.with_suffix(ending)
        with suppress(OSError, ValueError, RecursionError):
            if sidecar.is_file() and sidecar.stat().st_size <= LARGEST_SIDECAR:
                content = json.loads(sidecar.read_text("utf-8-sig"))
                found = {**content, **found} if isinstance(content, dict) else found
    return found


def _pictures(path: Path) -> Iterator[Path]:
    yield from (path.with_suffix(ending) for ending in PICTURES)
