"""The supervisor: one thread that hands the oldest waiting job to an engine and sees it to its end.

Whatever the engine does, each job ends as a picture, cancelled, or failed with a reason; or it waits again.
Must not know: how an engine makes pictures, or who asks how far they are.
"""

import logging
import threading
import time
from dataclasses import dataclass

from darkroom.catalog import find_model
from darkroom.errors import EngineLost, NotFound
from darkroom.history.library import Library
from darkroom.jobs.engine import Engine, EngineFactory
from darkroom.jobs.messages import Done, Failed, Ready, Run, Stop, Stopped
from darkroom.jobs.progress import Activity, Progress, ProgressBoard
from darkroom.jobs.queue import Job, JobQueue

__all__ = ["Activity", "JobStatus", "Supervisor"]

log = logging.getLogger(__name__)

LISTEN_SECONDS = 0.1
"""How long the thread listens to the engine before it looks whether a person wants something."""

IDLE_LOOK_SECONDS = 1.0
"""How often an idle engine is looked after."""

Ending = Done | Stopped | Failed


@dataclass(frozen=True, kw_only=True)
class Patience:
    """In seconds, how long the supervisor waits for things that may never come.

    `stop`: for an engine to stop a job, before it is ended instead (loading cannot be interrupted). `close`: the same
    when the whole server is to end. `after_fault`: before it goes on after a fault of our own.
    """

    stop: float = 20.0
    close: float = 5.0
    after_fault: float = 1.0


@dataclass(frozen=True, kw_only=True)
class JobStatus:
    """A job, and how far it is at this moment.

    `part` and `fraction` are of the loading, `step` and `of` of the denoising. `preview_number` is 0 while there is
    none and grows with each. `notice` is why an earlier attempt failed, while the job is being tried again.
    `ahead` counts the jobs before it.
    """

    job: Job
    activity: Activity
    part: str | None
    fraction: float | None
    step: int
    of: int
    preview_number: int
    seconds_left: float | None
    notice: str | None
    ahead: int


class StopIgnored(Exception):
    """The engine was asked to stop and did not."""


