"""The queue as the page's scripts see it, and whose job is whose. Must not know: routes or components."""

import hashlib
from typing import Any

from darkroom.jobs.queue import Job, QueueState
from darkroom.web.words import Words

BROWSER = "browser-"
"""With this begin the names that pages give themselves. They say nothing to a person; the names of programs do."""


def queue_view(state: QueueState, words: Words) -> dict[str, Any]:
    """`words` say why nothing begins, or where it will stop; empty while all is as usual."""
    return {"paused": state.paused, "stop_after": state.stop_after, "code": state.code, "words": _why(state, words)}


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
