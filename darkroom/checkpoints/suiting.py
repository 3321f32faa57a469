"""Suiting: whether a file is of the kind that a model's entry says, before anything of it is read.

Must not know: entries, or how weights are read.
"""

from pathlib import Path

from darkroom.architecture import DEMO, Architecture
from darkroom.checkpoints.folders import files_of
from darkroom.checkpoints.parts import PartName, shapes_of
from darkroom.checkpoints.recognition import contents_of, parts_of
from darkroom.errors import ModelUnusable


def must_suit(path: Path, part: PartName, architecture: Architecture) -> None:
    """Raises ModelUnusable where the part is there, and is another kind's. What else is wrong, reading it will say."""
    try:
        contents = contents_of(files_of(path, part))
        parts = parts_of(contents)
    except ModelUnusable:
        return
    wanted = shapes_of(part, architecture)
    for found, its_architecture in parts:
        shapes = {name: source.shape for name, source in found.sources.items()}
        if found.name == part and shapes != wanted:
            raise ModelUnusable("other_kind", contents.name, found=_title(part, its_architecture))


def _title(part: PartName, architecture: Architecture) -> str:
    """As the catalogue's models are called. Only transformers tell dev from schnell."""
    is_demo = architecture.width == DEMO.width
    if part != "transformer":
        return "Darkroom demo" if is_demo else "FLUX.1"
    if is_demo:
        return "Darkroom demo" if architecture.guidance else "Darkroom demo, without guidance"
    return "FLUX.1 [dev]" if architecture.guidance else "FLUX.1 [schnell]"
