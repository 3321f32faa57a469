"""Recognition: from what a file says it holds to what it is. By names, shapes and types of tensors, never by its name.

Must not know: how weights are read, or where models are listed.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path

from darkroom.architecture import DEMO, FLUX1, Architecture
from darkroom.checkpoints import families
from darkroom.checkpoints.folders import sets_of
from darkroom.checkpoints.header import TensorInfo, read_header
from darkroom.checkpoints.parts import PART_NAMES, PartName, Shapes, shapes_of
from darkroom.checkpoints.recognised import Family, Layout, Recognised, RecognisedPart
from darkroom.checkpoints.sources import Found, find, places_of
from darkroom.errors import ModelUnusable, shown

ARCHITECTURES = tuple(
    replace(architecture, guidance=guidance) for architecture in (FLUX1, DEMO) for guidance in (True, False)
)
# In the header of a file that the engine made for itself.
CONVERTED = "darkroom_float8"
# What the first layer of the transformer takes in beside a picture's noise tells FLUX.1's other kinds apart.
_KINDS: Mapping[int, str] = {384: "FLUX.1 Fill", 128: "FLUX.1 Canny, Depth", 196: "Flex.2"}


@dataclass(frozen=True, kw_only=True)
class Contents:
    """The files of one checkpoint together."""

    files: tuple[Path, ...]
    tensors: Mapping[str, TensorInfo]
    metadata: Mapping[str, str]
    bytes: int

    @property
    def name(self) -> str:
        return self.files[0].name


def recognise(path: Path) -> Recognised:
    """A file, one of several shards, their index, or a folder as diffusers writes it.

    Raises ModelUnusable: it says what it is, where that is known, and what to do.
    """
    sets = [contents_of(files) for files in sets_of(path)]
    if len(sets) == 1 and families.is_lora(sets[0].tensors):
        return _lora(path, sets[0])
    described = [each for contents in sets for each in parts_of(contents)]
    parts = tuple(part for part, _ in described)
    has_transformer = [architecture for part, architecture in described if part.name == "transformer"]
    architecture = (has_transformer or [described[0][1]])[0]
    clip = next((part for part in parts if part.name == "text_encoder_1"), None)
    if clip is not None:
        architecture = replace(architecture, clip=replace(architecture.clip, float8=clip.dtype == "F8_E4M3"))
    dev_or_schnell: Family = "flux1-dev" if architecture.guidance else "flux1-schnell"
    return Recognised(
        path=path,
        layout=_layout(parts),
        family=dev_or_schnell if has_transformer else "flux1",
        parts=parts,
        files=tuple(file for contents in sets for file in contents.files),
        bytes=sum(contents.bytes for contents in sets),
        architecture=architecture,
        title=_title(sets[0]),
    )


def contents_of(files: Sequence[Path]) -> Contents:
    """Raises ModelUnusable."""
    headers = [read_header(file) for file in files]
    tensors: dict[str, TensorInfo] = {}
    for header in headers:
        if tensors.keys() & header.tensors.keys():
            raise ModelUnusable("damaged", header.path.name)
        tensors |= header.tensors
    size = sum(header.bytes for header in headers)
    return Contents(files=tuple(files), tensors=tensors, metadata=headers[0].metadata, bytes=size)


def parts_of(contents: Contents) -> tuple[tuple[RecognisedPart, Architecture], ...]:
    """What is in the file, at least one part, each once, in the order of PART_NAMES. Raises ModelUnusable."""
    if CONVERTED in contents.metadata:
        raise ModelUnusable("converted", contents.name)
    if (how := families.packed(contents.tensors)) is not None:
        raise ModelUnusable("packed", contents.name, found=how)
    found: dict[PartName, tuple[RecognisedPart, Architecture]] = {}
    for part, naming, prefix in places_of(contents.tensors):
        for architecture, shapes in candidates(part) if part not in found else ():
            if (place := find(part, naming, prefix, shapes, contents.tensors)) is not None:
                found[part] = _described(place, contents), architecture
                break
    # Encoders and a VAE that come with another family's model do not make it one of ours; nor do a ControlNet's blocks.
    is_other = families.family(contents.tensors) == families.CONTROLNET
    if not found or is_other or ("transformer" not in found and families.is_whole(contents.tensors)):
        raise _refusal(contents)
    return tuple(found[name] for name in PART_NAMES if name in found)


@cache
def candidates(part: PartName) -> tuple[tuple[Architecture, Shapes], ...]:
    """What the part may be, each with the first architecture that has it so."""
    different: list[tuple[Architecture, Shapes]] = []
    for architecture in ARCHITECTURES:
        shapes = shapes_of(part, architecture)
        if all(shapes != before for _, before in different):
            different.append((architecture, shapes))
    return tuple(different)


def _described(found: Found, contents: Contents) -> RecognisedPart:
    by_dtype: dict[str, int] = {}
    for source in found.sources.values():
        for name in source.names:
            tensor = contents.tensors[name]
            by_dtype[tensor.dtype] = by_dtype.get(tensor.dtype, 0) + tensor.bytes
    return RecognisedPart(
        name=found.part,
        files=contents.files,
        dtype=max(by_dtype, key=by_dtype.__getitem__),
        scaled=any(scale is not None for source in found.sources.values() for scale in source.scales),
        bytes=sum(contents.tensors[name].bytes for name in found.names()),
        found=found,
    )


def _refusal(contents: Contents) -> ModelUnusable:
    name = families.family(contents.tensors)
    if name is None:
        return ModelUnusable("unknown", contents.name)
    if name == "FLUX.1":
        inputs = next(
            (tensor.shape[1] for each, tensor in contents.tensors.items() if _is_first_layer(each, tensor)), 0
        )
        if inputs in _KINDS:
            return ModelUnusable("family", contents.name, found=_KINDS[inputs])
    elif families.is_whole(contents.tensors):
        return ModelUnusable("family", contents.name, found=name)
    return ModelUnusable("incomplete", contents.name, found=name)


def _is_first_layer(name: str, tensor: TensorInfo) -> bool:
    return len(tensor.shape) == 2 and name.endswith(("img_in.weight", "x_embedder.weight"))


def _lora(path: Path, contents: Contents) -> Recognised:
    return Recognised(
        path=path,
        layout="lora",
        family=None,
        parts=(),
        files=contents.files,
        bytes=contents.bytes,
        architecture=None,
        title=_title(contents),
    )


def _layout(parts: Sequence[RecognisedPart]) -> Layout:
    if len({part.files for part in parts}) > 1:
        return "pipeline"
    if len(parts) > 1:
        return "all_in_one"
    found = parts[0].found
    return "diffusers" if found.naming == "diffusers" else "prefixed" if found.prefix else "native"


def _title(contents: Contents) -> str | None:
    title = contents.metadata.get("modelspec.title", "").strip()
    return shown(title) if title else None
