"""Finds, in a prompt, the syntax of other tools that FLUX reads as plain words. Ordinary prose is left alone.

Must not know: what is said about a finding, or where.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal, get_args

from darkroom.prompts.lora_tags import TAG

Kind = Literal["weight", "schedule", "break", "and", "hypernet", "embedding", "choice", "wildcard"]
KINDS: tuple[Kind, ...] = get_args(Kind)


@dataclass(frozen=True, kw_only=True)
class Finding:
    """`text` is the prompt from `start` to `end`, in characters. The words for `kind` have the key `syntax.<kind>`."""

    start: int
    end: int
    text: str
    kind: Kind


def find_foreign_syntax(prompt: str) -> tuple[Finding, ...]:
    """In order, none inside or across another: of several that overlap, the one that begins first, then the longest."""
    spans = sorted({*_in_groups(prompt), *_in_words(prompt)}, key=lambda span: (span[0], -span[1]))
    findings: list[Finding] = []
    done = 0
    for start, end, kind in spans:
        if start < done:
            continue
        done = end
        if kind != "lora":
            findings.append(Finding(start=start, end=end, text=prompt[start:end], kind=kind))
    return tuple(findings)


# LoRAs are understood (see `lora_tags.py`), so that what stands inside of one is nothing else.
Span = tuple[int, int, Kind | Literal["lora"]]

# --- what stands between brackets

OPENING = {"(": ")", "[": "]", "{": "}", "（": "）"}
CLOSING = {closing: opening for opening, closing in OPENING.items()}


def _in_groups(prompt: str) -> Iterator[Span]:
    quoted = tuple(match.span() for match in QUOTED.finditer(prompt))
    groups = _groups(prompt)
    ends = dict(groups)
    searched = 0
    for start, end in groups:
        if start < searched:
            continue
        match prompt[start]:
            case "(" | "（":
                found = _in_parentheses(prompt, start, end, ends)
            case "[":
                found = _in_square_brackets(prompt, start, end, ends, quoted)
            case _:
                found = _in_braces(prompt, start, end, ends)
        if found is not None:
            searched = end
            yield found


def _groups(prompt: str) -> list[tuple[int, int]]:
    """Start and end of each pair of brackets, in order of their starts. A bracket after a backslash is a letter."""
    opened: list[int] = []
    groups: list[tuple[int, int]] = []
    escaped = False
    for place, letter in enumerate(prompt):
        if escaped:
            escaped = False
        elif letter == "\\":
            escaped = True
        elif letter in OPENING:
            opened.append(place)
        elif letter in CLOSING and opened and prompt[opened[-1]] == CLOSING[letter]:
            groups.append((opened.pop(), place + 1))
    return sorted(groups)


# (word:1.2)
NUMBER = r"(?P<number>[+-]?(?:\d+(?:\.\d*)?|\.\d+))"
WEIGHT = re.compile(r"(?P<before>.)(?P<colon>\s*[:：]\s*)" + NUMBER + r"\s*[)）]\Z", re.DOTALL)
LARGEST_WHOLE_WEIGHT = 10
# (word)++, (word)1.2
AFTER_PARENTHESES = re.compile(r"(?:\++|--+|\d+\.\d+)(?=[\s,.;，。；)\]]|\Z)")
LONGEST_TAIL = 24


def _in_parentheses(prompt: str, start: int, end: int, ends: dict[int, int]) -> Span | None:
    after = AFTER_PARENTHESES.match(prompt, end)
    is_call = _follows_a_word(prompt, start)
    if after and not is_call and _has_letters(prompt[start:end]):
        return (start, after.end(), "weight")
    is_double = prompt[start] == "(" and not is_call and _holds_only_one(prompt, start, end, ends)
    return (start, end, "weight") if is_double or _has_weight(prompt, start, end) else None


def _has_weight(prompt: str, start: int, end: int) -> bool:
    """True for (word:1.2) and (word:2), false for times and ratios: (at 12:30), (16:9), (width: 300)."""
    found = WEIGHT.search(prompt[max(start + 1, end - LONGEST_TAIL) : end])
    if found is None:
        return False
    if "." in found["number"]:
        return _has_letters(prompt[start + 1 : end - len(found.group()) + 1])
    is_close = found["colon"] in (":", "：")
    return is_close and not found["before"].isdecimal() and int(found["number"]) <= LARGEST_WHOLE_WEIGHT


def _holds_only_one(prompt: str, start: int, end: int, ends: dict[int, int]) -> bool:
    """True for ((word)), false for ((one) and (two)), (word) and (())."""
    inner_start, inner_end = start + 1, end - 1
    while inner_start < inner_end and prompt[inner_start].isspace():
        inner_start += 1
    while inner_end > inner_start and prompt[inner_end - 1].isspace():
        inner_end -= 1
    is_one = prompt[inner_start] == prompt[start] and ends.get(inner_start) == inner_end
    return is_one and _has_letters(prompt[inner_start:inner_end])


# [from:to:0.5], [to:0.5], [from::0.5], [one|other]
SCHEDULE = re.compile(r"(?P<before>.)?:\s*" + NUMBER + r"\s*\]\Z", re.DOTALL)
SENTENCE_MARKS = re.compile(r"[.!?;:。！？；：…\n\"“”]")
MOST_WORDS_WEAKENED = 4
LONGEST_WEAKENED = 40


def _in_square_brackets(
    prompt: str, start: int, end: int, ends: dict[int, int], quoted: tuple[tuple[int, int], ...]
) -> Span | None:
    content = prompt[start + 1 : end - 1]
    found = SCHEDULE.search(prompt[max(start + 1, end - LONGEST_TAIL) : end])
    if found is not None and _has_letters(content):
        is_a_time = (found["before"] or "").isdecimal() and "." not in found["number"]
        return None if is_a_time else (start, end, "schedule")
    if "|" in content and _has_letters(content) and prompt[end : end + 1] != "(":
        return (start, end, "schedule")
    if _holds_only_one(prompt, start, end, ends):
        return (start, end, "weight")
    is_weakened = (
        len(content) <= LONGEST_WEAKENED
        and len(content.split()) <= MOST_WORDS_WEAKENED
        and content.strip().lower() != "sic"
        and _has_letters(content)
        # A title or a name: [Scene 1]
        and not content.lstrip()[0].isupper()
        and not SENTENCE_MARKS.search(content)
        # A link or an index: [text](address), a[i]
        and prompt[end : end + 1] != "("
        and not _follows_a_word(prompt, start)
        and not any(left < start < right for left, right in quoted)
    )
    return (start, end, "weight") if is_weakened else None


JSON = re.compile(r"[\"”]\s*:")


def _in_braces(prompt: str, start: int, end: int, ends: dict[int, int]) -> Span | None:
    content = prompt[start + 1 : end - 1]
    if "|" in content and not JSON.search(content):
        return (start, end, "choice")
    return (start, end, "weight") if _holds_only_one(prompt, start, end, ends) else None


# --- what stands alone

HYPERNET = re.compile(r"<\s*hypernet\s*:[^<>\n]{1,200}>", re.IGNORECASE)
EMBEDDING = re.compile(r"(?<!\w)embedding:[\w][\w.\\/-]*", re.IGNORECASE)
WILDCARD = re.compile(r"(?<!\w)__[\w*][\w */.-]{0,80}?(?<!_)__(?!\w)")
CAPITALS: dict[Kind, re.Pattern[str]] = {
    "break": re.compile(r"(?<![\w-])BREAK(?![\w-])"),
    "and": re.compile(r"(?<![\w-])AND(?![\w-])"),
}
# Words to be painted, as in: a sign that says "SALT AND PEPPER". The marks must belong together and stand near.
QUOTED = re.compile(r'(?<!\w)"[^"\n]{1,120}"(?!\w)|“[^”\n]{1,120}”|「[^」\n]{1,120}」|«[^»\n]{1,120}»')
LEFT_NEIGHBOUR = re.compile(r"([^\W\d_]{2,})[ \t]+\Z")
RIGHT_NEIGHBOUR = re.compile(r"[ \t]+([^\W\d_]{2,})")
LONGEST_NEIGHBOUR = 40
LETTER = re.compile(r"[^\W\d_]")


def _in_words(prompt: str) -> Iterator[Span]:
    yield from ((*match.span(), "lora") for match in TAG.finditer(prompt))
    yield from ((*match.span(), "hypernet") for match in HYPERNET.finditer(prompt))
    yield from ((*match.span(), "embedding") for match in EMBEDDING.finditer(prompt))
    yield from ((*match.span(), "wildcard") for match in WILDCARD.finditer(prompt))
    quoted = tuple(match.span() for match in QUOTED.finditer(prompt))
    for kind, pattern in CAPITALS.items():
        for match in pattern.finditer(prompt):
            is_quoted = any(left < match.start() < right for left, right in quoted)
            if not is_quoted and not _is_among_capitals(prompt, *match.span()):
                yield (*match.span(), kind)


def _is_among_capitals(prompt: str, start: int, end: int) -> bool:
    """True where the words beside it are capitals too, so that it is written like the rest: SALT AND PEPPER."""
    left = LEFT_NEIGHBOUR.search(prompt[max(0, start - LONGEST_NEIGHBOUR) : start])
    right = RIGHT_NEIGHBOUR.match(prompt, end)
    return any(neighbour is not None and neighbour[1].isupper() for neighbour in (left, right))


def _has_letters(text: str) -> bool:
    return LETTER.search(text) is not None


def _follows_a_word(prompt: str, start: int) -> bool:
    """True for f(x) and a[i]. In Chinese, words stand without spaces between them."""
    return start > 0 and prompt[start - 1].isascii() and prompt[start - 1].isalnum()
