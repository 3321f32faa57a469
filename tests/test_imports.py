"""The house's arrows, read from the imports of every file, and what importing the page may not load.

app → web → jobs → {messages, history} → {request, catalog, planner, config} → errors; engine beside them, below app.
"""

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
FILES = (ROOT / "app.py", *sorted((ROOT / "darkroom").rglob("*.py")))
ONLY_IN_ENGINE = {"torch", "torchvision", "diffsynth", "transformers", "safetensors", "modelscope"}
# What a plan for memory is made of, the lowest first.
ARITHMETIC = ("architecture", "cards", "footprint", "layouts", "machine", "rungs", "wishes")
BELOW_ROOMS = ("checkpoints", "errors", "files", "request", "catalog", "shapes", "planner", "config", "logs", "weights")
BASE = tuple(f"darkroom.{name}" for name in (*BELOW_ROOMS, *ARITHMETIC))

# Each room, the narrowest name first, with what of ours it may import besides itself and the package's version.
MAY_IMPORT: dict[str, tuple[str, ...]] = {
    "app": ("darkroom",),
    "darkroom.cli": (
        "darkroom.web",
        "darkroom.origins",
        "darkroom.downloads",
        "darkroom.hardware",
        "darkroom.loras",
        "darkroom.jobs",
        "darkroom.history",
        "darkroom.prompts",
        *BASE,
    ),
    "darkroom.web": (
        "darkroom.origins",
        "darkroom.downloads",
        "darkroom.hardware",
        "darkroom.loras",
        "darkroom.jobs",
        "darkroom.history",
        "darkroom.prompts",
        *BASE,
    ),
    "darkroom.jobs.messages": BASE,
    "darkroom.jobs": ("darkroom.history", *BASE),
    "darkroom.history": BASE,
    "darkroom.engine": ("darkroom.jobs.messages", "darkroom.loras", *BASE),
    "darkroom.loras": ("darkroom.checkpoints", *BASE),
    "darkroom.prompts": BASE,
    "darkroom.origins": ("darkroom.downloads", "darkroom.loras", *BASE),
    "darkroom.downloads": BASE,
    "darkroom.hardware": ("darkroom.machine",),
    "darkroom.doctor": ("darkroom.history", *BASE),
    "darkroom.request": ("darkroom.errors",),
    "darkroom.architecture": (),
    "darkroom.cards": (),
    "darkroom.footprint": ("darkroom.architecture", "darkroom.cards"),
    "darkroom.layouts": ("darkroom.architecture", "darkroom.footprint"),
    "darkroom.machine": ("darkroom.footprint",),
    "darkroom.wishes": ("darkroom.machine",),
    "darkroom.rungs": ("darkroom.wishes",),
    "darkroom.checkpoints": ("darkroom.errors", "darkroom.architecture"),
    "darkroom.weights": (),
    "darkroom.catalog": ("darkroom.errors", "darkroom.request", "darkroom.architecture", "darkroom.weights"),
    "darkroom.shapes": ("darkroom.errors", "darkroom.request", "darkroom.catalog"),
    "darkroom.planner": ("darkroom.errors", "darkroom.catalog", *(f"darkroom.{name}" for name in ARITHMETIC)),
    "darkroom.config": (
        "darkroom.errors",
        "darkroom.request",
        "darkroom.catalog",
        "darkroom.weights",
        "darkroom.setting_values",
    ),
    "darkroom.setting_values": (),
    "darkroom.logs": (),
    "darkroom.files": (),
    "darkroom.errors": (),
}


def module_name(file: Path) -> str:
    parts = file.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


NAMES = {module_name(file): file for file in FILES}


