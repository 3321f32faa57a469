"""LoraShelf: from the names in a request to LoRAs, each file read once and kept while it is asked for.

Must not know: what is attached, or where a picture is made.
"""

import logging
from collections.abc import Sequence
from pathlib import Path

from torch import nn

from darkroom.engine.lora import Lora, read_lora
from darkroom.errors import LoraUnusable
from darkroom.loras.folders import ENDING, Seen, find_file
from darkroom.request import LoraUse

log = logging.getLogger("darkroom.engine")


class LoraShelf:
    """For one transformer. Of `folders`, the first that has a file of the name counts."""

    def __init__(self, folders: Sequence[Path], transformer: nn.Module) -> None:
        self._folders = tuple(folders)
        self._transformer = transformer
        self._kept: dict[Seen, Lora] = {}

    def take(self, uses: Sequence[LoraUse]) -> tuple[tuple[Lora, float], ...]:
        """The same objects as the last time, for files that are still the same. Raises LoraUnusable."""
        found = {use: self._find(use.name) for use in uses}
        read = {seen: self._kept.get(seen) or self._read(seen[0]) for seen in found.values()}
        if uses:
            # Whoever compares pictures with and without finds them again.
            self._kept = read
        return tuple((read[seen], use.weight) for use, seen in found.items())

    def _find(self, name: str) -> Seen:
        if (path := find_file(self._folders, name)) is None:
            raise LoraUnusable("missing", f"{name}{ENDING}")
        about = path.stat()
        return path, about.st_mtime_ns, about.st_size

    def _read(self, path: Path) -> Lora:
        lora = read_lora(path, self._transformer)
        if lora.left_out:
            log.info("%s changes text encoders too; of that, nothing is used", path.name)
        return lora
