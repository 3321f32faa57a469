"""The page's scripts, styles and mark, as text. Must not know: where they end up."""

from importlib.resources import files


def static_text(*names: str) -> str:
    """The named files, one after the other."""
    folder = files(__package__)
    return "\n".join((folder / name).read_text(encoding="utf-8") for name in names)
