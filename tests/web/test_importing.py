"""Gradio is imported sooner, and is the same Gradio."""

import subprocess
import sys

PROGRAM = """
import sys
from pathlib import Path
from darkroom.web.importing import import_gradio
opened = []
sys.addaudithook(lambda event, values: opened.append(str(values[0])) if event == "open" else None)
import_gradio()
import gradio, inspect
assert not [path for path in opened if path.endswith(".pyi")], opened
assert Path(inspect.getfile(gradio.Textbox)).name == "textbox.py"
with gradio.Blocks() as page:
    gradio.Textbox().change(None)
assert page.fns
"""


def test_nothing_is_written_for_gradios_developers_and_components_are_as_ever() -> None:
    ended = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stderr[-2000:]


def test_gradio_still_writes_them_when_it_is_imported_by_itself() -> None:
    program = PROGRAM.replace("import_gradio()\n", "", 1).replace("import_gradio()\nimport", "import")
    ended = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert ".pyi" in ended.stderr
