"""What a fault did, in the reader's language, from the figures that the post-mortem found.

Must not know: how they were found.
"""

from collections.abc import Mapping
from typing import Any

from darkroom.web.words import Words

TOLD_WITH_FIGURES = frozenset({"out_of_ram", "out_of_memory", "engine_hung"})


def aftermath_in_words(code: str, figures: Mapping[str, Any], words: Words) -> str:
    """A sentence without its stop. `figures` are those of `jobs.postmortem`."""
    values = {**figures, "doing": _doing(figures, words), "swap": _swap(figures["swap"], words)}
    key = code if code != "out_of_memory" or figures["card_gb"] else "out_of_memory_somewhere"
    return words.say(f"aftermath.{key}", **values)


def _doing(figures: Mapping[str, Any], words: Words) -> str:
    doing, part = figures["doing"], figures["part"]
    if doing == "loading" and f"part.{part}" in words:
        return words.say("aftermath.loading_part", part=words.say(f"part.{part}"))
    return words.say(f"aftermath.{doing}" if f"aftermath.{doing}" in words else "aftermath.starting")


def _swap(percent: int | None, words: Words) -> str:
    return words.say("aftermath.no_swap") if percent is None else words.say("aftermath.swap", percent=percent)
