"""A shelf in an empty folder, and a hub that has a small model for it."""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath

import pytest

from darkroom.config import FolderSettings, ModelSettings, Settings
from darkroom.downloads.downloads import Downloads
from darkroom.downloads.shelf import Shelf
from darkroom.downloads.transfer import Patience
from darkroom.weights import Source, WeightFile
from tests.downloads.hub import Hub, content_of, running_hub

SIZE = 3_000_001
CONTENT = content_of(SIZE)
REPOSITORY = "someone/small"
QUICK = Patience(connect=2.0, read=2.0, waits=(0.0, 0.01, 0.01), longest=0.05, reserve=1)
SOON = 30.0
HUBS = ("modelscope", "huggingface")


@dataclass
class Bench:
    """What a test works with: `own` of the settings has one model, `small`, whose one file is `file`."""

    hub: Hub
    settings: Settings
    shelf: Shelf
    downloads: Downloads
    file: WeightFile

    @property
    def path(self) -> Path:
        return self.settings.folders.models / self.file.place

    @property
    def part(self) -> Path:
        return self.path.with_name(self.path.name + ".part")

    def fetch(self, hub: str = "modelscope") -> str:
        """Get it. "" or the reason why it failed."""
        assert hub in ("modelscope", "huggingface")
        self.downloads.get([self.file], hub)  # type: ignore[arg-type]
        assert self.downloads.wait(SOON)
        return self.reason()

    def reason(self) -> str:
        return next((task.trouble.reason for task in self.downloads.tasks() if task.trouble), "")

    def began_at(self) -> list[int]:
        """Where each answer of the storage was wanted to begin."""
        asked = [headers.get("range", "bytes=0-") for _, path, headers in self.hub.requests if "signature" in path]
        return [int(each.removeprefix("bytes=").removesuffix("-")) for each in asked]

    def again(self, patience: Patience = QUICK) -> "Bench":
        """As after a restart."""
        self.downloads.close()
        shelf = Shelf(self.settings)
        return replace(self, shelf=shelf, downloads=Downloads(shelf, patience=patience))

    def is_whole(self) -> bool:
        return self.path.is_file() and self.path.read_bytes() == CONTENT and not self.part.exists()


def settings_of(folder: Path, **models: object) -> Settings:
    return Settings(
        folders=FolderSettings(models=folder / "models", history=folder / "history", cache=folder / "cache"),
        models=ModelSettings.model_validate(models),
    )


def small(place: str = "small/small.safetensors", **changes: object) -> dict[str, object]:
    """An entry of the settings."""
    source = {"repository": REPOSITORY, "path": "small.safetensors"}
    return {"name": "small", "like": "demo", "file": place, "modelscope": source, "huggingface": source} | changes


@pytest.fixture(scope="session")
def one_hub() -> Iterator[Hub]:
    with running_hub() as hub:
        yield hub


@pytest.fixture
def hub(one_hub: Hub, monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    """With nothing wrong, and one file."""
    fresh = Hub()
    one_hub.files, one_hub.trouble, one_hub.sent = {}, fresh.trouble, 0
    one_hub.requests.clear()
    one_hub.extra_names = ()
    one_hub.free.set()
    one_hub.put(REPOSITORY, "small.safetensors", CONTENT)
    monkeypatch.setenv("MODELSCOPE_ENDPOINT", one_hub.address)
    monkeypatch.setenv("HF_ENDPOINT", one_hub.address)
    for name in ("HF_TOKEN", "MODELSCOPE_API_TOKEN", "HF_HUB_OFFLINE", "DIFFSYNTH_SKIP_DOWNLOAD"):
        monkeypatch.delenv(name, raising=False)
    # Read when it was imported, which may have been while a test played the engine's process, where it is offline.
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", False)
    # ModelScope's client waits between its own tries, a second and more.
    monkeypatch.setattr("modelscope_hub._legacy_api.REPO_TREE_PAGE_MAX_ATTEMPTS", 1)
    yield one_hub
    one_hub.free.set()


MakeBench = Callable[..., Bench]


@pytest.fixture
def make_bench(tmp_path: Path, hub: Hub) -> Iterator[MakeBench]:
    made: list[Bench] = []

    def make(patience: Patience = QUICK, place: str = "small/small.safetensors", **changes: object) -> Bench:
        settings = settings_of(tmp_path, own=[small(place, **changes)])
        shelf = Shelf(settings)
        file = next(file for file in shelf.files if file.place == PurePosixPath(place))
        bench = Bench(hub, settings, shelf, Downloads(shelf, patience=patience), file)
        made.append(bench)
        return bench

    yield make
    hub.free.set()
    for bench in made:
        bench.downloads.close()


@pytest.fixture
def bench(make_bench: MakeBench) -> Bench:
    return make_bench()


def source(path: str = "small.safetensors", **changes: object) -> Source:
    return replace(Source(repository=REPOSITORY, path=path), **changes)  # type: ignore[arg-type]


def until(what: Callable[[], object]) -> None:
    ends = time.monotonic() + SOON
    while not what():
        assert time.monotonic() < ends
        time.sleep(0.005)
