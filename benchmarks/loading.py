"""How fast weights come from a file into the memory that they stay in, beside how fast the disk gives the same file.

Run: python -m benchmarks.loading [--model demo|flux1] [--folder FOLDER] [--device cuda|cpu] [--write]. Random weights
lie in the order in which a converted file has them; flux1 takes 17 GB of the disk and more of RAM. Cold: what the
system had kept of the file in RAM was dropped before, where it can be asked to.
"""

import argparse
import os
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from benchmarks.documents import ENGINE, command_of, write_section
from benchmarks.full_size import SHAPES, Models, build_ours, plan_ours, random_models, request_of
from benchmarks.measuring import again_as_the_engine, gib, machine_line, say, seconds, table, tidy
from darkroom.architecture import flat_bytes
from darkroom.engine.flux import computation_type, make_picture
from darkroom.engine.mapped_file import MappedFile
from darkroom.engine.resting import Unit
from darkroom.engine.watcher import Watcher

HEAD = ("", "GiB", "cold", "GB/s", "÷ the disk's time", "warm", "GB/s", "÷ the disk's time")
# The bar: so many times as long as the disk takes for the same bytes.
BAR = 1.3
BUFFER = 8 << 20
NOTES = f"""
Seconds. Read: the files from beginning to end into one small buffer, the measure of the disk. Settled: every block from
its place in the file into flat memory, pinned where there is a card. Picture: what the first picture takes more than
the second; both read their prompt, and files are open already. The bar is {BAR} cold.
"""


@dataclass(frozen=True, kw_only=True)
class Took:
    """Bytes and seconds, cold and warm."""

    name: str
    bytes: int
    cold: float
    warm: float | None

    def cells(self, disk: "Took") -> list[str]:
        cells = [self.name, gib(self.bytes)]
        for took, its in ((self.cold, disk.cold), (self.warm, disk.warm)):
            if took is None or its is None:
                cells += ["–", "", ""]
            else:
                ratio = took / self.bytes / (its / disk.bytes)
                cells += [seconds(took), f"{self.bytes / took / 1e9:.2f}", "" if self is disk else f"{ratio:.2f}"]
        return cells


class Files:
    """A model's weights in files of their own, one for each of its parts, which its tensors can be pointed into."""

    def __init__(self, models: Models, folder: Path) -> None:
        self._groups = {folder / name: list(_in_order(model)) for name, model in models.items()}
        self.paths = tuple(self._groups)
        for path, tensors in self._groups.items():
            with path.open("wb") as file:
                for tensor in tensors:
                    file.write(tensor.detach().contiguous().reshape(-1).view(torch.uint8).numpy().data)
                    file.write(bytes(flat_bytes([tensor.nbytes]) - tensor.nbytes))
                file.flush()
                os.fsync(file.fileno())

    @property
    def bytes(self) -> int:
        return sum(path.stat().st_size for path in self.paths)

    def point(self) -> None:
        """As loading leaves them: mapped, and nothing read."""
        for path, tensors in self._groups.items():
            content, place = MappedFile(path).content(), 0
            for tensor in tensors:
                part = content[place : place + tensor.nbytes]
                place += flat_bytes([tensor.nbytes])
                tensor.data = part.view(tensor.dtype).view(tensor.shape)

    def read(self) -> None:
        buffer = bytearray(BUFFER)
        for path in self.paths:
            with path.open("rb", buffering=0) as file:
                while file.readinto(buffer):
                    pass

    def forget(self) -> None:
        """What the system keeps of them in RAM."""
        for path in self.paths:
            with path.open("rb") as file:
                if hasattr(os, "posix_fadvise"):
                    os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


