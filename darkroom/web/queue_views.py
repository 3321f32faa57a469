"""The queue as the page's scripts see it, and whose job is whose. Must not know: routes or components."""

import hashlib
from typing import Any

from darkroom.jobs.ledger import Overview
from darkroom.jobs.queue import Job, QueueState
from darkroom.jobs.supervisor import Supervisor
from darkroom.web.durations import duration
from darkroom.web.words import Words

BROWSER = "browser-"
"""With this begin the names that pages give themselves. They say nothing to a person; the names of programs do."""


def queue_view(state: QueueState, words: Words, unwritten: str | None = None) -> dict[str, Any]:
    """`words` say why nothing begins, or where it will stop; empty while all is as usual.

    `unwritten` is why the history takes nothing just now.
    """
    why = words.say(f"notices.{unwritten}") if unwritten else _why(state, words)
    return {"paused": state.paused, "stop_after": state.stop_after, "code": state.code, "words": why}


def left_in_words(queue: Overview, supervisor: Supervisor, words: Words) -> str:
    """Until nothing waits any more. Of a single picture, its own row says it; of a queue that is paused, nobody can."""
    pictures = len(queue.waiting) + sum(job.state == "running" for job in queue.jobs)
    if pictures < 2 or queue.state.paused:
        return ""
    left = supervisor.all_left(queue)
    if left.unknown == pictures:
        return words.say("duration.all_new")
    key = "duration.all_known" if left.is_well_known else "duration.all"
    beside = words.say("duration.beside_new", count=left.unknown) if left.unknown else ""
    return " · ".join(part for part in (words.say(key, time=duration(left.seconds, words)), beside) if part)


def whose(job: Job, client: str, words: Words) -> dict[str, Any]:
    """Jobs of one `line` are made in their order; those of others come between."""
    is_mine = job.client == client
    if is_mine:
        who = words.say("queue.mine")
    elif job.client.startswith(BROWSER):
        who = words.say("queue.other_browser")
    else:
        who = job.client or words.say("queue.program")
    line = hashlib.sha256(job.client.encode()).hexdigest()[:8]
    return {"mine": is_mine, "who": who, "line": line, "group": job.group}


def _why(state: QueueState, words: Words) -> str:
    if state.paused and state.code is None:
        return words.say("queue.paused")
    if state.paused:
        key = f"queue.why.{state.code}"
        reason = words.say(key if key in words else "queue.why.other")
        return words.say("queue.paused_because", reason=reason)
    return words.say("queue.stopping") if state.stop_after is not None else ""
