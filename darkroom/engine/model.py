"""The one model an engine process holds: loaded when first asked for, exchanged when another is, dropped on demand.

Must not know: pipes, or the server.
"""

import gc
from dataclasses import replace

import torch

from darkroom.catalog import ModelEntry
from darkroom.engine.attention import Attention
from darkroom.engine.compilation import CompileWishes
from darkroom.engine.devices import choose_device, device_name
from darkroom.engine.flux import MadePicture, WatchedPipeline, load_pipeline, make_picture
from darkroom.engine.heap import give_back
from darkroom.engine.parts import Part, common_parts, part_files
from darkroom.engine.watcher import Watcher
from darkroom.jobs.messages import EngineOptions, Memory
from darkroom.request import GenerationRequest
from darkroom.rungs import compiles_at, wishes_at

# Of the folder that may be deleted.
COMPILED = "compiled"
OUT_OF_MEMORY, OUT_OF_RAM, CARD_FAULT = torch.OutOfMemoryError, MemoryError, torch.AcceleratorError


class LoadedModel:
    """At most one pipeline in memory. Not for use by several threads."""

    def __init__(self, options: EngineOptions) -> None:
        self._folder = options.models
        self._wishes = options.wishes
        self._convert, self._cache = options.convert, options.cache
        folder = options.cache / COMPILED if options.cache else None
        self._compile = CompileWishes(mode=options.compile, folder=folder)
        self._device = choose_device("cpu" if options.wishes.profile == "cpu" else options.device)
        if options.threads:
            torch.set_num_threads(options.threads)
        self._pipeline: WatchedPipeline | None = None
        self._attention: Attention | None = None
        # Parts of the model before, until the next one has come.
        self._kept: dict[str, Part] = {}

    @property
    def device_name(self) -> str:
        return device_name(self._device)

    @property
    def torch_version(self) -> str:
        return str(torch.__version__)

    def make_picture(
        self,
        model: ModelEntry,
        request: GenerationRequest,
        watcher: Watcher,
        *,
        rung: int = 0,
        checkpoint: bytes | None = None,
    ) -> MadePicture:
        """Raises what `load_pipeline` and `make_picture` raise; the next call works all the same."""
        pipeline = self._pipeline_of(model, watcher)
        # One for all models: another kernel would make another picture of the same request.
        pipeline.attention = self._attention = self._attention or pipeline.attention
        pipeline.attention.folder = self._cache
        pipeline.compilation.wishes = self._compile if compiles_at(rung) else CompileWishes()
        plan = pipeline.plan(request, wishes_at(rung, self._wishes))
        picture = make_picture(pipeline, request, watcher, plan, checkpoint)
        return replace(picture, facts=picture.facts | {"rung": rung}) if rung else picture

    def unload(self) -> None:
        if self._pipeline is not None:
            self._pipeline.compilation.stop()
            self._pipeline.residence.drop()
        self._pipeline, self._kept = None, {}
        self._collect()

    def _pipeline_of(self, model: ModelEntry, watcher: Watcher) -> WatchedPipeline:
        """The one there is, or a new one: what the two have in common is kept, and the rest is freed before."""
        if self._pipeline is None or self._pipeline.model != model or self._pipeline.is_outdated:
            files = part_files(model, self._folder)
            self._kept = common_parts(self._pipeline.give_up() if self._pipeline else self._kept, files)
            self._pipeline = None
            self._collect()
            self._pipeline = load_pipeline(
                model, self._folder, self._device, watcher, convert=self._convert, cache=self._cache, kept=self._kept
            )
            self._kept = {}
            give_back()
        return self._pipeline

    def _collect(self) -> None:
        # Pipelines are held in circles.
        gc.collect()
        self.tidy()

    def tidy(self) -> None:
        """After a picture, or a model: what was freed goes back to the card and to the system."""
        give_back()
        if self._device.type == "cuda":
            torch.cuda.empty_cache()

    def memory(self) -> Memory:
        """For any thread."""
        free, total = self._card_room()
        return Memory(resident=self.resident_bytes(), card=self.card_bytes(), card_free=free, card_total=total)

    def _card_room(self) -> tuple[int, int]:
        """Of the whole card, free and in all; nothing while this process has not begun to use it."""
        if self._device.type != "cuda" or not torch.cuda.is_initialized():  # type: ignore[no-untyped-call]
            return 0, 0
        free, total = torch.cuda.mem_get_info(self._device)
        return free, total

    def resident_bytes(self) -> int:
        """What the process holds of the machine's memory; 0 where the system does not say."""
        try:
            with open("/proc/self/statm", encoding="ascii") as file:  # noqa: PTH123 (a device, not a document)
                return int(file.read().split()[1]) * 4096
        except OSError:
            return 0

    def card_bytes(self) -> int:
        return torch.cuda.memory_reserved(self._device) if self._device.type == "cuda" else 0
