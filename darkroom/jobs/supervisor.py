"""The supervisor: one thread that hands the next waiting job to an engine and sees it to its end.

Whatever the engine does, each job ends as a picture, cancelled, or failed with a reason; or it waits, or rests.
Must not know: how an engine makes pictures, or who asks how far they are.
"""

import logging
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime
from functools import partial

from darkroom.catalog import ModelEntry, find_model
from darkroom.errors import EngineLost, NotFound, NotPossibleNow, NotWritten
from darkroom.history.library import Library
from darkroom.jobs.attempt import Attempt, EngineHangs, Listeners, Patience, StopIgnored
from darkroom.jobs.engine import Engine, EngineFactory
from darkroom.jobs.experience import Expected
from darkroom.jobs.forecast import Forecast, Left, LineLeft
from darkroom.jobs.healing import FATAL_FOR_ENGINE, Ended, is_ended_again_and_again, is_one_bad_setting, rung_after
from darkroom.jobs.job import Fault, Job
from darkroom.jobs.ledger import Overview
from darkroom.jobs.messages import Checkpoint, Done, Failed, Run, Stopped
from darkroom.jobs.postmortem import Cause, Samples, cause_of_failure, cause_of_hang, cause_of_loss
from darkroom.jobs.progress import Activity, Progress, ProgressBoard
from darkroom.jobs.queue import JobQueue
from darkroom.jobs.status import JobStatus, status_of
from darkroom.jobs.unwritten import Unwritten
from darkroom.jobs.wishes import JobWishes, Wish
from darkroom.request import GenerationRequest

__all__ = ["Activity", "JobStatus", "Patience", "Supervisor"]

log = logging.getLogger(__name__)

IDLE_LOOK_SECONDS = 1.0
"""How often an idle engine is looked after."""


