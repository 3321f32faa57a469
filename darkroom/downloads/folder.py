"""ModelsFolder: places below one folder, or the stores beside it, as paths, and the room on their disks.

Nothing outside of them is ever changed. Must not know: models, or hubs.
"""

import shutil
from collections.abc import Sequence
from pathlib import Path, PurePosixPath

from darkroom.errors import DownloadFailed, InvalidRequest, Problem, shown

PART_SUFFIX = ".part"


class ModelsFolder:
    """`path` need not be there yet, nor the `stores`. A place is in one of them: where it is, or else in `path`."""

    def __init__(self, path: Path, stores: Sequence[Path] = ()) -> None:
        self.path = path
        self.homes = (path, *(store for store in dict.fromkeys(stores) if store != path))

    def home_of(self, place: PurePosixPath) -> Path | None:
        """The folder in which there is something of it. Of several, the first."""
        homes = self.homes if len(self.homes) > 1 else ()
        both = ((home, home / place) for home in homes)
        return next((home for home, path in both if path.exists() or _part_of(path).exists()), None)

    def home_named(self, name: str) -> Path:
        """By its path; "" is the first. Raises InvalidRequest."""
        found = next((home for home in self.homes if name in ("", str(home))), None)
        if found is None:
            allowed = f"one of {', '.join(str(home) for home in self.homes)}"
            raise InvalidRequest(Problem(field="home", value=shown(name), allowed=allowed))
        return found

    def own(self, place: PurePosixPath, wish: Path | None = None) -> Path:
        """Where a file of ours is, or goes: into `wish`, unless it is elsewhere already.

        Raises DownloadFailed where that, links followed, is outside of the folder.
        """
        if place.is_absolute() or ".." in place.parts or not place.parts or any(sign in str(place) for sign in "\\:\0"):
            raise DownloadFailed("outside", file=str(place))
        home = self.home_of(place) or wish or self.path
        path = home / place
        if home.resolve() not in (path.parent / "x").resolve().parents:
            raise DownloadFailed("outside", file=str(place))
        return path

    def part(self, place: PurePosixPath, wish: Path | None = None) -> Path:
        """What has arrived of it so far."""
        return _part_of(self.own(place, wish))

    def free(self, home: Path | None = None) -> int:
        """Bytes free on the disk that holds the folder, or will."""
        wanted = home or self.path
        existing = next(path for path in (wanted, *wanted.resolve().parents) if path.exists())
        return shutil.disk_usage(existing).free

    def below(self, path: Path) -> PurePosixPath | None:
        """The place that a path is, if it is one."""
        home = next((home for home in self.homes if path.is_relative_to(home)), None)
        return PurePosixPath(path.relative_to(home).as_posix()) if home is not None else None


def _part_of(path: Path) -> Path:
    return path.with_name(path.name + PART_SUFFIX)
