"""Origins: which files a picture was made with, as facts that stay with it, and whether they are the same today.

Must not know: rows, pages, or how a file becomes a picture.
"""

import json
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal, TypeAlias

from darkroom.catalog import ModelEntry
from darkroom.checkpoints.folders import files_of
from darkroom.downloads.digests import FileNow, file_now
from darkroom.downloads.shelf import Shelf
from darkroom.errors import ModelUnusable, NotFound
from darkroom.loras.folders import find_file, lora_folders
from darkroom.request import GenerationRequest

Facts: TypeAlias = Mapping[str, str | int | float]

# Names of facts. Of a model in several files, each has a line.
TITLE, FILE, BYTES, CHANGED, SHA256 = "model_title", "model_file", "model_bytes", "model_changed", "model_sha256"
LORAS = "lora_files"
MILLISECOND = 10**6


@dataclass(frozen=True, kw_only=True)
class Origin:
    """A model's file or files, or a LoRA's, at a moment. `changed` is in milliseconds; `sha256` is "" if not known."""

    name: str
    bytes: int
    changed: int
    sha256: str


@dataclass(frozen=True, kw_only=True)
class Change:
    """A file that is another one than it was when the picture was made."""

    kind: Literal["model", "lora"]
    name: str


class Origins:
    """Safe for many threads. Nobody waits for a large file: its checksum is known some time after it was first used."""

    def __init__(self, shelf: Shelf) -> None:
        self._shelf = shelf
        self._folder = shelf.folder.path
        self._digests = shelf.digests

    def facts(self, request: GenerationRequest, facts: Facts) -> Facts:
        """The facts of a picture that was made a moment ago, with its files. What cannot be found out is left out."""
        began = time.time() - float(facts.get("seconds", 0))
        found = dict(facts)
        with suppress(NotFound):
            entry = self._shelf.find(request.model)
            found[TITLE] = entry.title
            model = self._model(entry)
            # One that was exchanged meanwhile may not be the one it was made with.
            if model is not None and model.changed < began * 1000:
                found |= _model_facts(model)
            loras = [each for use in request.loras if (each := self._lora(use.name, entry)) is not None]
            if loras and all(each.changed < began * 1000 for each in loras):
                found[LORAS] = json.dumps([asdict(each) for each in loras])
        return found

    def completed(self, request: GenerationRequest, facts: Facts) -> Facts:
        """With a checksum that has become known since, of a file that is still the same."""
        then = _model_of(facts)
        if then is None or then.sha256:
            return facts
        with suppress(NotFound):
            now = self._model(self._shelf.find(request.model), ask=False)
            if now is not None and now.sha256 and _is_same(then, now):
                return {**facts, SHA256: now.sha256}
        return facts

    def changes(self, request: GenerationRequest, facts: Facts) -> tuple[Change, ...]:
        """What is another file now, as far as that is known. What is gone is for others to say."""
        return tuple(self._changes(request, facts))

    def _changes(self, request: GenerationRequest, facts: Facts) -> Iterator[Change]:
        try:
            entry = self._shelf.find(request.model)
        except NotFound:
            return
        model = _model_of(facts)
        if model is not None and _is_other(model, self._model(entry)):
            yield Change(kind="model", name=entry.title)
        loras = {each.name: each for each in loras_of(facts)}
        for use in request.loras:
            if use.name in loras and _is_other(loras[use.name], self._lora(use.name, entry)):
                yield Change(kind="lora", name=use.name)

    def _model(self, entry: ModelEntry, *, ask: bool = True) -> Origin | None:
        places = {name: str(file.place) for file in entry.weights if file.part == "transformer" for name in file.names}
        try:
            files = [file_now(path) for path in files_of(self._folder / entry.files.transformer, "transformer")]
            digests = [self._digest(file, places.get(file.path.name, ""), ask=ask) for file in files]
        except (OSError, ModelUnusable):
            return None
        return _origin("\n".join(self._named(file.path) for file in files), files, digests)

    def _lora(self, name: str, entry: ModelEntry) -> Origin | None:
        path = find_file(lora_folders(self._folder, entry), name)
        try:
            files = [file_now(path)] if path is not None else []
            return _origin(name, files, [self._digest(file) for file in files]) if files else None
        except OSError:
            return None

    def _digest(self, file: FileNow, place: str = "", *, ask: bool = True) -> str:
        return (self._digests.find(file, place) if ask else self._digests.known(file, place)) or ""

    def _named(self, path: Path) -> str:
        """Below the models folder its place; of another folder only its name: pictures are given away."""
        return str(self._shelf.folder.below(path) or path.name)


def loras_of(facts: Facts) -> tuple[Origin, ...]:
    """Those that the facts tell of. They may come from another version."""
    try:
        return tuple(Origin(**each) for each in json.loads(str(facts.get(LORAS, "[]"))))
    except (ValueError, TypeError):
        return ()


def _model_of(facts: Facts) -> Origin | None:
    name, size, changed, sha256 = (facts.get(fact) for fact in (FILE, BYTES, CHANGED, SHA256))
    if not (isinstance(name, str) and isinstance(size, int) and isinstance(changed, int)):
        return None
    return Origin(name=name, bytes=size, changed=changed, sha256=sha256 if isinstance(sha256, str) else "")


def _model_facts(model: Origin) -> Facts:
    known = {SHA256: model.sha256} if model.sha256 else {}
    return {FILE: model.name, BYTES: model.bytes, CHANGED: model.changed, **known}


def _origin(name: str, files: Sequence[FileNow], digests: Sequence[str]) -> Origin:
    return Origin(
        name=name,
        bytes=sum(file.size for file in files),
        changed=max(file.changed for file in files) // MILLISECOND,
        sha256="\n".join(digests) if all(digests) else "",
    )


def _is_same(then: Origin, now: Origin) -> bool:
    return (then.bytes, then.changed) == (now.bytes, now.changed)


def _is_other(then: Origin, now: Origin | None) -> bool:
    """A copy has another time and the same bytes: without a checksum of both, nothing is said of it."""
    if now is None or _is_same(then, now):
        return False
    if then.bytes != now.bytes:
        return True
    return bool(then.sha256 and now.sha256) and then.sha256 != now.sha256
