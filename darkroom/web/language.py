"""Which language a request is answered in: what the person picked, else the settings, else what the browser asks for.

Must not know: the words.
"""

from typing import Literal

from starlette.requests import HTTPConnection

from darkroom.web.words import LANGUAGES, Language

LANGUAGE_COOKIE = "darkroom_language"


def language_of(connection: HTTPConnection, preference: Literal["auto", "en", "zh"]) -> Language:
    picked = connection.cookies.get(LANGUAGE_COOKIE)
    for language in LANGUAGES:
        if picked == language:
            return language
    if preference != "auto":
        return preference
    return accepted_language(connection.headers.get("accept-language", ""))


def accepted_language(header: str) -> Language:
    """The best of our languages for an Accept-Language header; zh, zh-CN and zh-TW are all zh."""
    best: Language = "en"
    best_weight = 0.0
    for wish in header.split(","):
        tag, _, quality = wish.strip().partition(";q=")
        weight = _weight(quality)
        for language in LANGUAGES:
            if tag.lower().split("-")[0] == language and weight > best_weight:
                best, best_weight = language, weight
    return best


def _weight(quality: str) -> float:
    if not quality:
        return 1.0
    try:
        return float(quality)
    except ValueError:
        return 0.0
