"""A job as everyone but the database sees it: one accepted request and how far it came.

Must not know: how rows are found or changed.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from darkroom.history.tables import JobRow, State
from darkroom.request import GenerationRequest

__all__ = ["Fault", "Job", "State", "job_of"]


@dataclass(frozen=True, kw_only=True)
class Fault:
    """Why one attempt ended without a picture: what kind, in which stage, on which rung, and when (UTC)."""

    kind: str
    stage: str
    rung: int
    at: datetime
    detail: str = ""

    def as_json(self) -> dict[str, Any]:
        return {
            "kind": self.kind,
            "stage": self.stage,
            "rung": self.rung,
            "at": self.at.isoformat(),
            "detail": self.detail,
        }


@dataclass(frozen=True, kw_only=True)
class Job:
    """Times are in UTC. Jobs submitted together have the same `group`; `client` is who asked.

    `error_code` says why it failed or, while it is waiting or running, why an earlier attempt did. `rung` is by how
    much its plan is cheaper than the first one; `faults` are those of the attempts since it was submitted, or tried
    again by a person. `checkpoint` names the file from which it can go on. `position` orders a client's waiting jobs.
    `steps_done` of its picture, if a person had it finished early.
    """

    id: int
    request: GenerationRequest
    state: State
    created_at: datetime
    started_at: datetime | None
    finished_at: datetime | None
    attempts: int
    error_code: str | None
    error_detail: str | None
    picture: int | None
    group: str | None
    client: str = ""
    position: int = 0
    rung: int = 0
    faults: tuple[Fault, ...] = ()
    checkpoint: str | None = None
    steps_done: int | None = None

    @property
    def steps_made(self) -> int:
        """Of one that is done."""
        return self.request.steps if self.steps_done is None else self.steps_done

    @property
    def is_given_up(self) -> bool:
        """It had failed, and a person wants no more of it."""
        return self.state == "cancelled" and self.error_code is not None


def job_of(row: JobRow) -> Job:
    return Job(
        id=row.id,
        request=GenerationRequest.model_validate(row.request),
        state=row.state,
        created_at=row.created_at,
        started_at=row.started_at,
        finished_at=row.finished_at,
        attempts=row.attempts,
        error_code=row.error_code,
        error_detail=row.error_detail,
        picture=None if row.picture is None else row.picture.id,
        group=row.group_id,
        client=row.client,
        position=row.position,
        rung=row.rung,
        faults=tuple(_fault_of(fault) for fault in row.faults),
        checkpoint=row.checkpoint,
        steps_done=None if row.picture is None else row.picture.facts.get("steps_done"),
    )


def _fault_of(stored: Mapping[str, Any]) -> Fault:
    return Fault(
        kind=stored["kind"],
        stage=stored["stage"],
        rung=stored["rung"],
        at=datetime.fromisoformat(stored["at"]),
        detail=stored.get("detail", ""),
    )
