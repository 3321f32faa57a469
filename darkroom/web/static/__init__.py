"""The page's scripts, styles and mark, as text. Must not know: where they end up."""

from importlib.resources import files

FIRST = "darkroom"


def static_text(*names: str) -> str:
    """The named files, one after the other."""
    folder = files(__package__)
    return "\n".join((folder / name).read_text(encoding="utf-8") for name in names)


def all_of(suffix: str) -> str:
    """Every file of a kind: first the one that the others build on, then by name."""
    names = [file.name for file in files(__package__).iterdir() if file.name.endswith(suffix)]
    return static_text(*sorted(names, key=lambda name: (name != FIRST + suffix, name)))
