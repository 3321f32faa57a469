"""The presets of a model: the catalogue's, with the figures that whoever runs Darkroom has set.

Must not know: forms.
"""

from darkroom.catalog import ModelEntry, Preset
from darkroom.config import Settings


def presets_for(model: ModelEntry, settings: Settings) -> tuple[Preset, ...]:
    """In the catalogue's order: from fast to fine."""
    chosen = settings.presets.get(model.name, {})
    return tuple(
        Preset(name=preset.name, **chosen[preset.name].model_dump()) if preset.name in chosen else preset
        for preset in model.presets
    )
