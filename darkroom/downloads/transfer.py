"""One file's bytes: fetched from where an earlier try ended, checked, and only then given its name.

Must not know: which files belong to a model, or the order of downloads.
"""

import errno
import hashlib
import os
import re
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Protocol

import httpx2

from darkroom.checkpoints.folders import ENDINGS
from darkroom.checkpoints.header import read_header
from darkroom.downloads.folder import ModelsFolder
from darkroom.downloads.hubs import HUB_TITLES, HubUnsteady, Offer, refusal
from darkroom.downloads.records import Beginning, Records, Verdict
from darkroom.errors import DownloadFailed, ModelUnusable
from darkroom.files import fsync_folder
from darkroom.weights import Hub, WeightFile

CONTENT_RANGE = re.compile(r"bytes (\d+)-(\d+)/(\d+|\*)")
BLOCK = 1 << 20
# So that the system does not gather a whole model before it writes, and a full disk is noticed on the way.
LOOK_AT_DISK = 64 << 20
FULL = (errno.ENOSPC, errno.EDQUOT)
GB = 10**9


@dataclass(frozen=True, kw_only=True)
class Patience:
    """Seconds. `waits` are between tries that brought nothing; after the last of them it is given up.

    `longest` is the most that a hub's own wish for a wait is followed. `reserve` are bytes that stay free on the disk:
    pictures are saved there too.
    """

    connect: float = 15.0
    read: float = 30.0
    waits: tuple[float, ...] = (1.0, 2.0, 4.0, 8.0, 15.0, 30.0)
    longest: float = 120.0
    reserve: int = GB // 2


class Paused(Exception):
    """A person, or the end of the process, wants it to rest."""


class Watch(Protocol):
    """Is told how far it is, and says when to stop."""

    stop: threading.Event

    def tell(self, activity: str, done: int, total: int | None) -> None: ...


class Transfer:
    """`look` asks a hub for a file. What arrives lies beside its place, under a name that stands for no file."""

    def __init__(
        self,
        folder: ModelsFolder,
        records: Records,
        patience: Patience,
        look: Callable[[WeightFile, Hub], Offer],
    ) -> None:
        self._folder = folder
        self._records = records
        self._patience = patience
        self._look = look

    def fetch(self, file: WeightFile, hub: Hub, watch: Watch, home: Path | None = None) -> None:
        """At the end the whole file is in its place, whatever was there. Raises DownloadFailed and Paused.

        `home` is the folder it goes into, unless it is in another already.
        """
        place = str(file.place)
        with _disk_errors(file):
            path, part = self._folder.own(file.place, home), self._folder.part(file.place, home)
        for last in (False, True):
            try:
                sha256, size = _Attempt(self, file, hub, watch, part).run()
            except _Damaged as error:
                with _disk_errors(file):
                    part.unlink(missing_ok=True)
                self._records.begin(place, None)
                if last:
                    raise DownloadFailed("damaged", file=file.place.name, hub=HUB_TITLES[hub]) from error
                continue
            break
        with _disk_errors(file):
            part.replace(path)
            fsync_folder(path.parent)
            changed = path.stat().st_mtime_ns
        self._records.judge(place, Verdict(size=size, changed=changed, sha256=sha256, whole=True))
        self._records.begin(place, None)

    def offer(self, file: WeightFile, hub: Hub, watch: Watch) -> Offer:
        """What the hub says, after some patience, and that it is the file that is known."""
        watch.tell("looking", 0, file.size)
        offer = patiently(self._patience, watch, file, hub, lambda: self._look(file, hub))
        known = file.known_sha256(hub)
        differs = (file.size is not None and file.size != offer.size) or (
            known is not None and offer.sha256 is not None and known != offer.sha256
        )
        if differs:
            raise DownloadFailed("differs", file=file.place.name, hub=HUB_TITLES[hub])
        return offer


class _Damaged(Exception):
    """What arrived is not the file."""


