"""Choices in a prompt: "a {red|green} door" stands for two prompts. A brace after a backslash is a letter.

Must not know: how many prompts are too many, or what becomes of them.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import reduce
from operator import mul

DEEPEST = 20
JSON = re.compile(r"[\"”]\s*:")
ESCAPED = re.compile(r"\\([{}|])")
OPENING = re.compile(r"\\.|{", re.DOTALL)


@dataclass
class _Choice:
    """`options` are sequences of text and further choices; the last one is being read."""

    start: int
    options: "list[_Sequence]" = field(default_factory=lambda: [[]])


_Sequence = list["str | _Choice"]


def count_of(prompt: str) -> int:
    """For how many prompts it stands, without making them: choices multiply."""
    return _count(_read(prompt))


def prompts_of(prompt: str) -> tuple[str, ...]:
    """All of them, the last choice changing fastest.

    A prompt without choices is itself, letter by letter, unless backslashes are all that keeps it from having some.
    """
    read = _read(prompt)
    if not any(isinstance(part, _Choice) for part in read):
        plain = ESCAPED.sub(r"\1", prompt)
        return (plain if count_of(plain) > 1 else prompt,)
    return tuple(ESCAPED.sub(r"\1", text) for text in _texts(read))


def written_for(prompt: str) -> str:
    """What stands for this one prompt, also where it has braces that would be a choice."""
    if count_of(prompt) == 1:
        return prompt
    return OPENING.sub(lambda found: r"\{" if found[0] == "{" else found[0], prompt)


def _read(prompt: str) -> _Sequence:
    """Braces that belong together and have a bar between them are a choice; all others are text."""
    outside: _Sequence = []
    opened: list[_Choice] = []
    place, begin = 0, 0

    def here() -> _Sequence:
        return opened[-1].options[-1] if opened else outside

    while place < len(prompt):
        letter = prompt[place]
        if letter == "\\":
            place += 2
            continue
        if letter in "{|}" and (letter == "{" or opened):
            here().append(prompt[begin:place])
            begin = place + 1
            if letter == "{":
                opened.append(_Choice(place))
            elif letter == "|":
                opened[-1].options.append([])
            else:
                choice = opened.pop()
                content = prompt[choice.start + 1 : place]
                is_choice = len(opened) < DEEPEST and len(choice.options) > 1 and not JSON.search(content)
                here().extend([choice] if is_choice else ["{", *_plain(choice), "}"])
        place += 1
    here().append(prompt[begin:])
    while opened:
        choice = opened.pop()
        here().extend(["{", *_plain(choice)])
    return outside


def _plain(choice: _Choice) -> _Sequence:
    """What was read as a choice and is none after all."""
    parts = list(choice.options[0])
    for option in choice.options[1:]:
        parts += ["|", *option]
    return parts


def _count(parts: Sequence["str | _Choice"]) -> int:
    choices = (part for part in parts if isinstance(part, _Choice))
    return reduce(mul, (sum(_count(option) for option in choice.options) for choice in choices), 1)


def _texts(parts: Sequence["str | _Choice"]) -> list[str]:
    texts = [""]
    for part in parts:
        ends = [part] if isinstance(part, str) else [text for option in part.options for text in _texts(option)]
        texts = [text + end for text in texts for end in ends]
    return texts