def imports(file: Path) -> Iterator[str]:
    """Every module the file names, wherever in the file. `from package import module` names the module."""
    for node in ast.walk(ast.parse(file.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{file} imports by a relative name; the house writes darkroom.x"
            assert node.module is not None
            for alias in node.names:
                inner = f"{node.module}.{alias.name}"
                yield inner if inner in NAMES else node.module


def inside(name: str, room: str) -> bool:
    return name == room or name.startswith(room + ".")


def is_allowed(importer: str, imported: str) -> bool:
    room = next((room for room in MAY_IMPORT if inside(importer, room)), None)
    allowed = (room, *MAY_IMPORT[room]) if room else ()
    return imported == "darkroom" or any(inside(imported, below) for below in allowed)


def test_every_file_stands_in_a_room() -> None:
    rooms = {name: [room for room in MAY_IMPORT if inside(name, room)] for name in NAMES if name != "darkroom"}
    assert [name for name, found in rooms.items() if not found] == []


def test_arrows_only_go_down() -> None:
    arrows = [(name, imported) for name, file in NAMES.items() for imported in imports(file)]
    ours = [(name, imported) for name, imported in arrows if inside(imported, "darkroom") or inside(imported, "app")]
    assert [arrow for arrow in ours if not is_allowed(*arrow)] == []


@pytest.mark.parametrize(
    ("importer", "imported"),
    [
        ("darkroom.web.server", "darkroom.engine.process"),
        ("darkroom.history.library", "darkroom.engine.flux"),
        ("darkroom.history.library", "darkroom.jobs.queue"),
        ("darkroom.engine.process", "darkroom.web.server"),
        ("darkroom.engine.process", "darkroom.history.library"),
        ("darkroom.engine.process", "darkroom.jobs.queue"),
        ("darkroom.engine.process", "darkroom.jobs.supervisor"),
        ("darkroom.jobs.messages", "darkroom.history.library"),
        ("darkroom.jobs.supervisor", "darkroom.web.server"),
        ("darkroom.request", "darkroom.config"),
        ("darkroom.prompts.styles", "darkroom.history.library"),
        ("darkroom.history.library", "darkroom.prompts.styles"),
        ("darkroom.errors", "darkroom.request"),
        ("darkroom.checkpoints.recognition", "darkroom.catalog"),
        ("darkroom.config", "app"),
        ("darkroom.prompts.styles", "darkroom.web.server"),
        ("darkroom.web.server", "darkroom.cli.command"),
        ("darkroom.cli.command", "darkroom.engine.process"),
        ("darkroom.downloads.shelf", "darkroom.web.server"),
        ("darkroom.jobs.supervisor", "darkroom.downloads.shelf"),
        ("darkroom.weights", "darkroom.catalog"),
        ("darkroom.a_room_without_a_rule", "darkroom.errors"),
    ],
)
def test_the_rule_refuses_an_arrow_that_goes_up(importer: str, imported: str) -> None:
    assert not is_allowed(importer, imported)


def test_only_the_engine_names_the_libraries_that_load_torch() -> None:
    elsewhere = [(name, file) for name, file in NAMES.items() if not inside(name, "darkroom.engine")]
    heavy = [(name, imp) for name, file in elsewhere for imp in imports(file) if imp.split(".")[0] in ONLY_IN_ENGINE]
    assert heavy == []


def test_importing_all_that_app_imports_loads_no_torch() -> None:
    modules = ", ".join(["app", *sorted({imported for imported in imports(ROOT / "app.py") if imported in NAMES})])
    assert "darkroom.web.server" in modules
    program = f"import sys, {modules}; print(*sorted({ONLY_IN_ENGINE!r} & sys.modules.keys()))"
    run = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True)
    assert run.returncode == 0, run.stderr
    assert run.stdout.split() == []


def test_what_is_imported_is_pinned_and_what_is_pinned_has_a_reason() -> None:
    lines = [line for line in (ROOT / "requirements.txt").read_text("utf-8").splitlines() if line and line[0] != "#"]
    pinned = {line.split("==")[0].replace("-", "_") for line in lines}
    assert [line for line in lines if not re.fullmatch(r"[a-z0-9-]+==[\d.]+(; [^#]+)? +# \S.*", line)] == []

    package_of = {"PIL": "pillow", "yaml": "pyyaml"}
    roots = {imported.split(".")[0] for file in FILES for imported in imports(file)}
    outside = roots - sys.stdlib_module_names - {"app", "darkroom"}
    needed = {package_of.get(root, root) for root in outside}
    assert needed - pinned == set()
    # Not imported by name: diffsynth imports these two, at versions that must fit torch's and the hub's.
    of_diffsynth = {"torchvision", "modelscope"}
    # What goes over the network imports these where a proxy asks for them.
    of_proxies = {"socksio", "pysocks"}
    assert pinned - needed - of_diffsynth - of_proxies == set()
