"""The Models page's routes: what there is, and getting, pausing, checking and removing it.

Must not know: hubs, or disks.
"""

from collections.abc import Callable, Sequence
from pathlib import Path as FolderPath
from typing import Annotated, Any

from fastapi import APIRouter, Path, Request

from darkroom.downloads.downloads import Downloads
from darkroom.downloads.inventory import Item
from darkroom.errors import InvalidRequest, Problem, shown
from darkroom.web.fitting import Fitting
from darkroom.web.needs import Needs
from darkroom.web.routes.asking import WordsOf
from darkroom.web.routes.body import Values, text_of
from darkroom.web.shelf_views import shelf_view
from darkroom.weights import HUBS, Hub, WeightFile

ModelName = Annotated[str, Path(min_length=1, max_length=100)]


def model_routes(
    downloads: Downloads, fitting: Fitting, needs: Needs, default_hub: Hub, words_of: WordsOf
) -> APIRouter:
    """Every answer is the whole page as it is now."""
    router = APIRouter(prefix="/api")
    shelf = downloads.shelf

    def view(request: Request, hub: Hub) -> dict[str, Any]:
        return shelf_view(downloads, fitting, hub, words_of(request))

    def home_of(values: dict[str, Any]) -> FolderPath | None:
        said = text_of(values, "home")
        return shelf.folder.home_named(said) if said else None

    @router.get("/models")
    def models(request: Request, hub: str = "") -> dict[str, Any]:
        return view(request, _hub(hub, default_hub))

    @router.get("/models/{name}/needs")
    def needed(name: ModelName, request: Request) -> dict[str, str]:
        """What depends on it, for whoever is about to remove it."""
        return {"words": needs.of_model(shelf.model(name).entry.name, words_of(request))}

    @router.post("/models/{name}/{act}")
    def on_model(name: ModelName, act: str, values: Values, request: Request) -> dict[str, Any]:
        """`act` is get, mend, pause, resume, cancel, check or remove. In the body: `hub`, else that of the settings,
        and `home`, the folder to fetch into, else the models folder, or where it was wanted before."""
        hub, home = _hub(text_of(values, "hub"), default_hub), home_of(values)
        state = shelf.model(name)
        items = state.items
        if act in ("pause", "cancel"):
            items = tuple(item for item in items if str(item.file.place) not in _wanted_elsewhere(downloads, name))
        if act == "remove":
            downloads.forget(str(item.file.place) for item in state.own_items)
            shelf.remove_model(name)
        else:
            _deed(downloads, act, hub, home)(items)
        return view(request, hub)

    @router.post("/weights/{act}")
    def on_file(act: str, values: Values, request: Request) -> dict[str, Any]:
        """The same for the file at `place`. With `consent` it is removed though models need it."""
        hub, home = _hub(text_of(values, "hub"), default_hub), home_of(values)
        file = shelf.file(text_of(values, "place"))
        if act == "remove":
            downloads.forget([str(file.place)])
            shelf.remove_file(str(file.place), consent=values.get("consent") is True)
        else:
            _deed(downloads, act, hub, home)([shelf.item(file)])
        return view(request, hub)

    return router


def _wanted_elsewhere(downloads: Downloads, name: str) -> frozenset[str]:
    """Places that another model is waiting for as well."""
    on_their_way = {task.place for task in downloads.tasks() if not task.is_over}
    others = (state for state in downloads.shelf.models() if state.entry.name != name)
    return frozenset(
        str(item.file.place)
        for state in others
        if any(str(own.file.place) in on_their_way for own in state.own_items)
        for item in state.items
    )


def _hub(name: str, default: Hub) -> Hub:
    """Raises InvalidRequest."""
    if not name:
        return default
    for hub in HUBS:
        if hub == name:
            return hub
    raise InvalidRequest(Problem(field="hub", value=shown(name), allowed=f"one of {', '.join(HUBS)}"))


def _deed(downloads: Downloads, act: str, hub: Hub, home: FolderPath | None) -> Callable[[Sequence[Item]], None]:
    """Raises InvalidRequest."""

    def files(items: Sequence[Item]) -> list[WeightFile]:
        return [item.file for item in items]

    def places(items: Sequence[Item]) -> list[str]:
        return [str(item.file.place) for item in items]

    deeds: dict[str, Callable[[Sequence[Item]], None]] = {
        "get": lambda items: downloads.get(files(items), hub, home),
        "mend": lambda items: downloads.get(files(items), hub, home),
        "pause": lambda items: downloads.pause(places(items)),
        "resume": lambda items: downloads.resume(places(items), hub, home),
        "cancel": lambda items: downloads.forget(places(items)),
        "check": lambda items: downloads.check(files(items), hub),
    }
    if act not in deeds:
        names = ", ".join((*deeds, "remove"))
        raise InvalidRequest(Problem(field="act", value=shown(act), allowed=f"one of {names}"))
    return deeds[act]
