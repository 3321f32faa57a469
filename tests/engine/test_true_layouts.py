"""Every layout at FLUX.1's true shapes, through the real engine: recognised, planned, loaded, and one picture made.

`pytest -m gpu tests/engine/test_true_layouts.py` takes a card, 45 GB of the disk (or of /dev/shm, where there are) and
64 GB of RAM, and some minutes. At the demo's shapes the same runs everywhere, so that it is known to work.
"""

import shutil
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath

import pytest
import torch

from darkroom.architecture import FLUX1, Architecture
from darkroom.catalog import DEMO, FLUX1_DEV, FLUX1_SCHNELL, ModelEntry, ModelFiles
from darkroom.checkpoints import Recognised, recognise
from darkroom.engine.model import LoadedModel
from darkroom.engine.watcher import Watcher
from darkroom.errors import ModelUnusable
from darkroom.jobs.messages import EngineOptions
from darkroom.request import GenerationRequest, parse_request
from tests.engine.true_files import all_in_one, below, diffusers, native, scaled, write, write_shards

MODELS = Path(__file__).parents[2] / "models"
SHM = Path("/dev/shm")
ROOM = 45 * 10**9
ENCODERS = ("text_encoder_1", "text_encoder_2", "vae")


@dataclass(frozen=True, kw_only=True)
class Layout:
    """`write` puts it into a folder. `says` is what it is to be recognised as: layout and type of most of its bytes.

    Those of one `group` hold the same model, and give the same pixels.
    """

    name: str
    write: Callable[[Path, Architecture], Path]
    says: tuple[str, str, bool]
    group: str = ""
    guidance: bool = True


def _one(folder: Path) -> Path:
    return folder / "model.safetensors"


LAYOUTS = (
    Layout(
        name="BFL, bf16",
        write=lambda folder, flux: write(_one(folder), native("transformer", flux, "BF16")),
        says=("native", "BF16", False),
        group="bf16",
    ),
    Layout(
        name="diffusers' shards, bf16",
        write=lambda folder, flux: write_shards(folder / "transformer", diffusers(flux, "BF16")),
        says=("diffusers", "BF16", False),
        group="bf16",
    ),
    Layout(
        name="with a prefix, fp16, without guidance",
        write=lambda folder, flux: write(
            _one(folder), below("model.diffusion_model.", native("transformer", flux, "F16"))
        ),
        says=("prefixed", "F16", False),
        guidance=False,
    ),
    Layout(
        name="float8 as it is",
        write=lambda folder, flux: write(_one(folder), native("transformer", flux, "F8_E4M3")),
        says=("native", "F8_E4M3", False),
    ),
    Layout(
        name="ComfyUI's scaled float8",
        write=lambda folder, flux: write(
            _one(folder),
            below("model.diffusion_model.", scaled(native("transformer", flux, "BF16"), ".scale_weight")),
        ),
        says=("prefixed", "F8_E4M3", True),
        group="scaled",
    ),
    Layout(
        name="scaled float8 of today's ComfyUI, in diffusers' names",
        write=lambda folder, flux: write(_one(folder), scaled(diffusers(flux, "BF16"), ".weight_scale")),
        says=("diffusers", "F8_E4M3", True),
        group="scaled",
    ),
    Layout(
        name="all in one",
        write=lambda folder, flux: write(_one(folder), all_in_one(flux)),
        says=("all_in_one", "F8_E4M3", False),
    ),
)


@dataclass(frozen=True, kw_only=True)
class Bench:
    """A family at its shapes, on a device, with its shared parts written into `folder`. `pixels` of groups so far."""

    folder: Path
    entries: Mapping[bool, ModelEntry]
    loaded: LoadedModel
    on_card: bool
    pixels: dict[str, bytes]

    @property
    def architecture(self) -> Architecture:
        return self.entries[True].architecture

    def entry(self, path: Path, recognised: Recognised) -> ModelEntry:
        """As the shelf makes one of a file that was dropped in."""
        assert recognised.architecture is not None
        like = self.entries[recognised.architecture.guidance]
        assert recognised.fits(like.architecture)
        place = PurePosixPath(path.as_posix())
        own = {part: place for part in ("transformer", *ENCODERS) if part in recognised.part_names}
        return replace(like, name=path.parent.name, files=replace(like.files, **own))


