"""A job and how far it is, as the supervisor tells it. Must not know: rows, engines, or words."""

from dataclasses import dataclass

from darkroom.jobs.forecast import Left
from darkroom.jobs.job import Job
from darkroom.jobs.progress import Activity, Progress


@dataclass(frozen=True, kw_only=True)
class JobStatus:
    """A job, and how far it is at this moment.

    `part` and `fraction` are of the loading, `step` and `of` of the denoising. `preview_number` is 0 while there is
    none and grows with each. `notice` is why an earlier attempt failed, while the job is being tried again, or why
    what was made cannot be written down.
    `ahead` counts the jobs before it. `left` is what it still takes; of one that waits, what it will take. `pace` is
    the seconds of its own steps.
    """

    job: Job
    activity: Activity
    part: str | None
    fraction: float | None
    step: int
    of: int
    preview_number: int
    left: Left | None
    pace: float | None
    notice: str | None
    ahead: int


def status_of(job: Job, progress: Progress, left: Left | None, ahead: int, unwritten: str | None) -> JobStatus:
    """`progress` is the last that is known of it, `unwritten` why the history takes nothing just now."""
    if job.state == "running":
        notice = unwritten or job.error_code
    else:
        progress = progress.entering(job.state)
        notice = job.error_code if job.state == "waiting" else None
    return JobStatus(
        job=job,
        activity=progress.activity,
        part=progress.part,
        fraction=progress.fraction,
        step={"waiting": 0, "done": job.steps_made}.get(job.state, progress.step),
        of=job.request.steps,
        preview_number=progress.preview_number,
        left=left,
        pace=progress.pace if job.state == "running" else None,
        notice=notice,
        ahead=ahead,
    )
