"""The models a form may choose from at this moment, with the presets whoever runs Darkroom has set for them.

Must not know: forms, or where the entries come from.
"""

import threading
import time
from collections.abc import Callable, Iterable, Mapping
from typing import TypeAlias

from darkroom.catalog import MODELS, ModelEntry, Preset
from darkroom.config import Settings
from darkroom.prompts.presets import presets_for

KEPT_SECONDS = 1.0
# A model's title by its name, and what it was called, where nobody knows it any more.
Titles: TypeAlias = Callable[[str, str], str]
# What other tools leave behind the name of a model.
ENDINGS = (".safetensors", ".sft", ".gguf", ".ckpt", ".pt", ".pth", ".bin")


class Models:
    """At least one; the first is what a form begins with. `supply` is asked again after a while: they come and go."""

    def __init__(self, supply: Callable[[], tuple[ModelEntry, ...]], settings: Settings) -> None:
        self._supply = supply
        self._settings = settings
        self._asking = threading.Lock()
        self._kept: tuple[float, tuple[ModelEntry, ...]] = (float("-inf"), ())

    @property
    def entries(self) -> tuple[ModelEntry, ...]:
        """As they were a moment ago."""
        asked_at, entries = self._kept
        return entries if time.monotonic() - asked_at < KEPT_SECONDS else self.look(asked_at)

    def look(self, before: float = float("inf")) -> tuple[ModelEntry, ...]:
        """As they are at this moment; `before`: only if nobody has looked since then."""
        # One after the other, so that what was seen later is never replaced by what was seen earlier.
        with self._asking:
            asked_at, entries = self._kept
            if asked_at <= before:
                asked_at = time.monotonic()
                entries = self._supply()
                self._kept = (asked_at, entries)
            return entries

    @property
    def presets(self) -> Mapping[str, tuple[Preset, ...]]:
        """By the model's name."""
        return {entry.name: presets_for(entry, self._settings) for entry in self.entries}

    @property
    def first(self) -> ModelEntry:
        return self.entries[0]

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(entry.name for entry in self.entries)

    def title(self, name: str, otherwise: str = "") -> str:
        """A picture may outlive its model: then what the catalogue says, else `otherwise`, else its name."""
        known = next((entry for entry in (*self.entries, *MODELS) if entry.name == name), None)
        return known.title if known is not None else otherwise or name

    def get(self, name: object) -> ModelEntry | None:
        known = next((entry for entry in self.entries if entry.name == name), None)
        # It may have come this very moment.
        return known or next((entry for entry in self.look() if entry.name == name), None)

    def meant(self, name: str) -> ModelEntry | None:
        """As another tool calls it: in other capitals, with its folders and ending, by its title or its file."""
        wanted = _bare(name)
        for way in _WAYS:
            if wanted and (found := next((entry for entry in self.entries if way(entry) == wanted), None)):
                return found
        return None

    def now(self) -> "Models":
        """As they are at this moment, and stay."""
        return models_of(self.entries, self._settings)


def models_of(entries: Iterable[ModelEntry], settings: Settings) -> Models:
    entries = tuple(entries)
    return Models(lambda: entries, settings)


def _bare(name: str) -> str:
    bare = name.replace("\\", "/").rpartition("/")[2].strip().casefold()
    return next((bare.removesuffix(ending) for ending in ENDINGS if bare.endswith(ending)), bare)


# The nearest first.
_WAYS: tuple[Callable[[ModelEntry], str], ...] = (
    lambda entry: entry.name.casefold(),
    lambda entry: entry.title.casefold(),
    lambda entry: _bare(entry.files.transformer.name),
)
