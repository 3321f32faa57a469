"""The text that the A1111 WebUI and Forge write, and others after them: prompt, negative prompt, a line of settings.

Nothing in it is escaped but quoted values, so a prompt may look like the rest. Must not know: files.
"""

import json
import re
from collections.abc import Iterator, Mapping, Sequence

from darkroom.history.metadata.found import Findings, FoundParameters
from darkroom.history.metadata.write import LORAS, MODEL_HASH, TRADES

NEGATIVE = "Negative prompt:"
LAST_PART = re.compile(r"\s*Steps: ?\d")
KEY = re.compile(r'\s*([^\s:,"][^:,"]{0,99}):\s*')
QUOTED = re.compile(r'"(?:[^"\\]|\\.)*"')
SIZE = re.compile(r"(\d{1,9})x(\d{1,9})", re.ASCII)

FEWEST_SETTINGS = 3
"""A line with fewer is a line of the prompt."""
LONGEST_SETTINGS = 50_000

GUIDANCE = ("Distilled CFG Scale", "CFG scale")
NO_PARAMETERS = frozenset({"version", "user", "created date"})
NO_CHOICE = frozenset({"sampler", MODEL_HASH.casefold()})
"""Darkroom has one sampler, and a model by its name; it writes both for the sake of other tools."""


def parse(text: str) -> FoundParameters | None:
    """None when the text has no line of settings: then it is some other text."""
    if text.count("\n") == text.count("\r\n"):
        text = text.replace("\r\n", "\n")
    lines = text.split("\n")
    begin = max((number for number, line in enumerate(lines) if LAST_PART.match(line)), default=None)
    if begin is None:
        return None
    settings = dict(_settings(", ".join(lines[begin:])[:LONGEST_SETTINGS]))
    if len(settings) < FEWEST_SETTINGS:
        return None
    origin = _origin(settings)
    findings = Findings(origin)
    own = origin == "Darkroom"
    prompt, negative = _prompts(lines[:begin])
    for field, words, name in (("prompt", prompt, "Prompt"), ("negative_prompt", negative, "Negative prompt")):
        if own:
            findings.use(field, words, name)
        else:
            findings.use_prompt(field, words, name)
    if own:
        _use_loras(settings, findings)
        if "Model" in settings:
            findings.use("model", settings.pop("Model"), "Model")
        for field, name in TRADES.items():
            findings.use_number(field, settings.pop(name, "0"), name)
    _use(settings, findings, NO_PARAMETERS | NO_CHOICE if own else NO_PARAMETERS)
    return findings.done()


def _prompts(lines: Sequence[str]) -> tuple[str, str]:
    """The first line that says so begins the negative prompt, as these tools read it themselves."""
    for number, line in enumerate(lines):
        if line.startswith(NEGATIVE):
            first = line.removeprefix(NEGATIVE).removeprefix(" ")
            return "\n".join(lines[:number]), "\n".join((first, *lines[number + 1 :]))
    return "\n".join(lines), ""


def _settings(line: str) -> Iterator[tuple[str, str]]:
    """Names and values, quotes taken off."""
    position = 0
    while position < len(line):
        key = KEY.match(line, position)
        if key is None:  # the rest of a value that had a comma
            position = _after_comma(line, position)
            continue
        value, end = _value(line, key.end())
        yield key[1].rstrip(), value
        position = _after_comma(line, end)


def _value(line: str, start: int) -> tuple[str, int]:
    """The value that starts there, and where it ends."""
    try:
        quoted = QUOTED.match(line, start)
        if quoted:
            return str(json.loads(quoted[0])), quoted.end()
        if line[start : start + 1] in ("[", "{"):  # Civitai's resources
            _, end = json.JSONDecoder().raw_decode(line, start)
            return line[start:end], end
    except (ValueError, RecursionError):
        pass  # it only looked like one
    end = line.find(",", start)
    end = len(line) if end < 0 else end
    return line[start:end].rstrip(), end


def _after_comma(line: str, position: int) -> int:
    comma = line.find(",", position)
    return len(line) if comma < 0 else comma + 1


def _use(settings: Mapping[str, str], findings: Findings, skipped: frozenset[str]) -> None:
    by_name = {name.casefold(): (name, value) for name, value in settings.items()}

    def take(name: str) -> str | None:
        return by_name.pop(name.casefold(), (name, None))[1]

    findings.use_number("steps", take("Steps"), "Steps")
    if (seed := take("Seed")) is not None:
        findings.use_number("seed", seed, "Seed")
    if (size := take("Size")) is not None:
        sides = SIZE.fullmatch(size)
        if sides:
            findings.use_size(sides[1], sides[2])
        else:
            findings.leave("Size", size, "unclear")
    findings.use_guidance(take(GUIDANCE[0]), take(GUIDANCE[1]), GUIDANCE)
    if (model := take("Model")) is not None:
        findings.use_model(model)
    for key, (name, value) in by_name.items():
        if key not in skipped:
            findings.leave(name, value, "not_supported")


def _use_loras(settings: dict[str, str], findings: Findings) -> None:
    """As `write.py` writes them."""
    text = settings.pop(LORAS, None)
    if text is None:
        return
    try:
        findings.use("loras", json.loads(text), LORAS)
    except (ValueError, RecursionError):
        findings.leave(LORAS, text, "unclear")


def _origin(settings: Mapping[str, str]) -> str:
    """Forge calls its versions f2.0.1…, its successors neo-… and classic-…"""
    version = settings.get("Version", "")
    if version.startswith("Darkroom "):
        return "Darkroom"
    return "Forge" if re.match(r"f\d|neo|classic", version) else "A1111 WebUI"
