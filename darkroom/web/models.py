"""The models a form may choose from, with the presets whoever runs Darkroom has set for them.

Must not know: forms, or where the entries come from.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from darkroom.catalog import ModelEntry, Preset
from darkroom.config import Settings
from darkroom.prompts.presets import presets_for


@dataclass(frozen=True)
class Models:
    """At least one; the first is what a form begins with. `presets` are by the model's name."""

    entries: tuple[ModelEntry, ...]
    presets: Mapping[str, tuple[Preset, ...]]

    @property
    def first(self) -> ModelEntry:
        return self.entries[0]

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(entry.name for entry in self.entries)

    def get(self, name: object) -> ModelEntry | None:
        return next((entry for entry in self.entries if entry.name == name), None)


def models_of(entries: Iterable[ModelEntry], settings: Settings) -> Models:
    entries = tuple(entries)
    return Models(entries, {entry.name: presets_for(entry, settings) for entry in entries})
