"""How long jobs and the whole queue will take, learned from pictures whose true times are known."""

import random
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from darkroom.history.library import Library
from darkroom.jobs.experience import ENGINE_RAM, LEARNED_FROM, LOADING, STARTING, Experience, Kind, Made
from darkroom.jobs.forecast import Forecast
from darkroom.jobs.job import Job
from darkroom.jobs.messages import Entered, Loading, Ready, Step
from darkroom.jobs.progress import Progress
from darkroom.jobs.queue import JobQueue
from darkroom.request import GenerationRequest
from tests.history.examples import request
from tests.jobs.conftest import StartSupervisor
from tests.jobs.scripted_engine import Script, ScriptedEngines
from tests.jobs.waiting import eventually

BEGAN = datetime(2026, 3, 1, tzinfo=UTC)
MOST_WRONG = 0.2


@dataclass
class Machine:
    """One that makes pictures in known times, a little different each time. `now` is its clock."""

    chance: random.Random
    jitter: float = 0.08
    compiled: bool = False
    busy: float = 1.0
    now: float = 0.0
    pictures: int = 0

    def seconds(self, asked: GenerationRequest) -> dict[str, float]:
        """Of each stage, in the mean."""
        pixels = asked.width * asked.height
        passes = 1 if asked.cfg_scale == 1 else 2
        step = (0.02 + pixels / 4e6) * passes * (0.5 if self.compiled else 1.0)
        return {"encoding": 0.6, "denoising": step * asked.steps, "decoding": pixels / 2e6, "rest": 0.2}

    def make(self, asked: GenerationRequest, *, loads: bool = False) -> Made:
        took = {stage: seconds * self._luck() * self.busy for stage, seconds in self.seconds(asked).items()}
        facts: dict[str, Any] = {f"seconds_{stage}": took[stage] for stage in ("encoding", "denoising", "decoding")}
        facts |= {"device": "card", "compiled": "yes" if self.compiled else "no: not ready", ENGINE_RAM: 4000}
        before = 0.0
        if loads:
            facts |= {STARTING: 5.0 * self._luck(), LOADING: 20.0 * self._luck()}
            before = facts[STARTING] + facts[LOADING]
        self.pictures += 1
        began = BEGAN + timedelta(seconds=self.now)
        self.now += before + sum(took.values())
        ended = BEGAN + timedelta(seconds=self.now)
        return Made(picture=self.pictures, request=asked, facts=facts, started_at=began, finished_at=ended)

    def _luck(self) -> float:
        return self.chance.uniform(1 - self.jitter, 1 + self.jitter)


@pytest.fixture(params=range(5))
def machine(request: pytest.FixtureRequest) -> Machine:
    return Machine(chance=random.Random(request.param))


def asked(number: int = 0, **changes: Any) -> GenerationRequest:
    return request(prompt=f"picture {number}", seed=number, **changes)


SMALL, LARGE = {"width": 512, "height": 512, "steps": 8}, {"width": 1024, "height": 1024, "steps": 20}
TWICE = {"width": 768, "height": 512, "steps": 12, "cfg_scale": 3.0}


def wall(made: Made) -> float:
    assert made.started_at is not None
    assert made.finished_at is not None
    return (made.finished_at - made.started_at).total_seconds()


def wrongness(said: float, made: Made) -> float:
    return abs(said - wall(made)) / wall(made)


def test_after_five_of_a_kind_it_is_right_within_a_fifth(machine: Machine) -> None:
    experience = Experience()
    experience.learn([machine.make(asked(number, **LARGE), loads=number == 0) for number in range(LEARNED_FROM)])
    for number in range(LEARNED_FROM, 30):
        expected = experience.expect(Kind.of(asked(**LARGE)))
        assert expected is not None
        assert expected.lessons >= LEARNED_FROM
        made = machine.make(asked(number, **LARGE))
        assert wrongness(expected.whole(made.request.steps), made) <= MOST_WRONG
        experience.learn([made])