def request_for(entry: ModelEntry) -> GenerationRequest:
    values = {"prompt": "a red house by a lake", "seed": 1, "steps": 2, "guidance": 3.5, "width": 512, "height": 512}
    return parse_request(values | {"model": entry.name})


@pytest.fixture(
    scope="module",
    params=[
        "demo",
        pytest.param(
            "flux1", marks=[pytest.mark.gpu, pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA card")]
        ),
    ],
)
def bench(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    is_flux = request.param == "flux1"
    folder = tmp_path_factory.mktemp(request.param)
    if is_flux and SHM.is_dir() and shutil.disk_usage(SHM).free > ROOM:
        folder = SHM / folder.name
    if is_flux and shutil.disk_usage(folder.parent).free < ROOM:
        pytest.skip("there is not enough room on the disk")
    architecture, types = (FLUX1, ("F16", "F16", "F32")) if is_flux else (DEMO.architecture, ("BF16",) * 3)
    parts = zip(ENCODERS, types, strict=True)
    try:
        shared = {
            part: write(folder / f"{part}.safetensors", native(part, architecture, dtype))  # type: ignore[arg-type]
            for part, dtype in parts
        }
        # Which words a prompt has changes nothing here.
        files: ModelFiles = replace(
            DEMO.files, **{part: PurePosixPath(path.as_posix()) for part, path in shared.items()}
        )
        with_guidance = FLUX1_DEV if is_flux else DEMO
        without = FLUX1_SCHNELL if is_flux else replace(DEMO, architecture=replace(DEMO.architecture, guidance=False))
        options = EngineOptions(
            models=MODELS,
            device="cuda" if is_flux else "cpu",
            threads=0,
            expandable_segments=False,
            log_level="info",
        )
        entries = {True: replace(with_guidance, files=files), False: replace(without, files=files)}
        yield Bench(folder=folder, entries=entries, loaded=LoadedModel(options), on_card=is_flux, pixels={})
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@pytest.mark.parametrize("layout", LAYOUTS, ids=lambda layout: layout.name)
def test_a_layout_is_recognised_planned_and_makes_its_picture(layout: Layout, bench: Bench) -> None:
    architecture = replace(bench.architecture, guidance=layout.guidance)
    folder = bench.folder / "one"
    try:
        path = layout.write(folder, architecture)
        found = recognise(path)
        transformer = found.part("transformer")
        assert transformer is not None
        assert (found.layout, transformer.dtype, transformer.scaled) == layout.says
        entry = bench.entry(path, found)
        picture = bench.loaded.make_picture(entry, request_for(entry), Watcher())
    finally:
        # One at a time: they are large.
        shutil.rmtree(folder, ignore_errors=True)
    assert len(picture.pixels) == 512 * 512 * 3
    # A weight that went wrong on its way would leave one colour.
    assert len(set(picture.pixels)) > 3
    if layout.group:
        assert bench.pixels.setdefault(layout.group, picture.pixels) == picture.pixels
    if bench.on_card:
        assert int(picture.facts["peak_mib"]) <= int(picture.facts["promised_mib"])


def test_one_of_another_kind_is_refused_before_it_is_read(bench: Bench) -> None:
    """The last of this file: what is loaded stays, so that the next of its kind begins sooner."""
    folder = bench.folder / "other"
    try:
        path = write(folder / "model.safetensors", native("transformer", bench.architecture, "F8_E4M3"))
        place = PurePosixPath(path.as_posix())
        without = bench.entries[False]
        entry = replace(without, files=replace(without.files, transformer=place))
        with pytest.raises(ModelUnusable) as raised:
            bench.loaded.make_picture(entry, request_for(entry), Watcher())
        assert raised.value.reason == "other_kind"
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        bench.loaded.unload()
