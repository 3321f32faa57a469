"""LoRAs that other tools have people write into a prompt, as <lora:name:0.7>, and the prompt without them.

Must not know: which LoRAs there are.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass

# With the colons of either keyboard.
TAG = re.compile(r"<\s*(?:lora|lyco|locon)\s*[:：]\s*(?P<inside>[^<>\n]{1,300}?)\s*>", re.IGNORECASE)
COLON = re.compile(r"\s*[:：]\s*")
NAMED = re.compile(r"(?P<name>te|unet)\s*=\s*(?P<number>\S+)", re.IGNORECASE)
NUMBER = re.compile(r"[+-]?(?:\d+(?:\.\d*)?|\.\d+)")
SPACES = " \t"
SEPARATORS = tuple(",;，；、")
BETWEEN = SPACES + "".join(SEPARATORS)
# No space comes before these.
CLOSING = (*SEPARATORS, *".。!！?？)）]")


@dataclass(frozen=True, kw_only=True)
class LoraTag:
    """`text` is the prompt from `start` to `end`, in characters. `weight` is none where it is no number."""

    start: int
    end: int
    text: str
    name: str
    weight: float | None


@dataclass(frozen=True, kw_only=True)
class Cut:
    """What stands from `start` to `end` becomes `text`."""

    start: int
    end: int
    text: str


def find_lora_tags(prompt: str) -> tuple[LoraTag, ...]:
    """In order."""
    return tuple(_tag(match) for match in TAG.finditer(prompt))


def cuts_for(prompt: str, tags: Sequence[LoraTag]) -> tuple[Cut, ...]:
    """What takes these out, with the spaces and commas that were there for their sake. In order."""
    runs: list[tuple[int, int]] = []
    for tag in tags:
        if runs and not prompt[runs[-1][1] : tag.start].strip(BETWEEN):
            runs[-1] = (runs[-1][0], tag.end)
        else:
            runs.append((tag.start, tag.end))
    return tuple(_cut(prompt, start, end) for start, end in runs)


def _cut(prompt: str, start: int, end: int) -> Cut:
    """Of tags that stand together."""
    left, right = prompt[:start].rstrip(SPACES), prompt[end:].lstrip(SPACES)
    is_first, is_last = left[-1:] in ("", "\n"), right[:1] in ("", "\n")
    if right[:1] in SEPARATORS and (is_first or left[-1:] in SEPARATORS):
        right = right[1:]
        right = right.lstrip(SPACES) if is_first else right
    elif (is_last or right[:1] in CLOSING) and left[-1:] in SEPARATORS:
        left = left[:-1].rstrip(SPACES)
    is_apart = is_first or is_last or right[:1] in CLOSING or len(left) + len(right) == len(prompt) - (end - start)
    return Cut(
        start=len(left), end=len(prompt) - len(right), text="" if is_apart or right[:1] in tuple(SPACES) else " "
    )


def without(prompt: str, tags: Sequence[LoraTag]) -> str:
    for cut in reversed(cuts_for(prompt, tags)):
        prompt = prompt[: cut.start] + cut.text + prompt[cut.end :]
    return prompt


def _tag(match: "re.Match[str]") -> LoraTag:
    """A second number, or `unet=`, is the transformer's; the first is then the text encoders', which are left alone."""
    name, *rest = COLON.split(match["inside"])
    numbers: list[str] = []
    named: dict[str, str] = {}
    understood = len(rest) <= 3
    for part in rest:
        if found := NAMED.fullmatch(part):
            named[found["name"].lower()] = found["number"]
        else:
            numbers.append(part)
    wanted = named.get("unet") or (numbers[1] if len(numbers) > 1 else None) or named.get("te")
    wanted = wanted or (numbers[0] if numbers else "1")
    understood = understood and len(numbers) <= 2 and all(map(NUMBER.fullmatch, (*numbers, *named.values())))
    return LoraTag(
        start=match.start(),
        end=match.end(),
        text=match.group(),
        name=name,
        weight=float(wanted) if understood else None,
    )
