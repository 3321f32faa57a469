"""What every file of the house keeps to, where a linter has no rule for it."""

import ast
import re
import stat
from collections.abc import Iterable
from pathlib import Path

ROOT = Path(__file__).parent.parent
FOLDERS = ("darkroom", "tools", "benchmarks", "tests")
PYTHON = (ROOT / "app.py", *sorted(file for folder in FOLDERS for file in (ROOT / folder).rglob("*.py")))
TEXTS = (
    *PYTHON,
    *(ROOT / name for name in ("Makefile", "run.bat", "Dockerfile", "compose.yaml", "config.yaml")),
    *sorted([*ROOT.glob("*.md"), *ROOT.glob("*.txt"), *(ROOT / "docs").rglob("*.md")]),
    *sorted(file for file in (ROOT / "darkroom").rglob("*") if file.suffix in (".js", ".css", ".yaml")),
)
LONGEST_FILE = 400
LONGEST_FUNCTION = 80
# Paths of one person's machine. Written in two parts, so that this file does not name one.
A_MACHINE = re.compile(r"(?<![\w.~/-])/(?:wor" + r"k|roo" + r"t|hom" + r"e/\w+|User" + r"s/\w+)(?=/|\b)")


def names(files: Iterable[Path]) -> list[str]:
    return [file.relative_to(ROOT).as_posix() for file in files]


def test_each_file_says_first_what_it_is_for() -> None:
    trees = {file: ast.parse(file.read_text("utf-8")) for file in PYTHON}
    assert names(file for file, tree in trees.items() if tree.body and not ast.get_docstring(tree)) == []


def test_no_file_outgrows_a_reader() -> None:
    assert names(file for file in TEXTS if len(file.read_text("utf-8").splitlines()) > LONGEST_FILE) == []


def test_no_function_outgrows_a_screen() -> None:
    functions = [
        (file.name, node.name, (node.end_lineno or 0) - node.lineno + 1)
        for file in PYTHON
        for node in ast.walk(ast.parse(file.read_text("utf-8")))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    ]
    assert [function for function in functions if function[2] > LONGEST_FUNCTION] == []


def test_no_file_names_a_path_of_one_machine() -> None:
    assert names(file for file in TEXTS if A_MACHINE.search(file.read_text("utf-8"))) == []


def test_a_path_of_one_machine_would_be_found() -> None:
    for path in ("/wor" + "k/main", '"/roo' + 't"', "/hom" + "e/someone/darkroom"):
        assert A_MACHINE.search(f"x = {path}")
    for path in ("the/work", "~/home", "https://example.org/root", "network/work"):
        assert not A_MACHINE.search(path)


def test_app_only_wires() -> None:
    assert len((ROOT / "app.py").read_text("utf-8").splitlines()) <= 60


def test_what_continuous_integration_runs_can_be_run() -> None:
    assert (ROOT / ".ci" / "run").stat().st_mode & stat.S_IXUSR
