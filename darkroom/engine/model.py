"""The one model an engine process holds: loaded when first asked for, exchanged when another is, dropped on demand.

Must not know: messages, pipes, or the server.
"""

import gc

import torch

from darkroom.catalog import ModelEntry
from darkroom.engine.compilation import CompileWishes
from darkroom.engine.flux import (
    MadePicture,
    WatchedPipeline,
    choose_device,
    device_name,
    load_pipeline,
    make_picture,
)
from darkroom.engine.watcher import Watcher
from darkroom.jobs.messages import EngineOptions
from darkroom.request import GenerationRequest

# Of the folder that may be deleted.
COMPILED = "compiled"
OUT_OF_MEMORY = (torch.OutOfMemoryError, MemoryError)


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

    @property
    def device_name(self) -> str:
        return device_name(self._device)

    @property
    def torch_version(self) -> str:
        return str(torch.__version__)

    def make_picture(self, model: ModelEntry, request: GenerationRequest, watcher: Watcher) -> MadePicture:
        """Raises what `load_pipeline` and `make_picture` raise; the next call works all the same."""
        if self._pipeline is None or self._pipeline.model != model:
            self.unload()
            self._pipeline = load_pipeline(
                model, self._folder, self._device, watcher, convert=self._convert, cache=self._cache
            )
            self._pipeline.compilation.wishes = self._compile
        return make_picture(self._pipeline, request, watcher, self._pipeline.plan(request, self._wishes))

    def unload(self) -> None:
        if self._pipeline is not None:
            self._pipeline.compilation.stop()
            self._pipeline.residence.drop()
        self._pipeline = None
        gc.collect()
        self.tidy()

    def tidy(self) -> None:
        if self._device.type == "cuda":
            torch.cuda.empty_cache()

    def resident_bytes(self) -> int:
        """What the process holds of the machine's memory; 0 where the system does not say."""
        try:
            with open("/proc/self/statm", encoding="ascii") as file:  # noqa: PTH123 (a device, not a document)
                return int(file.read().split()[1]) * 4096
        except OSError:
            return 0

    def card_bytes(self) -> int:
        return torch.cuda.memory_reserved(self._device) if self._device.type == "cuda" else 0
