"""Healing: what becomes of a job after a fault, and whether the queue should go on. Pure rules.

Must not know: rows, engines, or how a fault is said to a person.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from darkroom.jobs.job import Job
from darkroom.rungs import LAST_RUNG, next_rung

# Faults after which the same job may do better when it takes less. All others are the request's own.
HEALABLE = frozenset({"out_of_memory", "out_of_ram", "card_fault", "engine_fault", "engine_hung", "engine_lost"})
# Somebody ended the engine from outside, and meant the engine: no picture is to blame.
KILLED = "engine_killed"
# A job's engines were ended from outside so many times: something on this machine does it, and a person is asked.
MOST_KILLS = 5
# After these the engine process is not to be trusted with another job.
FATAL_FOR_ENGINE = frozenset({"card_fault", "engine_fault"})
# Failures that are a request's own say which value it is: another value is another failure.
TOLD_BY_DETAIL = frozenset({"does_not_fit", "lora_unusable", "model_unusable"})


@dataclass(frozen=True, kw_only=True)
class Ended:
    """A job that failed: which, how, and with what words."""

    job: int
    code: str
    detail: str


def rung_after(job: Job, kind: str, stage: str) -> int | None:
    """On which rung the job is to be tried again. None: the same fault has followed it, or nothing is left to try."""
    if kind == KILLED:
        return job.rung
    if kind not in HEALABLE or sum(fault.kind != KILLED for fault in job.faults) > LAST_RUNG:
        return None
    if any((fault.kind, fault.stage) == (kind, stage) for fault in job.faults):
        return None
    return next_rung(job.rung, kind, stage)


def is_ended_again_and_again(job: Job, kind: str) -> bool:
    """Whether this fault of the job is one kill from outside too many, so that a person should know before the next."""
    kills = 1 + sum(fault.kind == KILLED for fault in job.faults)
    return kind == KILLED and kills % MOST_KILLS == 0


def is_one_bad_setting(last: Sequence[Ended]) -> bool:
    """Whether the last two jobs that ended failed the same way, so that those behind them would as well."""
    if len(last) < 2 or last[0].job == last[1].job or last[0].code != last[1].code:
        return False
    return last[0].code not in TOLD_BY_DETAIL or last[0].detail == last[1].detail
