"""Jobs and pictures as the page's scripts see them: JSON values, words included.

Must not know: routes or components.
"""

from collections.abc import Mapping
from math import ceil
from typing import Any

from darkroom.catalog import find_model
from darkroom.errors import NotFound
from darkroom.history.library import Picture
from darkroom.jobs.supervisor import JobStatus
from darkroom.web.words import Words


def job_view(status: JobStatus, words: Words) -> dict[str, Any]:
    """`progress` is 0 to 1, or None while nobody can know."""
    job = status.job
    return {
        "id": job.id,
        "state": job.state,
        "activity": status.activity,
        "part": status.part,
        "fraction": status.fraction,
        "step": status.step,
        "of": status.of,
        "progress": _progress(status),
        "preview_number": status.preview_number,
        "seconds_left": status.seconds_left,
        "ahead": status.ahead,
        "notice": status.notice,
        "error": job.error_code,
        "picture": job.picture,
        "seed": job.request.seed,
        "prompt": job.request.prompt,
        "width": job.request.width,
        "height": job.request.height,
        "words": {
            "activity": words.say(f"activity.{status.activity}"),
            "detail": _detail(status, words),
            "left": _left(status.seconds_left, words),
            "notice": _either(words, "notices", status.notice) if status.notice else "",
            **_error(job.error_code, job.error_detail, words, failed=job.state == "failed"),
        },
    }


def picture_view(picture: Picture, words: Words) -> dict[str, Any]:
    """`rows` are what the detail view lists, in order, as pairs of words."""
    request = picture.request
    version = f"v={int(picture.created_at.timestamp() * 1000):x}"
    return {
        "id": picture.id,
        "picture": f"/pictures/{picture.id}?{version}",
        "thumbnail": f"/thumbs/{picture.id}?{version}",
        "name": download_name(picture),
        "title": words.say("history.picture", id=picture.id, prompt=request.prompt or words.say("history.no_prompt")),
        "created_at": picture.created_at.isoformat(),
        "request": request.model_dump(mode="json"),
        "facts": dict(picture.facts),
        "rows": _rows(picture, words),
    }


def download_name(picture: Picture) -> str:
    return f"darkroom-{picture.id:06d}-{picture.request.seed}.png"


def _rows(picture: Picture, words: Words) -> list[tuple[str, str]]:
    request, facts = picture.request, picture.facts
    rows = [
        (words.say("fields.seed"), str(request.seed)),
        (words.say("fields.steps"), str(request.steps)),
        (words.say("fields.guidance"), f"{request.guidance:g}"),
        (words.say("history.size"), words.say("history.size_value", width=request.width, height=request.height)),
        (words.say("fields.cfg_scale"), f"{request.cfg_scale:g}"),
        (words.say("fields.model"), model_title(request.model)),
    ]
    if request.negative_prompt:
        rows.insert(0, (words.say("fields.negative_prompt"), request.negative_prompt))
    seconds, device = facts.get("seconds"), facts.get("device")
    if isinstance(seconds, int | float):
        rows.append((words.say("history.seconds"), words.say("history.seconds_value", seconds=f"{seconds:.1f}")))
    if device:
        rows.append((words.say("history.device"), str(device)))
    return rows


def model_title(name: str) -> str:
    """A picture may outlive its model."""
    try:
        return find_model(name).title
    except NotFound:
        return name


def _progress(status: JobStatus) -> float | None:
    match status.activity:
        case "loading":
            return status.fraction
        case "denoising":
            return status.step / status.of if status.of else None
        case "done":
            return 1.0
        case _:
            return None


def _detail(status: JobStatus, words: Words) -> str:
    match status.activity:
        case "loading":
            part = words.say(f"part.{status.part}") if f"part.{status.part}" in words else ""
            percent = int((status.fraction or 0) * 100)
            return " · ".join(word for word in (part, words.say("watch.percent", percent=percent)) if word)
        case "denoising" if status.of:
            return words.say("watch.step", step=status.step, of=status.of)
        case "waiting" if status.ahead:
            return words.say("watch.ahead", count=status.ahead)
        case _:
            return ""


def _left(seconds: float | None, words: Words) -> str:
    if seconds is None:
        return ""
    if seconds < 1:
        return words.say("watch.under_a_second")
    if seconds < 90:
        return words.say("watch.seconds", count=ceil(seconds))
    return words.say("watch.minutes", count=round(seconds / 60))


def _error(code: str | None, detail: str | None, words: Words, *, failed: bool) -> Mapping[str, str]:
    if not failed:
        return {"error": "", "next": ""}
    key = f"errors.{code}" if f"errors.{code}.what" in words else "errors.other"
    cause = (detail or words.say("errors.no_detail")).strip().rstrip(".。")
    return {"error": words.say(f"{key}.what", detail=cause), "next": words.say(f"{key}.next")}


def _either(words: Words, group: str, key: str) -> str:
    return words.say(f"{group}.{key}" if f"{group}.{key}" in words else f"{group}.other")
