"""The Models page as its script sees it: JSON values, with words and what a person can do.

Must not know: routes, or disks.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from darkroom.downloads.downloads import Downloads, Task
from darkroom.downloads.folder import ModelsFolder
from darkroom.downloads.hubs import HUB_TITLES, page_of
from darkroom.downloads.inventory import Item, Seen
from darkroom.downloads.shelf import ModelState
from darkroom.downloads.transfer import room
from darkroom.errors import DownloadFailed
from darkroom.web.durations import still
from darkroom.web.fitting import Fitting
from darkroom.web.words import Words
from darkroom.weights import SHARED_FILES, Hub


def shelf_view(downloads: Downloads, fitting: Fitting, hub: Hub, words: Words) -> dict[str, Any]:
    shelf = downloads.shelf
    states = shelf.models()
    tasks = {task.place: task for task in downloads.tasks()}
    at_work = [task for task in tasks.values() if not task.is_over]
    used = {seen.path for state in states if (seen := state.seen)}
    return {
        "hub": hub,
        "busy": bool(at_work),
        "machine": fitting.machine_words(words),
        "disk": " · ".join(_disk(shelf.folder, home, words) for home in shelf.folder.homes),
        "homes": [str(home) for home in shelf.folder.homes],
        "models": [_model(state, tasks, fitting, hub, words) for state in states],
        "shared": [
            _file(item, tasks.get(str(item.file.place)), _needing(item, states), words) for item in shelf.shared()
        ],
        "others": [_other(seen, words) for seen in shelf.others() if seen.path not in used],
    }


def _disk(folder: ModelsFolder, home: Path, words: Words) -> str:
    return words.say("models.disk_free", room=room(folder.free(home)), folder=str(home))


def _model(state: ModelState, tasks: Mapping[str, Task], fitting: Fitting, hub: Hub, words: Words) -> dict[str, Any]:
    entry = state.entry
    own_tasks = _tasks_of(state, tasks)
    fit = fitting.fit(entry, words)
    status = _status(state, own_tasks)
    source = state.items[0].file.source(hub) if state.items else None
    return {
        "name": entry.name,
        "title": entry.title,
        "status": status,
        "fits": fit.fits,
        "usable": state.is_here,
        "progress": _progress(state, own_tasks),
        "link": entry.link or (page_of(hub, source) if source else ""),
        "words": {
            "status": words.say(f"models.status.{status}"),
            "terms": _terms(state, words),
            "fit": fit.words,
            "size": _size(state, own_tasks, words),
            "activity": _activity(state, own_tasks, words),
            "trouble": _trouble(state, own_tasks, hub, words),
            "link": words.say("models.about_it"),
        },
        "acts": _acts(state, status, hub, words),
        "files": [
            _file(item, tasks.get(str(item.file.place)), (), words) for item in state.items if item in state.own_items
        ],
    }


def _tasks_of(state: ModelState, tasks: Mapping[str, Task]) -> list[Task]:
    """Those of its files. One that is shared may be on its way for the sake of another model."""
    own = state.own_items
    if not all(item.is_usable for item in own) and not any(str(item.file.place) in tasks for item in own):
        return []
    return [tasks[place] for item in state.items if (place := str(item.file.place)) in tasks]


def _status(state: ModelState, tasks: Sequence[Task]) -> str:
    if any(task.trouble for task in tasks):
        return "failed"
    if any(task.is_at_work and task.act == "fetch" for task in tasks):
        return "coming"
    if any(task.is_at_work for task in tasks):
        return "checking"
    if any(task.phase == "waiting" for task in tasks):
        return "waiting"
    if any(task.phase == "paused" for task in tasks):
        return "paused"
    own = state.own_items
    # A shared file that is damaged matters to a model whose own are here.
    if any(item.state == "damaged" for item in (state.items if all(item.is_usable for item in own) else own)):
        return "damaged"
    if state.is_here:
        return "here"
    return "partial" if any(item.state == "partial" for item in own) else "absent"


def _terms(state: ModelState, words: Words) -> str:
    entry = state.entry
    if entry.terms == "own":
        return entry.licence or words.say("models.terms.own")
    return words.say(f"models.terms.{entry.terms}")


def _size(state: ModelState, tasks: Sequence[Task], words: Words) -> str:
    """What it takes on the disk, and what of that is still to come."""
    if not state.items:
        return ""
    if not state.lacking:
        return words.say("models.size_here", room=room(sum(item.bytes for item in state.items)))
    if any(item.file.place.is_absolute() for item in state.lacking):
        return ""  # which no hub is asked for
    said = {task.place: task.total for task in tasks if task.total}
    sizes = {item.file: item.file.size or said.get(str(item.file.place)) for item in state.items}
    missing = sum(
        max(0, (sizes[item.file] or 0) - (item.bytes if item.state == "partial" else 0)) for item in state.lacking
    )
    if any(sizes[item.file] is None and item.file.part == "transformer" for item in state.lacking):
        return words.say("models.size_unknown_beside" if missing else "models.size_unknown", missing=room(missing))
    total = sum(sizes[item.file] or (item.bytes if item.is_usable else 0) for item in state.items)
    return words.say("models.size_missing", room=room(total), missing=room(missing))


def _progress(state: ModelState, tasks: Sequence[Task]) -> float | None:
    """0 to 1 of the bytes of all its files, while some of them are on their way."""
    fetching = [task for task in tasks if task.act == "fetch"]
    if not fetching:
        checking = next((task for task in tasks if task.is_at_work and task.total), None)
        return checking.done / checking.total if checking is not None and checking.total else None
    sizes = {task.place: task.total for task in fetching}
    if any(item.file.is_large and sizes.get(str(item.file.place), 1) is None for item in state.items):
        return None
    done, total = _bytes(state, fetching)
    if not done and all(task.trouble for task in fetching):
        return None
    return min(1.0, done / total) if total else 0.0


def _bytes(state: ModelState, fetching: Sequence[Task]) -> tuple[int, int]:
    of_place = {task.place: task for task in fetching}
    done = total = 0
    for item in state.items:
        task = of_place.get(str(item.file.place))
        size = (task.total if task else None) or item.file.size or item.bytes
        total += size
        done += task.done if task else item.bytes if item.is_usable else 0
    return done, total


def _activity(state: ModelState, tasks: Sequence[Task], words: Words) -> str:
    running = next((task for task in tasks if task.is_at_work), None)
    if running is None:
        return ""
    file = running.place.rpartition("/")[2]
    if running.phase in ("behind", "looking", "reading", "checking"):
        return words.say(f"models.{running.phase}", file=file, hub=HUB_TITLES[running.hub])
    fetching = [task for task in tasks if task.act == "fetch"]
    done, total = _bytes(state, fetching)
    parts = [words.say("models.fetched", done=room(done), total=room(total), file=file)]
    if running.rate:
        parts += [words.say("models.rate", room=room(int(running.rate))), still((total - done) / running.rate, words)]
    return " · ".join(parts)


def _trouble(state: ModelState, tasks: Sequence[Task], hub: Hub, words: Words) -> str:
    if not tasks:
        if state.nowhere:
            return trouble_words(DownloadFailed("gone", file=state.nowhere[0].as_posix()), words)
        outside = next((item.file for item in state.lacking if item.file.place.is_absolute()), None)
        if outside is not None:
            return trouble_words(DownloadFailed("outside", file=str(outside.place)), words)
        nowhere = next((item.file for item in state.lacking if item.file.source(hub) is None), None)
        trouble = DownloadFailed("no_source", file=nowhere.place.name, hub=HUB_TITLES[hub]) if nowhere else None
        return trouble_words(trouble, words) if trouble else ""
    return next((trouble_words(task.trouble, words) for task in tasks if task.trouble), "")


def trouble_words(trouble: DownloadFailed, words: Words) -> str:
    """What happened, and what to do."""
    return words.say(f"models.trouble.{trouble.reason}", **trouble.details)


def _acts(state: ModelState, status: str, hub: Hub, words: Words) -> list[dict[str, Any]]:
    """What a person can do with it now, the likeliest first."""
    if state.ships:
        return []
    acts: list[str] = []
    if status in ("coming", "waiting"):
        acts = ["pause", "cancel"]
    elif status in ("paused", "failed"):
        acts = ["resume", "cancel"]
    elif status == "checking":
        acts = ["cancel"]
    elif state.lacking and all(_can_be_had(item, hub) for item in state.lacking):
        acts = ["mend" if status == "damaged" else "get"]
    if status in ("here", "damaged") and any(item.path for item in state.items):
        acts.append("check")
    removable = any(item.path is not None or item.state == "partial" for item in state.own_items if not item.elsewhere)
    if removable and status not in ("coming", "waiting", "checking"):
        acts.append("remove")
    question = words.say(
        "models.remove_model", title=state.entry.title, room=room(sum(item.bytes for item in state.own_items))
    )
    return [_act(act, words, question=question, again=status == "failed") for act in acts]


def _can_be_had(item: Item, hub: Hub) -> bool:
    """Nothing outside of the models folder is ever written."""
    return item.file.source(hub) is not None and not item.file.place.is_absolute()


def _act(act: str, words: Words, *, question: str = "", again: bool = False) -> dict[str, Any]:
    """Only a removal is asked about first. What has failed is not gone on with but tried again."""
    name = "retry" if again and act == "resume" else act
    return {"act": act, "words": words.say(f"models.acts.{name}"), "question": question if act == "remove" else ""}


def _file(item: Item, task: Task | None, needing: Sequence[str], words: Words) -> dict[str, Any]:
    status: str = "failed" if task is not None and task.trouble else item.state
    if task is not None and not task.trouble:
        status = {"check": "checking", "fetch": "coming"}[task.act] if task.is_at_work else task.phase
    file = item.file
    size = item.bytes if item.path is not None else file.size
    return {
        "place": str(file.place),
        "name": file.place.name,
        "status": "elsewhere" if item.elsewhere and task is None and item.is_usable else status,
        "words": {
            "what": words.say(f"models.part.{file.part}"),
            "status": words.say(f"models.file.{'elsewhere' if item.elsewhere and item.is_usable else status}"),
            "size": room(size) if size is not None else "",
            "where": str(item.path) if item.elsewhere else "",
            "trouble": trouble_words(task.trouble, words) if task is not None and task.trouble else "",
        },
        "acts": _file_acts(item, task, needing, words),
    }


def _file_acts(item: Item, task: Task | None, needing: Sequence[str], words: Words) -> list[dict[str, Any]]:
    if task is not None and not task.is_over:
        return []
    acts = []
    if item.state == "damaged" and not item.elsewhere:
        acts.append(_act("mend", words))
    if item.path is not None:
        acts.append(_act("check", words))
    if item.file in SHARED_FILES and not item.elsewhere and (item.path is not None or item.state == "partial"):
        key = "models.remove_needed" if needing else "models.remove_file"
        question = words.say(key, file=item.file.place.name, room=room(item.bytes), models=", ".join(needing))
        acts.append(_act("remove", words, question=question))
    return acts


def _needing(item: Item, states: Sequence[ModelState]) -> tuple[str, ...]:
    """Titles of models whose own files are here, and that would lack this one."""
    return tuple(
        state.entry.title
        for state in states
        if any(each.file == item.file for each in state.items) and all(each.is_usable for each in state.own_items)
    )


def _other(seen: Seen, words: Words) -> dict[str, Any]:
    if seen.trouble is not None:
        key = f"refused.{seen.trouble.code}"
        about = words.say(key, **seen.trouble.details) if key in words else str(seen.trouble)
    elif seen.recognised is None or seen.recognised.is_lora:
        about = words.say("models.other.lora")
    else:
        parts = ", ".join(words.say(f"models.part.{name}") for name in seen.recognised.part_names)
        about = words.say("models.other.parts", parts=parts)
    return {"where": seen.where, "size": room(seen.bytes), "words": about, "usable": seen.trouble is None}


__all__ = ["shelf_view", "trouble_words"]