def test_kinds_that_take_turns_are_each_learned(machine: Machine) -> None:
    experience = Experience()
    kinds = (SMALL, LARGE, TWICE)
    for number in range(60):
        wish = asked(number, **kinds[number % 3])
        made = machine.make(wish, loads=number == 0)
        expected = experience.expect(Kind.of(wish))
        if number // 3 >= LEARNED_FROM:
            assert expected is not None
            assert wrongness(expected.whole(wish.steps), made) <= MOST_WRONG
        experience.learn([made])


def test_a_machine_that_gets_busy_is_noticed_for_all_kinds_and_so_is_its_rest(machine: Machine) -> None:
    experience = Experience()
    kinds = (SMALL, LARGE, TWICE)
    wrong: dict[int, float] = {}
    for number in range(120):
        machine.busy = 2.0 if 40 <= number < 80 else 1.0
        wish = asked(number, **kinds[number % 3])
        made = machine.make(wish)
        expected = experience.expect(Kind.of(wish))
        if expected is not None:
            wrong[number] = wrongness(expected.whole(wish.steps), made)
        experience.learn([made])
    # A few pictures after each change, long before there are five of each kind.
    steady = [each for number, each in wrong.items() if number >= 15 and number % 40 >= 6]
    assert max(steady) <= 0.3
    assert sorted(steady)[int(0.95 * len(steady))] <= MOST_WRONG


def test_a_kind_that_was_not_made_for_long_is_still_known(machine: Machine) -> None:
    experience = Experience()
    experience.learn([machine.make(asked(number, **LARGE)) for number in range(5)])
    experience.learn([machine.make(asked(number, **SMALL)) for number in range(5, 400)])
    expected = experience.expect(Kind.of(asked(**LARGE)))
    assert expected is not None
    assert wrongness(expected.whole(20), machine.make(asked(999, **LARGE))) <= MOST_WRONG


def test_another_number_of_steps_is_the_same_kind(machine: Machine) -> None:
    experience = Experience()
    experience.learn([machine.make(asked(number, **LARGE)) for number in range(LEARNED_FROM)])
    longer = asked(9, **{**LARGE, "steps": 50})
    expected = experience.expect(Kind.of(longer))
    assert expected is not None
    assert wrongness(expected.whole(50), machine.make(longer)) <= MOST_WRONG


def test_compiled_pictures_are_not_mixed_with_those_that_are_not(machine: Machine) -> None:
    experience = Experience()
    experience.learn([machine.make(asked(number, **LARGE)) for number in range(20)])
    machine.compiled = True
    experience.learn([machine.make(asked(21, **LARGE))])
    expected = experience.expect(Kind.of(asked(**LARGE)))
    assert expected is not None
    assert expected.lessons == 1
    made = machine.make(asked(22, **LARGE))
    assert wrongness(expected.whole(20), made) <= MOST_WRONG


def test_another_rung_is_another_way(machine: Machine) -> None:
    experience = Experience()
    slow = machine.make(asked(1, **LARGE))
    slow = replace(slow, facts={**slow.facts, "rung": 2, "seconds_denoising": 100.0})
    experience.learn([*(machine.make(asked(number, **LARGE)) for number in range(5)), slow])
    first, cheaper = (experience.expect(Kind.of(asked(**LARGE)), rung) for rung in (0, 2))
    assert first is not None
    assert cheaper is not None
    assert first.lessons == 5
    assert (cheaper.lessons, cheaper.step) == (1, 5.0)


def test_a_kind_never_made_is_guessed_by_its_size_and_an_unknown_model_not_at_all(machine: Machine) -> None:
    experience = Experience()
    assert experience.expect(Kind.of(asked(**LARGE))) is None
    experience.learn([machine.make(asked(number, **SMALL)) for number in range(5)])
    guess = experience.expect(Kind.of(asked(**LARGE)))
    assert guess is not None
    assert guess.lessons == 0
    assert 0.3 < guess.whole(20) / wall(machine.make(asked(9, **LARGE))) < 3
    assert experience.expect(Kind.of(asked(**LARGE, model="other"))) is None


