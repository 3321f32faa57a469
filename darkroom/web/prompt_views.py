"""A prompt as the page's scripts see it: how much of it is read, and places in it. Must not know: routes."""

from typing import Any

from darkroom.prompts.tokens import TokenCount
from darkroom.web.words import Words

LONGEST_EXCERPT = 40


def reading_of(count: TokenCount | None, prompt: str, words: Words) -> dict[str, Any]:
    """How much of the prompt the model reads. Places are in the browser's units."""
    if count is None:
        return {"tokens": None, "unread": None}
    tokens = {"used": count.used, "limit": count.limit, "words": words.say("prompt.tokens", **_figures(count))}
    if count.cut_at is None:
        return {"tokens": tokens, "unread": None}
    unread = excerpt(prompt[count.cut_at :])
    sentence = words.say("prompt.unread", words=unread, count=count.used - count.limit)
    return {"tokens": tokens, "unread": {"start": in_utf16(prompt, count.cut_at), "words": sentence}}


def _figures(count: TokenCount) -> dict[str, int]:
    return {"used": count.used, "limit": count.limit}


def excerpt(text: str) -> str:
    text = " ".join(text.split())
    return text if len(text) <= LONGEST_EXCERPT else text[:LONGEST_EXCERPT].rstrip() + "…"


def in_utf16(text: str, place: int) -> int:
    """Browsers count a character beyond the first 65,536 as two."""
    return place + sum(letter > "\uffff" for letter in text[:place])
