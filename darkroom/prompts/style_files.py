"""Reads other tools' files of styles: styles.csv of A1111 and Forge, sdxl_styles JSON of Fooocus.

Must not know: which styles there are already, or where they are kept.
"""

import csv
import io
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from darkroom.errors import InvalidRequest, Problem, shown

LARGEST_FILE = 8 * 2**20
LARGEST_FILE_WORDS = "at most 8 MiB"
A_STYLE_FILE = "styles.csv with the columns name, prompt and negative_prompt, or a JSON list of styles"
BYTE_ORDER_MARKS = {b"\xef\xbb\xbf": "utf-8-sig", b"\xff\xfe": "utf-16", b"\xfe\xff": "utf-16"}
DELIMITERS = (",", ";", "\t")
# A1111 called the column "text" before it knew negative prompts.
OLD_NAMES = {"text": "prompt"}


@dataclass(frozen=True, kw_only=True)
class StyleEntry:
    """Values as they stand in the file, not checked; `name` is always among them. `line` is 0 in a JSON file."""

    line: int
    values: Mapping[str, Any]


def read_style_file(content: bytes) -> tuple[StyleEntry, ...]:
    """Raises InvalidRequest for a file that holds no styles. Single entries are not judged here."""
    if len(content) > LARGEST_FILE:
        raise _refusal(f"{len(content) / 2**20:.1f} MiB", LARGEST_FILE_WORDS)
    text = _decoded(content)
    if not text.strip():
        raise _refusal("empty", A_STYLE_FILE)
    return _from_json(text) if text.lstrip()[0] in "[{" else _from_csv(text)


def _decoded(content: bytes) -> str:
    """Spreadsheets write UTF-16 and, on Chinese Windows, GBK, of which GB 18030 is the whole."""
    marked = next((name for mark, name in BYTE_ORDER_MARKS.items() if content.startswith(mark)), None)
    for encoding in (marked,) if marked else ("utf-8", "gb18030"):
        try:
            return content.decode(encoding)
        except UnicodeDecodeError:
            continue
    raise _refusal("not text", A_STYLE_FILE)


def _from_json(text: str) -> tuple[StyleEntry, ...]:
    try:
        content = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise _refusal(shown(str(error)), A_STYLE_FILE) from error
    if not isinstance(content, list) or not all(isinstance(entry, dict) for entry in content):
        raise _refusal(shown(text), A_STYLE_FILE)
    return tuple(StyleEntry(line=0, values=_known(entry)) for entry in content)


def _from_csv(text: str) -> tuple[StyleEntry, ...]:
    rows = _rows(text)
    first = [column.strip().lower() for column in rows[0][1]]
    columns = [OLD_NAMES.get(column, column) for column in first]
    if "name" not in columns or not {"prompt", "negative_prompt"} & set(columns):
        raise _refusal(shown(text.strip().splitlines()[0]), A_STYLE_FILE)
    # A row may be shorter than the header: hand-made files leave out what is empty.
    return tuple(StyleEntry(line=line, values=_known(dict(zip(columns, row, strict=False)))) for line, row in rows[1:])


def _rows(text: str) -> list[tuple[int, list[str]]]:
    """The rows that hold anything, each with the line it begins on."""
    header = text.lstrip().splitlines()[0]
    delimiter = max(DELIMITERS, key=header.count)
    lines = io.StringIO(text, newline="").readlines()
    reader = csv.reader(lines, delimiter=delimiter, skipinitialspace=True)
    rows: list[tuple[int, list[str]]] = []
    line = 1
    try:
        for row in reader:
            if any(value.strip() for value in row):
                rows.append((line, row))
            line = reader.line_num + 1
    except csv.Error as error:
        raise _refusal(f"line {line}: {error}", A_STYLE_FILE) from error
    _check_last_row(lines[rows[-1][0] - 1 :], delimiter, rows[-1][0])
    return rows


def _check_last_row(lines: list[str], delimiter: str, line: int) -> None:
    """A quotation mark that is never closed swallows all that follows; the reader says so only when strict."""
    try:
        list(csv.reader(lines, delimiter=delimiter, skipinitialspace=True, strict=True))
    except csv.Error as error:
        if "unexpected end" in str(error):
            raise _refusal(f"line {line}: a quotation mark is opened and never closed", A_STYLE_FILE) from error


def _known(values: Mapping[str, Any]) -> dict[str, Any]:
    """What a style has; other tools' further columns are left out, and so is what is not said."""
    known = {key: values[key] for key in ("prompt", "negative_prompt") if values.get(key) is not None}
    name = values.get("name", "")
    return {"name": name.strip() if isinstance(name, str) else name} | known


def _refusal(value: str, allowed: str) -> InvalidRequest:
    return InvalidRequest(Problem(field="file", value=value, allowed=allowed))