class Supervisor:
    """`idle_seconds` without work end the engine, and all its memory comes back; 0 means never."""

    def __init__(
        self,
        queue: JobQueue,
        library: Library,
        engine_factory: EngineFactory,
        idle_seconds: float,
        patience: Patience = Patience(),  # noqa: B008 (frozen)
        find_model: Callable[[str], ModelEntry] = find_model,
    ) -> None:
        self._queue = queue
        self._library = library
        self._checkpoints = library.checkpoints
        self._engine_factory = engine_factory
        self._idle_seconds = idle_seconds
        self._patience = patience
        self._find_model = find_model
        self._board = ProgressBoard()
        self._samples = Samples()
        self._forecast = Forecast(queue)
        self._wishes = JobWishes()
        self._engine: Engine | None = None
        self._device: str | None = None
        self._loaded: str | None = None
        self._idle_since = 0.0
        self._unsettled = False
        self._closing = threading.Event()
        self._unwritten = Unwritten(patience.after_fault, self._closing)
        self._releasing = threading.Event()
        self._woken = threading.Event()
        self._thread = threading.Thread(target=self._work, name="supervisor", daemon=True)

    # --- for any thread

    def start(self) -> None:
        """Takes up what an earlier server left behind, then works in its own thread."""
        try:
            self._queue.recover()
        except NotWritten as error:
            self._unsettled = True
            self._unwritten.note(error)
        self._checkpoints.sweep(self._queue.unfinished_ids())
        self._thread.start()

    def close(self) -> None:
        """End the engine and the thread. The running job waits for the next start, or is done if it was that close."""
        self._closing.set()
        self._woken.set()
        if self._thread.ident is not None:
            self._thread.join()

    def wake(self) -> None:
        """A job was submitted, or the queue may go on."""
        self._woken.set()

    def release(self) -> None:
        """End the engine once it has no job in work, and give all its memory back. The next job starts another."""
        self._releasing.set()
        self._woken.set()

    def stop(self, job_id: int) -> None:
        """A person no longer wants this job. Too late is no error. Raises NotFound, and NotWritten while it waits."""
        # It may be put back, or begin, in the moment between.
        is_asked = self._ask(job_id, "stop")
        try:
            is_cancelled = self._queue.cancel_waiting(job_id)
            if not is_cancelled and not is_asked and self._ask(job_id, "stop"):
                is_cancelled = self._queue.cancel_waiting(job_id)
        except NotWritten:
            if not is_asked:
                raise
            return
        if is_cancelled:
            self._checkpoints.remove(job_id)

    def pause(self, job_id: int) -> None:
        """The running job is to rest, and can go on later from where it is. Raises NotFound, NotPossibleNow."""
        if not self._ask(job_id, "pause"):
            raise NotPossibleNow(job_id, self._queue.get(job_id).state)

    def finish(self, job_id: int) -> None:
        """The running job is to be a picture with the steps that are done. Raises NotFound, NotPossibleNow."""
        if not self._ask(job_id, "finish"):
            raise NotPossibleNow(job_id, self._queue.get(job_id).state)

    def status(self, job_id: int) -> JobStatus:
        """Raises NotFound."""
        job = self._queue.get(job_id)
        progress = self._board.get(job_id) or Progress(activity="starting")
        ahead = self._queue.ahead(job_id) if job.state == "waiting" else 0
        return status_of(job, progress, self._left(job, progress), ahead, self.unwritten())

    def expected(self, request: GenerationRequest, rung: int = 0) -> Expected | None:
        """What such a picture takes, from those that were made here."""
        return self._forecast.expect(request, rung)

    def whole(self, job: Job) -> Left | None:
        """Of a job that waits: what it will take on an engine that holds its model."""
        return self._forecast.whole(job.request, job.rung)

    def all_left(self, queue: Overview) -> LineLeft:
        """Until the running job and all that wait are made. Those that rest are not counted."""
        line = self._forecast.line(queue.waiting, model=self._loaded)
        for job in queue.jobs:
            if job.state != "running":
                continue
            left = self._left(job, self._board.get(job.id) or Progress(activity="starting"))
            line = line.after(left)
        return line

    def preview(self, job_id: int) -> bytes | None:
        """The newest preview, as JPEG, of the running job or one of the last few."""
        progress = self._board.get(job_id)
        return progress.preview if progress else None

    def engine_device(self) -> str | None:
        """ "cpu" or the card's name; None while no engine is ready."""
        return self._device

    def unwritten(self) -> str | None:
        """Why nothing is begun or saved just now; None while the history takes what it is given."""
        return self._unwritten.why()

    def _left(self, job: Job, progress: Progress) -> Left | None:
        match job.state:
            case "running":
                return self._forecast.left(job, progress, time.monotonic())
            case "waiting":
                return self.whole(job)
            case _:
                return None

    def _ask(self, job_id: int, wish: Wish) -> bool:
        """Whether the job is running, so that the wish can be met. Raises NotFound."""
        job = self._queue.get(job_id)
        if job.state != "running":
            return False
        self._wishes.ask(job.id, job.attempts, wish)
        return True

    # --- for the supervisor's own thread

    def _work(self) -> None:
        while not self._closing.is_set():
            job: Job | None = None
            try:
                if self._unsettled:
                    self._queue.recover()
                    self._unsettled = False
                if self._releasing.is_set():
                    self._releasing.clear()
                    self._end_engine()
                job = self._queue.claim()
                self._unwritten.clear()
                if job is None:
                    self._rest()
                else:
                    self._see_through(job)
                    self._idle_since = time.monotonic()
            except NotWritten as error:
                self._unsettled = self._unsettled or job is not None
                self._unwritten.note(error)
                self._closing.wait(self._patience.after_fault)
            except Exception as error:  # noqa: BLE001 (a bug must not end the thread every later job needs)
                self._survive(error, job)
        self._end_engine()

    def _see_through(self, job: Job) -> None:
        attempt = Attempt(
            job,
            self._board,
            self._samples,
            self._patience,
            Listeners(
                wish=lambda: self._wish_of(job), ready=self._note_device, checkpoint=lambda each: self._keep(job, each)
            ),
            closing=self._closing.is_set,
        )
        settle: Callable[[], None]
        try:
            ending = self._try(job, attempt)
        except EngineLost as error:
            self._end_engine(at_once=True)
            cause = cause_of_loss(error.cause, self._samples, attempt.progress, time.monotonic())
            settle = partial(self._heal, job, attempt, cause)
        except EngineHangs as error:
            self._end_engine(at_once=True)
            cause = cause_of_hang(error.seconds, self._samples, attempt.progress, time.monotonic())
            settle = partial(self._heal, job, attempt, cause)
        except StopIgnored:
            self._end_engine(at_once=True)
            settle = partial(self._after_stop, job)
        else:
            settle = partial(self._after_ending, job, attempt, ending)
        self._unwritten.insist(settle, lambda: self._after_all(job, settle))
        self._wishes.forget(job.id, job.attempts)

    def _after_all(self, job: Job, settle: Callable[[], None]) -> Callable[[], None] | None:
        """What is to be written of a job's end once the disk takes it: whoever wants it no more meanwhile is heard."""
        if self._queue.get(job.id).state != "running":
            return None
        return partial(self._after_stop, job) if self._wish_of(job) == "stop" else settle

    def _try(self, job: Job, attempt: Attempt) -> Done | Stopped | Failed:
        """Raises EngineLost, EngineHangs and StopIgnored."""
        try:
            model = self._find_model(job.request.model)
        except NotFound as error:
            return Failed(job=job.id, kind="model_unusable", detail=str(error))
        self._notice_dead_engine()
        self._board.begin(job.id, "loading" if self._device else "starting", time.monotonic())
        if self._closing.is_set() or self._wish_of(job) in ("stop", "pause"):
            return Stopped(job=job.id)
        if self._engine is None:
            self._engine = self._engine_factory()
        self._loaded = job.request.model
        run = Run(job=job.id, request=job.request, model=model, rung=job.rung, checkpoint=self._begun(job))
        self._engine.send(run)
        return attempt.follow(self._engine)

    def _begun(self, job: Job) -> bytes | None:
        try:
            return self._checkpoints.of(job.id) if job.checkpoint else None
        except OSError as error:
            log.warning("Job %d: its checkpoint cannot be read, and it begins anew: %s", job.id, error)
            return None

    def _keep(self, job: Job, checkpoint: Checkpoint) -> None:
        """A checkpoint that cannot be written is a loss of time, if anything, and not of the picture."""
        try:
            name = self._checkpoints.keep(job.id, checkpoint.content)
            if self._queue.get(job.id).checkpoint != name:
                self._queue.keep_checkpoint(job.id, name)
        except (OSError, NotWritten) as error:
            log.warning("Job %d: the checkpoint could not be written: %s", job.id, error)

    def _after_ending(self, job: Job, attempt: Attempt, ending: Done | Stopped | Failed) -> None:
        match ending:
            case Done():
                self._save(job, ending, attempt)
            case Failed():
                if ending.kind in FATAL_FOR_ENGINE:
                    self._end_engine()
                now, progress = time.monotonic(), attempt.progress
                self._heal(job, attempt, cause_of_failure(ending.kind, ending.detail, self._samples, progress, now))
            case _:
                self._after_stop(job)

    def _save(self, job: Job, done: Done, attempt: Attempt) -> None:
        progress = self._board.get(job.id)
        if progress is not None:
            self._board.put(job.id, progress.entering("saving", time.monotonic()))
        try:
            self._library.add(
                job=job.id,
                request=job.request,
                width=done.width,
                height=done.height,
                pixels=done.pixels,
                facts={**done.facts, **attempt.facts()},
            )
        except OSError as error:  # a full disk, a folder that may not be written
            self._fail(job, Cause(kind="not_saved", detail=str(error)), None)
            log.error("Job %d: the picture could not be saved: %s", job.id, error)
        else:
            self._checkpoints.remove(job.id)
            self._forecast.learn()

    def _after_stop(self, job: Job) -> None:
        """The attempt was ended on purpose: for good, or for a while, as a person asked; or the server is to end."""
        wish = self._wish_of(job)
        if wish == "stop":
            self._queue.cancel(job.id)
            self._checkpoints.remove(job.id)
        elif wish == "pause":
            self._queue.pause_job(job.id, self._queue.get(job.id).checkpoint)
        elif self._closing.is_set():
            self._queue.put_back(job.id, checkpoint=self._queue.get(job.id).checkpoint)
        else:
            self._fail(job, Cause(kind="engine_fault", detail="the engine stopped the job without being asked"), None)

    def _heal(self, job: Job, attempt: Attempt, cause: Cause) -> None:
        """Once may be bad luck: the job is tried again, more cheaply. Twice is the job's own doing, and others wait.

        An engine that was ended from outside is nobody's doing here: the job goes on from where it was.
        """
        stage = attempt.progress.activity
        log.warning("Job %d, while %s: %s (%s)", job.id, stage, cause.kind, cause.detail)
        if self._closing.is_set() or self._wish_of(job) in ("stop", "pause"):
            self._after_stop(job)
            return
        fault = Fault(kind=cause.kind, stage=stage, rung=job.rung, at=datetime.now(UTC), detail=cause.detail)
        rung = rung_after(job, cause.kind, stage)
        if rung is None:
            self._fail(job, cause, fault)
        else:
            log.info("Job %d is tried again on rung %d", job.id, rung)
            self._queue.put_back(job.id, rung=rung, fault=fault, checkpoint=self._queue.get(job.id).checkpoint)
            if is_ended_again_and_again(job, cause.kind):
                log.warning("Job %d: its engine is ended from outside again and again: the queue pauses", job.id)
                self._queue.pause_queue(cause.kind, cause.detail)

    def _fail(self, job: Job, cause: Cause, fault: Fault | None) -> None:
        self._queue.fail(job.id, cause.kind, cause.detail, fault)
        self._checkpoints.remove(job.id)
        failed = [self._queue.get(each.job) for each in self._queue.last_faults()]
        last = [Ended(job=each.id, code=each.error_code or "", detail=each.error_detail or "") for each in failed]
        if is_one_bad_setting(last):
            log.warning("Two jobs in a row failed with %s: the queue pauses", cause.kind)
            self._queue.pause_queue(cause.kind, cause.detail)

    def _wish_of(self, job: Job) -> Wish | None:
        return self._wishes.of(job.id, job.attempts)

    def _note_device(self, device: str) -> None:
        self._device = device

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

    def _end_engine(self, *, at_once: bool = False) -> None:
        engine, self._engine, self._device, self._loaded = self._engine, None, None, None
        if engine is None:
            return
        if at_once:
            engine.kill()
        engine.close()

    def _survive(self, error: Exception, job: Job | None) -> None:
        """Log a fault of our own, give its job an end, and start over with a fresh engine."""
        log.exception("A fault in the supervisor")
        self._unsettled = True  # a row may say "running" although nothing runs
        try:
            if job is not None and self._queue.get(job.id).state == "running":
                self._fail(job, Cause(kind="engine_fault", detail=f"{type(error).__name__}: {error}"), None)
            self._end_engine()
        except Exception:
            log.exception("A fault while recovering from a fault")
        self._closing.wait(self._patience.after_fault)
