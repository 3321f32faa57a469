"""README.md and README.zh.md: what they tell a newcomer to type exists, and where they point to is there."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
READMES = ("README.md", "README.zh.md")
TEXTS = [*READMES, *(path.relative_to(ROOT).as_posix() for path in sorted((ROOT / "docs").rglob("*.md")))]


def text(name: str) -> str:
    return (ROOT / name).read_text("utf-8")


def first_commands(name: str) -> list[str]:
    """The lines of the first code block, without what stands behind #."""
    block = re.search(r"^```sh\n(.*?)^```", text(name), re.DOTALL | re.MULTILINE)
    assert block
    return [line.split("#")[0].strip() for line in block[1].splitlines()]


@pytest.mark.parametrize("name", READMES)
def test_the_first_commands_are_the_two_of_the_makefile(name: str) -> None:
    assert first_commands(name) == ["make run", "make test"]


@pytest.mark.skipif(shutil.which("make") is None, reason="Windows has run.bat instead of make")
@pytest.mark.parametrize("command", ["make run", "make test", "make clean"])
def test_each_command_is_one_that_make_knows(command: str) -> None:
    run = subprocess.run([*command.split(), "--dry-run"], cwd=ROOT, capture_output=True, text=True)
    assert run.returncode == 0, run.stderr


@pytest.mark.parametrize("name", TEXTS)
def test_each_link_to_a_file_leads_to_one(name: str) -> None:
    links = re.findall(r"\]\(([^)#\s]+)", text(name)) + re.findall(r'src="([^"]+)"', text(name))
    here = (ROOT / name).parent
    assert [link for link in links if "://" not in link and not (here / link).exists()] == []


def test_each_name_in_the_table_of_where_things_lie_is_there() -> None:
    for name in READMES:
        names = re.findall(r"^\| `([^`]+)` \|", text(name), re.MULTILINE)
        made_later = {"history/"}
        assert [path for path in names if path not in made_later and not (ROOT / path).exists()] == []


def test_both_languages_have_the_same_sections_and_commands() -> None:
    english, chinese = (re.findall(r"^#+ |^```\w*|`make \w+`", text(name), re.MULTILINE) for name in READMES)
    assert english == chinese


def test_the_readmes_link_each_other_at_the_top() -> None:
    assert "(README.zh.md)" in "".join(text("README.md").splitlines()[:5])
    assert "(README.md)" in "".join(text("README.zh.md").splitlines()[:5])
