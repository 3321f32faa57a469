"""Styles: pieces of prompt with a name, kept in a file that people can edit by hand too.

Until the first change the styles are those that ship; from then on the file is all there is. Must not know: pages.
"""

import threading
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from importlib.resources import files
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError

from darkroom.errors import HistoryUnusable, InvalidRequest, NotFound, Problem, StylesUnusable, shown
from darkroom.files import write_whole
from darkroom.prompts.style_files import read_style_file
from darkroom.request import LONGEST_PROMPT, PromptText, problems_of, unprintable

PLACEHOLDER = "{prompt}"
LONGEST_NAME = 100
MOST_STYLES = 5_000
FILE_NAME = "styles.yaml"
HEADER = """\
# Darkroom's styles. {prompt} stands for what you write; without it, a style is added after your words and a comma.
# You may edit this file; comments of your own are lost when a style is changed on the page.

"""

# libyaml is some ten times faster, where PyYAML was built with it.
_Loader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_Dumper: Any = getattr(yaml, "CSafeDumper", yaml.SafeDumper)

# Two books on one file in this process must not write across each other.
_changing = threading.RLock()


def _is_a_name(name: str) -> str:
    if name != name.strip() or any(unprintable(letter) or letter in "\n\r\t" for letter in name):
        raise ValueError("one line of text without spaces around it")
    return name


class Style(BaseModel):
    """Where `prompt` holds {prompt}, the person's words go there; else they come before it."""

    model_config = ConfigDict(frozen=True, strict=True, extra="forbid")

    name: Annotated[str, Field(min_length=1, max_length=LONGEST_NAME), AfterValidator(_is_a_name)]
    prompt: PromptText = ""
    negative_prompt: PromptText = ""


def make_style(values: Mapping[str, Any]) -> Style:
    """Build a style from named values. Raises InvalidRequest naming every field that is wrong."""
    try:
        return Style.model_validate(dict(values))
    except ValidationError as error:
        problems = (replace(problem, field=f"style.{problem.field}") for problem in problems_of(error))
        raise InvalidRequest(*problems) from error


def apply(styles: Sequence[Style], prompt: str, *, each_line: bool = False) -> str:
    """The prompt with each style around it, in order; `each_line`: around each of its lines, which stays one line."""
    pieces = [style.prompt for style in styles]
    if not each_line:
        return _applied(pieces, prompt)
    pieces = [" ".join(piece.split()) for piece in pieces]
    is_empty = not prompt.strip()
    lines = (_applied(pieces, line) if line.strip() or is_empty else line for line in prompt.splitlines() or [""])
    return "\n".join(lines)


def apply_negative(styles: Iterable[Style], negative_prompt: str) -> str:
    return _applied((style.negative_prompt for style in styles), negative_prompt)


def _applied(pieces: Iterable[str], text: str) -> str:
    for piece in pieces:
        if PLACEHOLDER in piece:
            text = piece.replace(PLACEHOLDER, text.strip())
        elif piece.strip():
            words = text.strip().rstrip(",， ")
            text = f"{words}, {piece.strip()}" if words else piece.strip()
    return text


SkipReason = Literal["exists", "empty", "not_allowed", "too_many"]


@dataclass(frozen=True, kw_only=True)
class Skipped:
    """`line` is where the style begins in the file; 0 where the file has no lines to speak of.

    `reason` is a key of words: a style of that `name` exists, it says nothing, a value is not allowed (`problem` says
    which), or there are too many styles.
    """

    name: str
    line: int
    reason: SkipReason
    problem: Problem | None = None


@dataclass(frozen=True, kw_only=True)
class ImportReport:
    """Names of what was added, and what was not with its reason."""

    added: tuple[str, ...]
    skipped: tuple[Skipped, ...]