class _Attempt:
    """One try at the whole file, over as many connections as it takes."""

    def __init__(self, transfer: Transfer, file: WeightFile, hub: Hub, watch: Watch, part: Path) -> None:
        self._transfer = transfer
        self._folder, self._records, self._patience = transfer._folder, transfer._records, transfer._patience
        self._file, self._hub, self._watch, self._part = file, hub, watch, part
        self._digest = hashlib.sha256()
        self._blob = hashlib.sha1(usedforsecurity=False)
        self._done = 0

    def run(self) -> tuple[str, int]:
        """SHA-256 and size. Raises DownloadFailed, Paused and _Damaged."""
        offer = self._transfer.offer(self._file, self._hub, self._watch)
        self._blob.update(f"blob {offer.size}\0".encode())
        with _disk_errors(self._file):
            self._part.parent.mkdir(parents=True, exist_ok=True)
            self._settle_beginning(offer)
            self._check_disk(offer)
            with self._part.open("ab", buffering=0) as kept:
                self._read_beginning(offer)
                self._fill(offer, kept)
                os.fsync(kept.fileno())
        self._check(offer)
        return self._digest.hexdigest(), offer.size

    def _settle_beginning(self, offer: Offer) -> None:
        """A part of another file, or of one that nobody can tell, is of no use."""
        place = str(self._file.place)
        mark = self._file.known_sha256(self._hub) or offer.sha256 or offer.blob or f"{offer.url} {offer.size}"
        before = self._records.beginning(place)
        is_of_this = before is not None and before.mark == mark
        if self._part.exists() and (not is_of_this or self._part.stat().st_size > offer.size):
            self._part.unlink()
        self._records.begin(place, Beginning(mark=mark, size=offer.size))

    def _check_disk(self, offer: Offer) -> None:
        rest = offer.size - (self._part.stat().st_size if self._part.exists() else 0)
        self._want_room(rest + self._patience.reserve, rest)

    def _want_room(self, wanted: int, needed: int) -> None:
        free = self._folder.free(self._part.parent)
        if free < wanted:
            raise DownloadFailed("disk_full", file=self._file.place.name, needed=room(needed), free=room(free))

    def _read_beginning(self, offer: Offer) -> None:
        with self._part.open("rb") as beginning:
            for block in _blocks(beginning):
                self._add(block)
                self._watch.tell("reading", self._done, offer.size)
                if self._watch.stop.is_set():
                    raise Paused

    def _add(self, block: bytes) -> None:
        self._digest.update(block)
        self._blob.update(block)
        self._done += len(block)

    def _fill(self, offer: Offer, kept: BinaryIO) -> None:
        """Until all has arrived. A broken connection costs a wait, unless something came over it."""
        tries = 0
        timeout = httpx2.Timeout(self._patience.read, connect=self._patience.connect)
        with httpx2.Client(timeout=timeout, follow_redirects=True, max_redirects=5) as client:
            while self._done < offer.size:
                before = self._done
                try:
                    self._receive(client, offer, kept)
                    trouble = HubUnsteady("cut")
                except HubUnsteady as unsteady:
                    trouble = unsteady
                except (httpx2.TransportError, httpx2.TooManyRedirects) as error:
                    trouble = HubUnsteady("offline" if isinstance(error, httpx2.ConnectError) else "cut")
                if self._done >= offer.size:
                    break
                tries = 0 if self._done > before else tries + 1
                rest(self._patience, self._watch, tries, trouble, self._file, self._hub)

    def _receive(self, client: httpx2.Client, offer: Offer, kept: BinaryIO) -> None:
        self._watch.tell("fetching", self._done, offer.size)
        headers = {**offer.headers, "Accept-Encoding": "identity"}
        if self._done:
            headers["Range"] = f"bytes={self._done}-"
        with client.stream("GET", offer.url, headers=headers) as response:
            to_pass = self._beginning_of(response, offer)
            unsaved = 0
            for piece in response.iter_raw():
                if self._watch.stop.is_set():
                    raise Paused
                block, to_pass = piece[to_pass:], max(0, to_pass - len(piece))
                if self._done + len(block) > offer.size:
                    raise _Damaged
                kept.write(block)
                self._add(block)
                unsaved += len(block)
                self._watch.tell("fetching", self._done, offer.size)
                if unsaved >= LOOK_AT_DISK:
                    os.fsync(kept.fileno())
                    self._want_room(self._patience.reserve // 2, offer.size - self._done)
                    unsaved = 0

    def _beginning_of(self, response: httpx2.Response, offer: Offer) -> int:
        """How many bytes of the answer are here already. Raises DownloadFailed, HubUnsteady and _Damaged."""
        status = response.status_code
        if status == 416:
            raise _Damaged
        if status == 403 and response.url.netloc.decode() != offer.host:
            # An address on a storage server that was good for some minutes only: the next try gets a new one.
            raise HubUnsteady("hub_fault")
        if status not in (200, 206):
            wait = response.headers.get("retry-after", "")
            raise refusal(status, self._file, self._hub, float(wait) if wait.isdigit() else None)
        if status == 200:
            announced = response.headers.get("content-length", "")
            if announced.isdigit() and int(announced) != offer.size:
                raise _Damaged
            return self._done
        span = CONTENT_RANGE.fullmatch(response.headers.get("content-range", ""))
        if span is None or int(span[1]) > self._done or span[3] not in ("*", str(offer.size)):
            raise _Damaged
        return self._done - int(span[1])

    def _check(self, offer: Offer) -> None:
        wanted = self._file.known_sha256(self._hub) or offer.sha256
        if wanted is not None and self._digest.hexdigest() != wanted:
            raise _Damaged
        if wanted is None and offer.blob is not None and self._blob.hexdigest() != offer.blob:
            raise _Damaged
        if wanted is None and offer.blob is None and self._file.place.suffix in ENDINGS:
            self._check_kind()

    def _check_kind(self) -> None:
        """Without any checksum: at least no web page."""
        try:
            read_header(self._part)
        except ModelUnusable as error:
            raise _Damaged from error


def patiently(patience: Patience, watch: Watch, file: WeightFile, hub: Hub, ask: Callable[[], Offer]) -> Offer:
    """Ask until there is an answer. Raises DownloadFailed and Paused."""
    tries = 0
    while True:
        if watch.stop.is_set():
            raise Paused
        try:
            return ask()
        except HubUnsteady as trouble:
            tries += 1
            rest(patience, watch, tries, trouble, file, hub)


def rest(patience: Patience, watch: Watch, tries: int, trouble: HubUnsteady, file: WeightFile, hub: Hub) -> None:
    """Before the next try. After the last one, DownloadFailed; Paused as soon as it is wanted."""
    if tries > len(patience.waits):
        raise DownloadFailed(trouble.reason, file=file.place.name, hub=HUB_TITLES[hub]) from trouble
    asked = min(trouble.wait or 0.0, patience.longest)
    if watch.stop.wait(max(asked, patience.waits[max(tries - 1, 0)])):
        raise Paused


def digest_of(path: Path, watch: Watch) -> tuple[str, int]:
    """SHA-256 and size of a file that is here. Raises Paused, OSError."""
    digest, done, total = hashlib.sha256(), 0, path.stat().st_size
    with path.open("rb") as file:
        for block in _blocks(file):
            digest.update(block)
            done += len(block)
            watch.tell("checking", done, total)
            if watch.stop.is_set():
                raise Paused
    return digest.hexdigest(), done


def room(size: int) -> str:
    """Bytes as people say them."""
    for unit, unit_bytes in (("GB", GB), ("MB", 10**6)):
        if size >= unit_bytes:
            return f"{size / unit_bytes:.1f} {unit}"
    return f"{size / 1000:.0f} KB"


def _blocks(file: BinaryIO) -> Iterator[bytes]:
    while block := file.read(BLOCK):
        yield block


@contextmanager
def _disk_errors(file: WeightFile) -> Iterator[None]:
    """What the disk says, in our words."""
    try:
        yield
    except OSError as error:
        reason = "disk_full" if error.errno in FULL else "not_writable"
        raise DownloadFailed(reason, file=file.place.name, needed="?", free="0 KB") from error