def test_a_resumed_picture_teaches_how_long_a_step_takes(machine: Machine) -> None:
    experience = Experience()
    made = machine.make(asked(**LARGE))
    resumed = {**made.facts, "resumed_at_step": 15, "seconds_denoising": made.facts["seconds_denoising"] / 4}  # type: ignore[operator]
    experience.learn([made, replace(made, facts=resumed)])
    expected = experience.expect(Kind.of(asked(**LARGE)))
    assert expected is not None
    assert expected.step == pytest.approx(float(made.facts["seconds_denoising"]) / 20)


def test_a_prompt_that_was_read_before_is_not_read_again() -> None:
    machine = Machine(chance=random.Random(1), jitter=0)
    experience = Experience()
    again = [machine.make(asked(1, **SMALL)) for _ in range(4)]
    again = [again[0], *(replace(each, facts={**each.facts, "seconds_encoding": 0.0}) for each in again[1:])]
    experience.learn(again)
    kind = Kind.of(asked(**SMALL))
    assert experience.was_read(asked(1, **SMALL))
    assert not experience.was_read(asked(2, **SMALL))
    first, second = (experience.expect(kind, is_repeat=repeat) for repeat in (False, True))
    assert first is not None
    assert second is not None
    assert first.encoding == pytest.approx(0.6)
    assert second.encoding == 0.0


class Ledger(JobQueue):
    """Tells of pictures that a test made up."""

    def __init__(self, queue: JobQueue, made: Sequence[Made]) -> None:
        super().__init__(queue._database)
        self.told = list(made)

    def made(self, after: int | None = None, limit: int = 500) -> tuple[Made, ...]:
        return tuple(each for each in self.told if each.picture > (after or 0))[:limit]


def events(machine: Machine, wish: GenerationRequest, *, loads: bool) -> tuple[list[tuple[float, Any]], float]:
    """What an engine says of a picture and when, and when it has ended, in seconds from its start."""
    took = {stage: seconds * machine._luck() for stage, seconds in machine.seconds(wish).items()}
    found: list[tuple[float, Any]] = []
    now = 0.0
    if loads:
        found.append((now := now + 5.0, Ready(device="card", torch_version="x")))
        found += [(now := now + 5.0, Loading(job=1, part="vae", fraction=part / 4)) for part in range(1, 5)]
    found.append((now, Entered(job=1, stage="encoding")))
    found.append((now := now + took["encoding"], Entered(job=1, stage="denoising")))
    for number in range(1, wish.steps + 1):
        found.append((now := now + took["denoising"] / wish.steps, Step(job=1, number=number, of=20, preview_jpeg=b"")))
    found.append((now, Entered(job=1, stage="decoding")))
    return found, now + took["decoding"] + took["rest"]


@pytest.mark.parametrize("loads", [False, True])
def test_at_each_moment_of_a_picture_what_is_left_is_right_within_a_fifth_of_the_whole(
    loads: bool, machine: Machine, queue: JobQueue
) -> None:
    forecast = Forecast(Ledger(queue, [machine.make(asked(number, **LARGE), loads=True) for number in range(5)]))
    wish = asked(7, **LARGE)
    job = queue.submit(wish)
    said, ends = events(machine, wish, loads=loads)
    progress = Progress(activity="starting" if loads else "loading", since=0.0)
    # Until the first word of a warm engine nobody knows that nothing has to be loaded.
    for place, (at, event) in enumerate(said):
        progress = progress.after(event, at)
        following = said[place + 1][0] if place + 1 < len(said) else ends
        for now in (at, (at + following) / 2):
            left = forecast.left(job, progress, now)
            assert left is not None
            assert left.is_well_known
            assert abs(left.seconds - (ends - now)) <= MOST_WRONG * ends, (progress.activity, progress.step)


def test_a_picture_of_an_unknown_kind_is_timed_by_its_own_steps(queue: JobQueue) -> None:
    forecast, job = Forecast(Ledger(queue, [])), queue.submit(asked(**LARGE))
    progress = Progress(activity="denoising", since=0.0)
    assert forecast.left(job, progress, 1.0) is None
    for number in (1, 2, 3):
        progress = progress.after(Step(job=job.id, number=number, of=20, preview_jpeg=b""), number * 2.0)
    left = forecast.left(job, progress, 6.0)
    assert left is not None
    assert (left.seconds, left.lessons) == (2.0 * 17, 0)


