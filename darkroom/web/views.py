"""Jobs as the page's scripts see them: JSON values, words included. Must not know: routes or components."""

import json
from collections.abc import Mapping
from typing import Any

from darkroom.errors import NotWritten
from darkroom.jobs.forecast import Left
from darkroom.jobs.queue import Job
from darkroom.jobs.supervisor import JobStatus
from darkroom.web.aftermath import TOLD_WITH_FIGURES, aftermath_in_words
from darkroom.web.durations import duration, pace, still
from darkroom.web.words import Words

LONGEST_PROMPT_SHOWN = 200
UNWRITTEN = frozenset(NotWritten(reason).code for reason in NotWritten.SENTENCES)
"""While this is so, nobody knows how long it will take."""


def waiting_view(job: Job, ahead: int, words: Words, takes: Left | None) -> dict[str, Any]:
    """A job whose turn has not come, without asking anything more about it."""
    return job_view(resting(job, ahead, takes), words)


def resting(job: Job, ahead: int = 0, takes: Left | None = None) -> JobStatus:
    """The status of a job that nobody works on: it waits, or has ended."""
    return JobStatus(
        job=job,
        activity="starting" if job.state == "running" else job.state,
        part=None,
        fraction=None,
        step=job.steps_made if job.state == "done" else 0,
        of=job.request.steps,
        preview_number=0,
        left=takes,
        pace=None,
        notice=job.error_code if job.state == "waiting" else None,
        ahead=ahead,
    )


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
        "seconds_left": status.left.seconds if status.left and job.state == "running" else None,
        "ahead": status.ahead,
        "notice": status.notice,
        "error": job.error_code,
        "picture": job.picture,
        "seed": job.request.seed,
        "prompt": job.request.prompt[:LONGEST_PROMPT_SHOWN],
        "width": job.request.width,
        "height": job.request.height,
        "steps": job.request.steps,
        "words": {
            "activity": words.say(f"activity.{status.activity}"),
            "detail": _detail(status, words),
            "left": _left(status, words),
            "notice": _either(words, "notices", status.notice) if status.notice else "",
            **_error(job.error_code, job.error_detail, words, failed=job.state == "failed"),
        },
    }


def _progress(status: JobStatus) -> float | None:
    match status.activity:
        case "loading" | "encoding" | "decoding":
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
            step = words.say("watch.step", step=status.step, of=status.of)
            return step if status.pace is None else f"{step} · {pace(status.pace, words)}"
        case "waiting" if status.ahead:
            return words.say("watch.ahead", count=status.ahead)
        case _:
            return ""


def _left(status: JobStatus, words: Words) -> str:
    left = status.left
    if status.notice in UNWRITTEN:
        return ""
    if status.job.state == "running":
        return still(left.seconds, words, is_first=not left.lessons) if left else words.say("duration.first_time")
    if status.job.state != "waiting":
        return ""
    if left is None:
        return words.say("duration.first_time")
    key = "duration.takes_known" if left.is_well_known else "duration.takes"
    takes = words.say(key, time=duration(left.seconds, words))
    return takes if left.lessons else f"{words.say('duration.first_time')} · {takes}"


def _error(code: str | None, detail: str | None, words: Words, *, failed: bool) -> Mapping[str, str]:
    if not failed:
        return {"error": "", "next": ""}
    key = f"errors.{code}" if f"errors.{code}.what" in words else "errors.other"
    cause = _in_words(code, detail, words).strip().rstrip(".。")
    following = "next_at_no_size" if code == "does_not_fit" and _fits_at_no_size(detail) else "next"
    return {"error": words.say(f"{key}.what", detail=cause), "next": words.say(f"{key}.{following}")}


def _fits_at_no_size(detail: str | None) -> bool:
    return detail is not None and detail.startswith("{") and not json.loads(detail).get("largest")


def _either(words: Words, group: str, key: str) -> str:
    return words.say(f"{group}.{key}" if f"{group}.{key}" in words else f"{group}.other")


def _in_words(code: str | None, detail: str | None, words: Words) -> str:
    """What the engine said; of a picture that does not fit, or what it cannot use, in the reader's language."""
    # Of a model that is not in the catalogue any more, the supervisor says it in words.
    if code in ("does_not_fit", "lora_unusable", "model_unusable") and detail and detail.startswith("{"):
        details = json.loads(detail)
        return words.say(f"refused.{details.pop('code')}", **details)
    if code in TOLD_WITH_FIGURES and detail and detail.startswith("{"):
        return aftermath_in_words(code, json.loads(detail), words)
    return detail or words.say("errors.no_detail")
