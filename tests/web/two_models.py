"""A second model, so that nothing rests on there being one: larger, and of other habits."""

from dataclasses import replace
from pathlib import Path

from darkroom.catalog import DEMO, Preset
from darkroom.config import Settings
from darkroom.loras.folders import LoraFolders
from darkroom.web.loras import LoraReader
from darkroom.web.models import Models, models_of

LARGE = replace(
    DEMO,
    name="large",
    title="A large one",
    licence="Apache-2.0",
    smallest_side=768,
    largest_side=1536,
    default_width=1024,
    default_height=1024,
    default_steps=28,
    default_guidance=3.0,
    presets=(
        Preset(name="fast", steps=16, guidance=3.0),
        Preset(name="standard", steps=28, guidance=3.0),
        Preset(name="fine", steps=50, guidance=3.5),
    ),
)

ONE = models_of([DEMO], Settings())
TWO = models_of([DEMO, LARGE], Settings())


def reader_of(models: Models, folder: Path = Path("nowhere")) -> LoraReader:
    """Of LoRAs below the folder, if there are any."""
    return LoraReader(LoraFolders(folder), models)