def test_the_whole_queue_is_right_within_a_fifth_through_kinds_and_models(machine: Machine, queue: JobQueue) -> None:
    kinds: list[dict[str, Any]] = [SMALL, LARGE, TWICE, {**SMALL, "model": "other"}]
    made = [machine.make(asked(number, **kinds[number % 4]), loads=True) for number in range(4 * LEARNED_FROM)]
    forecast = Forecast(Ledger(queue, made))
    wishes = [asked(100 + number, **kinds[number % 3]) for number in range(30)]
    wishes += [asked(200 + number, **kinds[3]) for number in range(10)]
    queue.submit_many(wishes, "g")
    left = forecast.line(queue.overview().waiting, model="demo")
    began = machine.now
    for number, wish in enumerate(wishes):
        machine.make(wish)
        # From one model to the next it is loaded, on an engine that runs.
        machine.now += 20.0 if number == 30 else 0.0
    assert abs(left.seconds - (machine.now - began)) <= MOST_WRONG * (machine.now - began)
    assert left.is_well_known
    assert left.unknown == 0
    cold = forecast.line(queue.overview().waiting, model=None)
    assert cold.seconds - left.seconds == pytest.approx(25.0, rel=0.1)


def test_what_nobody_knows_of_the_queue_is_counted(machine: Machine, queue: JobQueue) -> None:
    forecast = Forecast(Ledger(queue, [machine.make(asked(1, **SMALL))]))
    queue.submit_many([asked(1, **SMALL), asked(2, model="new")], "g")
    left = forecast.line(queue.overview().waiting, model="demo")
    assert (left.unknown, left.is_well_known) == (1, False)


def test_what_was_made_is_learned_from_the_database(
    queue: JobQueue, library: Library, supervise: StartSupervisor
) -> None:
    queue.submit_many([request(seed=seed) for seed in range(LEARNED_FROM)], "g")
    supervisor = supervise(ScriptedEngines())
    eventually(lambda: not queue.unfinished())
    (picture, *_) = library.page()
    assert STARTING not in picture.facts
    # It learns a moment after the picture is there.
    eventually(lambda: (told := supervisor.expected(request())) is not None and told.lessons == LEARNED_FROM)
    expected = supervisor.expected(request())
    assert expected is not None
    assert expected.step > 0
    # A server that is started anew knows it from the first moment.
    again = Forecast(queue).whole(request())
    assert again is not None
    assert again.is_well_known


def test_the_running_job_and_the_line_are_told_together(queue: JobQueue, supervise: StartSupervisor) -> None:
    script = Script(waits_at=4)
    engines = ScriptedEngines(Script(), script)
    first = queue.submit(request()).id
    supervisor = supervise(engines)
    eventually(lambda: queue.get(first).state == "done")
    supervisor.release()
    eventually(lambda: supervisor.engine_device() is None)
    jobs = [queue.submit(request(seed=seed)).id for seed in range(3)]
    supervisor.wake()
    eventually(lambda: supervisor.status(jobs[0]).step == 3)
    overview = queue.overview(1)
    assert [job.id for job in overview.jobs] == jobs[:1]
    assert overview.waiting == tuple(jobs[1:])
    left = supervisor.all_left(overview)
    assert left.unknown == 0
    assert left.seconds > 0
    assert supervisor.status(jobs[0]).pace is not None
    script.go_on.set()
    eventually(lambda: not queue.unfinished())


def test_only_the_latest_jobs_are_kept_in_mind(queue: JobQueue) -> None:
    forecast = Forecast(Ledger(queue, []))
    many: list[Job] = list(queue.submit_many([asked(number) for number in range(700)], "g"))
    forecast.line([job.id for job in many], model=None)
    forecast.line([many[-1].id], model=None)
    assert list(forecast._orders) == [many[-1].id]