class StyleBook:
    """The styles in the file at `path`. Safe for many threads; another process must not write it."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def styles(self) -> tuple[Style, ...]:
        """In the file's order. Raises StylesUnusable."""
        try:
            text = self._path.read_text("utf-8-sig")
        except FileNotFoundError:
            return shipped_styles()
        except UnicodeDecodeError as error:
            raise StylesUnusable(self._path.name, "it is not UTF-8 text") from error
        except OSError as error:
            raise StylesUnusable(self._path.name, error.strerror or "it cannot be read") from error
        return _parsed(text, self._path.name)

    def get(self, name: str) -> Style:
        """Raises NotFound, StylesUnusable."""
        return _find(self.styles(), name)

    def add(self, style: Style) -> None:
        """At the end. Raises InvalidRequest (its name is taken, it has no words), StylesUnusable, HistoryUnusable."""
        _check_words(style)
        with self._changes() as styles:
            _check_free(styles, style.name)
            if len(styles) >= MOST_STYLES:
                count = str(len(styles) + 1)
                raise InvalidRequest(Problem(field="styles", value=count, allowed=f"at most {MOST_STYLES}"))
            styles.append(style)

    def change(self, name: str, style: Style) -> None:
        """Put `style` in the place of the one called `name`. Raises NotFound, and what `add` raises."""
        _check_words(style)
        with self._changes() as styles:
            place = styles.index(_find(styles, name))
            if style.name != name:
                _check_free(styles, style.name)
            styles[place] = style

    def remove(self, name: str) -> None:
        """Raises NotFound, StylesUnusable, HistoryUnusable."""
        with self._changes() as styles:
            styles.remove(_find(styles, name))

    def import_file(self, content: bytes) -> ImportReport:
        """Add the styles of another tool's file: styles.csv of A1111 or Forge, or sdxl_styles JSON of Fooocus.

        A style whose name exists is left as it is. Raises InvalidRequest, StylesUnusable, HistoryUnusable.
        """
        entries = read_style_file(content)
        added: list[str] = []
        skipped: list[Skipped] = []
        with self._changes() as styles:
            names = {style.name for style in styles}
            for entry in entries:
                name, line = shown(entry.values["name"]), entry.line
                try:
                    style = make_style(entry.values)
                except InvalidRequest as error:
                    skipped.append(Skipped(name=name, line=line, reason="not_allowed", problem=error.problems[0]))
                    continue
                reason: SkipReason | None = None
                if style.name in names:
                    reason = "exists"
                elif not _says_anything(style):
                    reason = "empty"
                elif len(styles) >= MOST_STYLES:
                    reason = "too_many"
                if reason:
                    skipped.append(Skipped(name=name, line=line, reason=reason))
                else:
                    styles.append(style)
                    names.add(style.name)
                    added.append(style.name)
        return ImportReport(added=tuple(added), skipped=tuple(skipped))

    @contextmanager
    def _changes(self) -> Iterator[list[Style]]:
        """The styles as a list to change; written back at the end if they differ, and only if nothing was raised."""
        with _changing:
            before = self.styles()
            styles = list(before)
            yield styles
            if tuple(styles) != before:
                try:
                    write_whole(self._path, _dumped(styles).encode("utf-8"))
                except OSError as error:
                    raise HistoryUnusable("not_writable", str(self._path.parent)) from error


def shipped_styles() -> tuple[Style, ...]:
    return _parsed((files(__package__) / "shipped_styles.yaml").read_text("utf-8"), "shipped_styles.yaml")


def _find(styles: Sequence[Style], name: str) -> Style:
    for style in styles:
        if style.name == name:
            return style
    raise NotFound("style", name)


def _says_anything(style: Style) -> bool:
    return bool(style.prompt.strip() or style.negative_prompt.strip())


def _check_words(style: Style) -> None:
    if not _says_anything(style):
        raise InvalidRequest(Problem(field="style.prompt", value="", allowed="words here or in the negative prompt"))


def _check_free(styles: Sequence[Style], name: str) -> None:
    if any(style.name == name for style in styles):
        raise InvalidRequest(Problem(field="style.name", value=shown(name), allowed="a name that no other style has"))


def _parsed(text: str, file: str) -> tuple[Style, ...]:
    """Raises StylesUnusable."""
    try:
        entries = yaml.load(text, _Loader)
    except yaml.MarkedYAMLError as error:
        line = f"line {error.problem_mark.line + 1}: " if error.problem_mark else ""
        raise StylesUnusable(file, f"{line}{error.problem}") from error
    except (yaml.YAMLError, RecursionError) as error:
        raise StylesUnusable(file, shown(str(error))) from error
    if not isinstance(entries or [], list):
        raise StylesUnusable(file, "it is not a list of styles, each beginning with `- name: `")
    styles: dict[str, Style] = {}
    for number, entry in enumerate(entries or [], start=1):
        style = _parsed_entry(entry, number, file)
        if style.name in styles:
            raise StylesUnusable(file, f"two styles are called {shown(style.name)}")
        styles[style.name] = style
    return tuple(styles.values())


def _parsed_entry(entry: object, number: int, file: str) -> Style:
    if not (isinstance(entry, dict) and all(isinstance(key, str) for key in entry)):
        raise StylesUnusable(file, f"style {number} is {shown(entry)}, without a name and a prompt")
    try:
        # `negative_prompt:` with nothing behind it is how a person writes an empty one.
        return make_style({key: value for key, value in entry.items() if value is not None})
    except InvalidRequest as error:
        raise StylesUnusable(file, f"style {number}: {error}") from error


def _dumped(styles: Iterable[Style]) -> str:
    entries = [style.model_dump(exclude_defaults=True) for style in styles]
    return HEADER + yaml.dump(entries, Dumper=_Dumper, allow_unicode=True, sort_keys=False, width=LONGEST_PROMPT)
