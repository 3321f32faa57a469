"""The Models page's LoRAs: every file there is, who needs it, and removing it. Must not know: the form."""

from typing import Annotated, Any

from fastapi import APIRouter, Query, Request

from darkroom.downloads.transfer import room
from darkroom.errors import NotFound, StillNeeded
from darkroom.loras.folders import LoraFile, LoraFolders
from darkroom.loras.keeping import Keeper
from darkroom.web.models import Models
from darkroom.web.needs import Needs, joined
from darkroom.web.routes.asking import WordsOf
from darkroom.web.routes.body import Values, text_of
from darkroom.web.words import Words

Place = Annotated[str, Query(min_length=1, max_length=1000)]


def lora_file_routes(
    folders: LoraFolders, keeper: Keeper, models: Models, needs: Needs, words_of: WordsOf
) -> APIRouter:
    """A file is called by its path, below the models folder if it lies there."""
    router = APIRouter(prefix="/api/lora-files")

    def listed(words: Words) -> dict[str, Any]:
        files = folders.all_files(models.entries)
        return {"loras": [_view(file, keeper, place_of(file), words) for file in files]}

    def place_of(file: LoraFile) -> str:
        path = file.path
        return path.relative_to(folders.models).as_posix() if path.is_relative_to(folders.models) else str(path)

    def at(place: str) -> LoraFile:
        found = next((file for file in folders.all_files(models.entries) if place_of(file) == place), None)
        if found is None:
            raise NotFound("lora", place)
        return found

    @router.get("")
    def files(request: Request) -> dict[str, Any]:
        return listed(words_of(request))

    @router.get("/question")
    def question(place: Place, request: Request) -> dict[str, str]:
        """What a person is asked before it goes, with what depends on it."""
        file, words = at(place), words_of(request)
        asked = words.say("models.remove_file", file=file.path.name, room=room(file.about.bytes))
        return {"question": joined([asked, needs.of_lora(file.name, words)], words)}

    @router.post("/remove")
    def remove(values: Values, request: Request) -> dict[str, Any]:
        """Those that are left. What waits for it is named, unless there is `consent`."""
        file = at(text_of(values, "place"))
        jobs = needs.jobs_of_lora(file.name)
        if jobs and values.get("consent") is not True:
            raise StillNeeded(file.path.name, [jobs])
        keeper.remove(file.path)
        return listed(words_of(request))

    return router


def _view(file: LoraFile, keeper: Keeper, place: str, words: Words) -> dict[str, Any]:
    about, problem = file.about, file.problem
    facts = [about.family, words.say("loras.rank", rank=about.rank) if about.rank else "", room(about.bytes)]
    why = words.say(f"loras.why.{problem.reason}", what=problem.what) if problem else ""
    removable = keeper.can_remove(file.path)
    return {
        "place": place,
        "name": file.title,
        "status": "damaged" if problem else "here",
        "words": {
            "facts": " · ".join(part for part in (*facts, place, why) if part),
            "remove": words.say("models.acts.remove") if removable else "",
        },
    }
