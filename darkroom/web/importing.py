"""Gradio, imported without the work it does then for its own developers. Must not know: what it is used for."""

import inspect
from typing import Any


def import_gradio() -> None:
    """Before anything else imports it. Not while another thread looks for files of classes.

    For each of its components Gradio compares a `.pyi` file beside the code with what that should be, and writes it:
    half of the time of its import. What has no file is passed over there.
    """
    found = inspect.getfile

    def getfile(thing: Any) -> str:
        if isinstance(thing, type) and thing.__module__.startswith("gradio."):
            raise OSError("no .pyi file is wanted")
        return found(thing)

    inspect.getfile = getfile  # type: ignore[assignment]
    try:
        import gradio  # noqa: F401
    finally:
        inspect.getfile = found
