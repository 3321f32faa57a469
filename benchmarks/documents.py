"""Where the tables of measurements stand. Must not know: how anything is measured."""

import sys
from collections.abc import Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
ENGINE = ROOT / "docs" / "benchmarks.md"
QUEUE = ROOT / "docs" / "benchmarks-queue.md"


def command_of(module: str, arguments: Sequence[str] | None) -> str:
    """The command as a document shows it: of a path on this machine, the last name."""
    words = sys.argv[1:] if arguments is None else arguments
    return " ".join(["python -m", module, *(Path(word).name if Path(word).is_absolute() else word for word in words)])


def write_section(document: Path, name: str, text: str) -> None:
    """Put the text between `<!-- name -->` and `<!-- /name -->`; where they are not there yet, they come to the end."""
    first, last = f"<!-- {name} -->", f"<!-- /{name} -->"
    content = document.read_text(encoding="utf-8") if document.exists() else ""
    section = f"{first}\n{text.strip()}\n{last}"
    before, found, rest = content.partition(first)
    if found:
        _, _, after = rest.partition(last)
        document.write_text(before + section + after, encoding="utf-8")
    else:
        document.write_text(f"{content.rstrip()}\n\n{section}\n".lstrip(), encoding="utf-8")