class Supervisor:
    """`idle_seconds` without work end the engine, and all its memory comes back; 0 means never."""

    def __init__(
        self,
        queue: JobQueue,
        library: Library,
        engine_factory: EngineFactory,
        idle_seconds: float,
        patience: Patience = Patience(),
    ) -> None:
        self._queue = queue
        self._library = library
        self._engine_factory = engine_factory
        self._idle_seconds = idle_seconds
        self._patience = patience
        self._board = ProgressBoard()
        self._engine: Engine | None = None
        self._device: str | None = None
        self._idle_since = 0.0
        self._job_to_stop: int | None = None
        self._unsettled = False
        self._closing = threading.Event()
        self._woken = threading.Event()
        self._thread = threading.Thread(target=self._work, name="supervisor", daemon=True)

    # --- for any thread

    def start(self) -> None:
        """Takes up what an earlier server left behind, then works in its own thread."""
        self._queue.recover()
        self._thread.start()

    def close(self) -> None:
        """End the engine and the thread. The running job waits for the next start, or is done if it was that close."""
        self._closing.set()
        self._woken.set()
        if self._thread.ident is not None:
            self._thread.join()

    def wake(self) -> None:
        """A job was submitted."""
        self._woken.set()

    def stop(self, job_id: int) -> None:
        """A person no longer wants this job. Too late is no error. Raises NotFound."""
        if not self._queue.cancel_waiting(job_id) and self._queue.get(job_id).state == "running":
            self._job_to_stop = job_id

    def status(self, job_id: int) -> JobStatus:
        """Raises NotFound."""
        job = self._queue.get(job_id)
        progress = self._board.get(job_id) or Progress(activity="starting")
        if job.state != "running":
            progress = progress.entering(job.state)
        return JobStatus(
            job=job,
            activity=progress.activity,
            part=progress.part,
            fraction=progress.fraction,
            step={"waiting": 0, "done": job.request.steps}.get(job.state, progress.step),
            of=job.request.steps,
            preview_number=progress.preview_number,
            seconds_left=progress.seconds_left,
            notice=job.error_code if job.state in ("waiting", "running") else None,
            ahead=self._queue.ahead(job_id) if job.state == "waiting" else 0,
        )

    def preview(self, job_id: int) -> bytes | None:
        """The newest preview, as JPEG, of the running job or one of the last few."""
        progress = self._board.get(job_id)
        return progress.preview if progress else None

    def engine_device(self) -> str | None:
        """ "cpu" or the card's name; None while no engine is ready."""
        return self._device

    # --- for the supervisor's own thread

    def _work(self) -> None:
        while not self._closing.is_set():
            job: Job | None = None
            try:
                if self._unsettled:
                    self._queue.recover()
                    self._unsettled = False
                job = self._queue.claim()
                if job is None:
                    self._rest()
                else:
                    self._see_through(job)
                    self._idle_since = time.monotonic()
            except Exception as error:  # noqa: BLE001 (a bug must not end the thread every later job needs)
                self._survive(error, job)
        self._end_engine()

    def _see_through(self, job: Job) -> None:
        try:
            ending = self._attempt(job)
        except EngineLost as error:
            self._end_engine()
            self._after_loss(job, error)
        except StopIgnored:
            self._end_engine()
            self._after_stop(job)
        else:
            self._after_ending(job, ending)

    def _attempt(self, job: Job) -> Ending:
        """Raises EngineLost and StopIgnored."""
        try:
            model = find_model(job.request.model)
        except NotFound as error:
            return Failed(job=job.id, kind="model_unusable", detail=str(error))
        self._notice_dead_engine()
        self._board.begin(job.id, "loading" if self._device else "starting")
        if self._closing.is_set() or self._is_to_stop(job):
            return Stopped(job=job.id)
        if self._engine is None:
            self._engine = self._engine_factory()
        self._engine.send(Run(job=job.id, request=job.request, model=model))
        return self._follow(self._engine, job)

    def _follow(self, engine: Engine, job: Job) -> Ending:
        """Listen until the job ends, and pass on a person's wish to stop. Raises EngineLost and StopIgnored."""
        asked_at: float | None = None
        while True:
            if asked_at is None and (self._closing.is_set() or self._is_to_stop(job)):
                engine.send(Stop(job=job.id))
                asked_at = time.monotonic()
            patience = self._patience.close if self._closing.is_set() else self._patience.stop
            if asked_at is not None and time.monotonic() - asked_at >= patience:
                raise StopIgnored
            event = engine.receive(LISTEN_SECONDS)
            if isinstance(event, Ready):
                self._device = event.device
            if isinstance(event, Ending) and event.job == job.id:
                return event
            progress = self._board.get(job.id)
            if event is not None and progress is not None:
                self._board.put(job.id, progress.after(event, time.monotonic()))

    def _after_ending(self, job: Job, ending: Ending) -> None:
        match ending:
            case Done():
                self._save(job, ending)
            case Failed() if not self._is_to_stop(job):
                log.warning("Job %d failed, %s: %s", job.id, ending.kind, ending.detail)
                self._queue.fail(job.id, ending.kind, ending.detail)
            case _:
                self._after_stop(job)

    def _save(self, job: Job, done: Done) -> None:
        progress = self._board.get(job.id)
        if progress is not None:
            self._board.put(job.id, progress.entering("saving"))
        try:
            self._library.add(
                job=job.id,
                request=job.request,
                width=done.width,
                height=done.height,
                pixels=done.pixels,
                facts=done.facts,
            )
        except OSError as error:  # a full disk, a folder that may not be written
            log.error("Job %d: the picture could not be saved: %s", job.id, error)
            self._queue.fail(job.id, "not_saved", str(error))

    def _after_stop(self, job: Job) -> None:
        """The attempt was ended on purpose: for good if a person asked, for now if the server is to end."""
        if self._is_to_stop(job):
            self._queue.cancel(job.id)
        elif self._closing.is_set():
            self._queue.requeue(job.id)
        else:
            self._queue.fail(job.id, "engine_fault", "the engine stopped the job without being asked")

    def _after_loss(self, job: Job, error: EngineLost) -> None:
        """Once may be bad luck, and the job is tried again. Twice is the job's own doing, and others wait."""
        log.warning("Job %d: %s", job.id, error)
        if self._is_to_stop(job) or self._closing.is_set():
            self._after_stop(job)
        elif job.error_code == EngineLost.code:
            self._queue.fail(job.id, EngineLost.code, error.cause)
        else:
            self._queue.requeue(job.id, EngineLost.code, error.cause)

    def _is_to_stop(self, job: Job) -> bool:
        return self._job_to_stop == job.id

    def _rest(self) -> None:
        """Wait for work. An idle engine is looked after meanwhile, and ended when it was idle for long enough."""
        self._notice_dead_engine()
        if self._engine is not None and 0 < self._idle_seconds <= time.monotonic() - self._idle_since:
            log.info("The engine was idle for %g seconds and is ended", self._idle_seconds)
            self._end_engine()
        look_again = min(IDLE_LOOK_SECONDS, self._idle_seconds or IDLE_LOOK_SECONDS)
        self._woken.wait(look_again if self._engine else None)
        self._woken.clear()  # only now, with the next look into the queue to come, so that no wish is lost

    def _notice_dead_engine(self) -> None:
        """So that the next job gets a fresh one, and is not blamed."""
        try:
            while self._engine is not None and self._engine.receive(0) is not None:
                pass
        except EngineLost as error:
            log.warning("Between jobs: %s", error)
            self._end_engine()

    def _end_engine(self) -> None:
        engine, self._engine, self._device = self._engine, None, None
        if engine is not None:
            engine.close()

    def _survive(self, error: Exception, job: Job | None) -> None:
        """Log a fault of our own, give its job an end, and start over with a fresh engine."""
        log.exception("A fault in the supervisor")
        self._unsettled = True  # a row may say "running" although nothing runs
        try:
            if job is not None and self._queue.get(job.id).state == "running":
                self._queue.fail(job.id, "engine_fault", f"{type(error).__name__}: {error}")
            self._end_engine()
        except Exception:
            log.exception("A fault while recovering from a fault")
        self._closing.wait(self._patience.after_fault)