class Loading:
    """One model on one device."""

    def __init__(self, options: argparse.Namespace, folder: Path) -> None:
        self._device = torch.device(options.device)
        self._dtype = computation_type(self._device)
        self._shape, self._side = SHAPES[options.model], options.side
        self._models = random_models(self._shape, self._dtype)
        self._files = Files(self._models, folder)
        say(f"{gib(self._files.bytes)} GiB written")

    def rows(self) -> Iterator[Took]:
        yield self._took("read", self._files.bytes, self._read)
        settled = sum(unit.bytes for unit in self._units())
        yield self._took("settled", settled, self._settle)
        # Last, for it changes the models; and so only once.
        yield Took(name="picture", bytes=self._files.bytes, cold=self._measured(self._picture, cold=True), warm=None)

    def _took(self, name: str, size: int, measure: Callable[[], float]) -> Took:
        cold, warm = (self._measured(measure, cold=cold) for cold in (True, False))
        say(f"{name}: {cold:.2f} s cold, {warm:.2f} s warm")
        return Took(name=name, bytes=size, cold=cold, warm=warm)

    def _measured(self, measure: Callable[[], float], *, cold: bool) -> float:
        self._files.point()
        tidy()
        (self._files.forget if cold else self._files.read)()
        return measure()

    def _read(self) -> float:
        began = time.perf_counter()
        self._files.read()
        return time.perf_counter() - began

    def _settle(self) -> float:
        units = self._units()
        began = time.perf_counter()
        for unit in units:
            unit.settle(pin=self._device.type == "cuda")
        return time.perf_counter() - began

    def _units(self) -> list[Unit]:
        return [Unit(block) for model in self._models.values() for block in _blocks(model)]

    def _picture(self) -> float:
        pipeline = build_ours(self._shape, self._device, self._dtype, self._models)
        took = []
        for prompt in ("a lighthouse", "a harbour"):
            request = request_of(self._shape.entry, prompt, width=self._side, height=self._side, steps=1)
            began = time.perf_counter()
            make_picture(pipeline, request, Watcher(), plan_ours(pipeline, request, None))
            took.append(time.perf_counter() - began)
        # What is too short to be seen among the rest is not less than nothing.
        return max(took[0] - took[1], 1e-3)


def main(arguments: Sequence[str] | None = None) -> int:
    options = _options(arguments)
    if (ended := again_as_the_engine("benchmarks.loading", arguments)) is not None:
        return ended
    with tempfile.TemporaryDirectory(dir=options.folder) as folder:
        rows = list(Loading(options, Path(folder)).rows())
    text = "\n".join(
        (
            "## Loading",
            "",
            f"`{command_of('benchmarks.loading', arguments)}`, {machine_line(torch.device(options.device))}.",
            NOTES if options.model == "flux1" else f"{NOTES}The demo's shapes: all of it is noise.\n",
            table(HEAD, [row.cells(rows[0]) for row in rows]),
        )
    )
    print(text, flush=True)
    if options.write:
        write_section(options.write, "loading", text)
    return 0


def _blocks(model: nn.Module) -> list[nn.Module]:
    parts: Any = model
    if hasattr(parts, "single_blocks"):
        return [*parts.blocks, *parts.single_blocks]
    return list(parts.encoder.block) if hasattr(parts, "encoder") and hasattr(parts.encoder, "block") else []


def _in_order(model: nn.Module) -> Iterator[Tensor]:
    """What is outside of blocks, then block after block as they run; a tensor of two names once."""
    blocks = _blocks(model)
    inside = {id(tensor) for block in blocks for tensor in _tensors([block])}
    yield from (tensor for tensor in _tensors([model]) if id(tensor) not in inside)
    yield from _tensors(blocks)


def _tensors(modules: Iterable[nn.Module]) -> Iterator[Tensor]:
    for module in modules:
        yield from module.parameters()
        yield from module.buffers()


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--model", choices=("demo", "flux1"), default="demo")
    parser.add_argument("--device", choices=("cuda", "cpu"), default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--folder", type=Path, help="on the disk that is measured; the system's own for what passes")
    parser.add_argument("--side", type=int, default=512, help="of the picture, in pixels")
    parser.add_argument("--write", type=Path, nargs="?", const=ENGINE, help="put the table into this document")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    sys.exit(main())
