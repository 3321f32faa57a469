"""ModelsFolder: places below one folder as paths, and the room on its disk. Nothing outside of it is ever changed.

Must not know: models, or hubs.
"""

import shutil
from pathlib import Path, PurePosixPath

from darkroom.errors import DownloadFailed

PART_SUFFIX = ".part"


class ModelsFolder:
    """`path` need not be there yet."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def own(self, place: PurePosixPath) -> Path:
        """Where a file of ours goes. Raises DownloadFailed where that, links followed, is outside of the folder."""
        path = self.path / place
        home = self.path.resolve()
        named_outside = place.is_absolute() or ".." in place.parts or not place.parts or "\\" in str(place)
        if (
            named_outside
            or ":" in str(place)
            or "\0" in str(place)
            or home not in (path.parent / "x").resolve().parents
        ):
            raise DownloadFailed("outside", file=str(place))
        return path

    def part(self, place: PurePosixPath) -> Path:
        """What has arrived of it so far."""
        path = self.own(place)
        return path.with_name(path.name + PART_SUFFIX)

    def free(self) -> int:
        """Bytes free on the disk that holds the folder, or will."""
        existing = next(path for path in (self.path, *self.path.resolve().parents) if path.exists())
        return shutil.disk_usage(existing).free
