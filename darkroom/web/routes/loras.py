"""LoRAs to choose from, their pictures, and taking in a file that a person has dropped. Must not know: the form."""

from io import BytesIO
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request, Response
from fastapi.concurrency import run_in_threadpool
from PIL import Image, UnidentifiedImageError

from darkroom.catalog import ModelEntry
from darkroom.errors import NotFound
from darkroom.loras.folders import LoraFile, LoraFolders
from darkroom.loras.keeping import Keeper
from darkroom.request import LONGEST_LORA_NAME
from darkroom.web.models import Models
from darkroom.web.routes.asking import WordsOf
from darkroom.web.words import Words

LONGEST_FILE_NAME = 1000
LARGEST_PICTURE = 32 * 2**20
MOST_PIXELS = 64 * 10**6
SIDE = 160
AN_HOUR = {"Cache-Control": "private, max-age=3600"}

ModelName = Annotated[str, Query(max_length=100)]
LoraName = Annotated[str, Query(min_length=1, max_length=LONGEST_LORA_NAME)]


def lora_routes(folders: LoraFolders, keeper: Keeper, models: Models, words_of: WordsOf) -> APIRouter:
    router = APIRouter(prefix="/api/loras")

    def entry_of(model: str) -> ModelEntry:
        entry = models.get(model) if model else models.first
        if entry is None:
            raise NotFound("model", model)
        return entry

    @router.get("")
    def listed(request: Request, model: ModelName = "") -> dict[str, Any]:
        """Those of a model, each with why it cannot use it, if it cannot."""
        entry, words = entry_of(model), words_of(request)
        return {"model": entry.name, "loras": [lora_view(file, entry, words) for file in folders.files(entry)]}

    @router.get("/picture")
    def picture(name: LoraName, model: ModelName = "") -> Response:
        """Small, of the picture that lies beside the file."""
        entry = entry_of(model)
        file = folders.find(name, entry)
        webp = _small(file) if file is not None else None
        return Response(webp, media_type="image/webp", headers=AN_HOUR) if webp else Response(status_code=404)

    @router.post("", status_code=201)
    async def keep(
        request: Request, name: Annotated[str, Query(max_length=LONGEST_FILE_NAME)], model: ModelName = ""
    ) -> dict[str, Any]:
        """The body is the file, `name` is what it was called."""
        entry, words = entry_of(model), words_of(request)
        length = request.headers.get("content-length", "")
        with await run_in_threadpool(keeper.expect, name, int(length) if length.isdecimal() else None) as arriving:
            async for piece in request.stream():
                await run_in_threadpool(arriving.add, piece)
            kept = await run_in_threadpool(arriving.finish)
        file = await run_in_threadpool(folders.find, kept, entry)
        if file is None:
            raise NotFound("lora", kept)
        return {"lora": lora_view(file, entry, words)}

    return router


def lora_view(file: LoraFile, entry: ModelEntry, words: Words) -> dict[str, Any]:
    about, problem = file.about, file.problem
    return {
        "name": file.name,
        "title": file.title,
        "why": words.say(f"loras.why.{problem.reason}", what=problem.what) if problem else "",
        "refusal": words.say(f"refused.{problem.code}", **problem.details) if problem else "",
        "family": about.family,
        "layout": about.layout,
        "rank": about.rank,
        "bytes": about.bytes,
        "words": list(about.words),
        "weight": about.weight,
        "picture": _address(file, entry),
    }


def _address(file: LoraFile, entry: ModelEntry) -> dict[str, str] | None:
    """What to ask `picture` for. `v` is another for another picture."""
    if file.about.picture is None:
        return None
    try:
        version = file.about.picture.stat().st_mtime_ns
    except OSError:
        return None
    return {"name": file.name, "model": entry.name, "v": str(version)}


def _small(file: LoraFile) -> bytes | None:
    path = file.about.picture
    try:
        if path is None or path.stat().st_size > LARGEST_PICTURE:
            return None
        with Image.open(path, formats=("PNG", "JPEG", "WEBP")) as image:
            if image.width * image.height > MOST_PIXELS:
                return None
            image.draft("RGB", (2 * SIDE, 2 * SIDE))
            small = image.convert("RGB")
            small.thumbnail((SIDE, SIDE))
            buffer = BytesIO()
            small.save(buffer, "WEBP", quality=80)
            return buffer.getvalue()
    except (OSError, UnidentifiedImageError, ValueError, Image.DecompressionBombError):
        return None
