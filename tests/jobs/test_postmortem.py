"""Why an attempt ended, told from how memory stood before; and rules that need no engine."""

import json
from datetime import UTC, datetime
from pathlib import Path

import pytest

from darkroom.jobs.healing import MOST_KILLS, Ended, is_ended_again_and_again, is_one_bad_setting, rung_after
from darkroom.jobs.job import Fault, Job
from darkroom.jobs.memory import SystemMemory, look_at_memory
from darkroom.jobs.messages import Loading, Memory
from darkroom.jobs.postmortem import LOOKS_KEPT, Samples, cause_of_failure, cause_of_hang, cause_of_loss
from darkroom.jobs.progress import Progress
from darkroom.rungs import LAST_RUNG
from tests.history.examples import request

GIB = 2**30
LOADING_T5 = Progress(activity="starting").after(Loading(job=1, part="text_encoder_2", fraction=0.5), 0)


class System:
    """What each look at the system will find, the last one from then on."""

    def __init__(self, *looks: SystemMemory) -> None:
        self._looks = list(looks)

    def __call__(self) -> SystemMemory:
        return self._looks.pop(0) if len(self._looks) > 1 else self._looks[0]


def memory(*, free: float, kills: int = 0, swap: float = 0.0) -> SystemMemory:
    return SystemMemory(
        total=32 * GIB, free=int(free * GIB), swap=int(swap * GIB), swap_free=int(swap * GIB / 4), kills=kills
    )


def samples_of(*looks: SystemMemory) -> Samples:
    samples = Samples(System(*looks))
    samples.begin()
    samples.hear(Memory(resident=20 * GIB, card=6 * GIB, card_free=GIB, card_total=8 * GIB))
    for second in range(len(looks)):
        samples.take(float(second))
    return samples


def test_a_killed_engine_on_a_full_machine_ran_out_of_memory_and_the_figures_say_so() -> None:
    # Free again by the time anybody looks.
    samples = samples_of(memory(free=10), memory(free=0.5), memory(free=22))
    cause = cause_of_loss("signal 9", samples, LOADING_T5, now=3)
    assert cause.kind == "out_of_ram"
    told = json.loads(cause.detail)
    assert (told["ram"], told["swap"], told["doing"], told["part"]) == (98, None, "loading", "text_encoder_2")
    assert (told["engine_gb"], told["ram_gb"]) == (20.0, 32.0)


def test_a_kill_that_the_system_counted_is_one_even_if_no_look_saw_it() -> None:
    samples = samples_of(memory(free=20, kills=3), memory(free=20, kills=4))
    assert cause_of_loss("signal 9", samples, LOADING_T5, now=2).kind == "out_of_ram"


def test_kills_of_before_do_not_count() -> None:
    samples = samples_of(memory(free=20, kills=4), memory(free=20, kills=4))
    assert cause_of_loss("signal 9", samples, LOADING_T5, now=2).kind == "engine_killed"


def test_a_shortage_long_ago_does_not_count() -> None:
    samples = samples_of(memory(free=0.5), memory(free=20))
    assert cause_of_loss("signal 15", samples, LOADING_T5, now=1 + 60).kind == "engine_killed"


@pytest.mark.parametrize("cause", ["signal 11", "exit code 1", "no answer"])
def test_an_engine_that_ended_otherwise_is_not_told_as_out_of_memory(cause: str) -> None:
    told = cause_of_loss(cause, samples_of(memory(free=0.5)), LOADING_T5, now=1)
    assert (told.kind, told.detail) == ("engine_lost", cause)


def test_a_card_without_room_and_a_hang_are_told_with_figures() -> None:
    samples = samples_of(memory(free=10, swap=8))
    told = json.loads(cause_of_failure("out_of_memory", "CUDA out of memory", samples, LOADING_T5, 1).detail)
    assert (told["card_used_gb"], told["card_gb"], told["swap"]) == (7.0, 8.0, 75)
    assert told["said"] == "CUDA out of memory"
    hung = cause_of_hang(125.3, samples, LOADING_T5, 1)
    assert (hung.kind, json.loads(hung.detail)["seconds"]) == ("engine_hung", 125)
    assert cause_of_failure("engine_fault", "x", samples, LOADING_T5, 1).detail == "x"


def test_the_ring_is_small_and_looks_are_a_second_apart() -> None:
    looks: list[int] = []

    def look() -> SystemMemory:
        looks.append(1)
        return memory(free=1)

    samples = Samples(look)
    for tenth in range(10 * 10):
        samples.take(tenth / 10)
    assert len(looks) == 10
    for second in range(10, 500):
        samples.take(float(second))
    assert len(samples._looks) == LOOKS_KEPT


def test_this_machines_memory_can_be_looked_at() -> None:
    seen = look_at_memory()
    assert 0 < seen.free <= seen.total
    assert 0 <= seen.ram_percent <= 100
    assert 0 <= seen.swap_percent <= 100


def test_a_containers_own_limit_and_kills_count(tmp_path: Path) -> None:
    files = {
        "memory.max": f"{4 * GIB}",
        "memory.current": f"{3 * GIB}",
        "memory.stat": f"anon 1\nactive_file {GIB // 2}\ninactive_file {GIB // 2}",
        "memory.events": "low 0\noom 2\noom_kill 7",
    }
    for name, content in files.items():
        (tmp_path / name).write_text(content)
    seen = look_at_memory(tmp_path)
    assert (seen.total, seen.kills) == (4 * GIB, 7)
    assert seen.free <= 2 * GIB
    (tmp_path / "memory.max").write_text("max")
    assert look_at_memory(tmp_path).total > 4 * GIB
    (tmp_path / "memory.events").unlink()
    (tmp_path / "vmstat").write_text("pgfault 3\noom_kill 12\n")
    assert look_at_memory(tmp_path, tmp_path / "vmstat").kills == 12
    assert look_at_memory(tmp_path, tmp_path / "none").kills == 0


def job(*faults: tuple[str, str], rung: int = 0) -> Job:
    now = datetime.now(UTC)
    return Job(
        id=1,
        request=request(),
        state="running",
        created_at=now,
        started_at=now,
        finished_at=None,
        attempts=1,
        error_code=None,
        error_detail=None,
        picture=None,
        group=None,
        rung=rung,
        faults=tuple(Fault(kind=kind, stage=stage, rung=0, at=now) for kind, stage in faults),
    )


def test_the_same_fault_in_the_same_stage_is_one_too_many() -> None:
    assert rung_after(job(), "engine_lost", "loading") == 1
    assert rung_after(job(("engine_lost", "loading"), rung=1), "engine_lost", "loading") is None
    assert rung_after(job(("engine_lost", "loading"), rung=1), "engine_lost", "decoding") == 2
    assert rung_after(job(("engine_lost", "loading"), rung=1), "out_of_memory", "loading") == 3
    assert rung_after(job(), "does_not_fit", "loading") is None


def test_a_kill_from_outside_costs_no_rung_and_fails_no_job_but_many_are_told() -> None:
    killed = [("engine_killed", "denoising")] * (MOST_KILLS - 1)
    assert rung_after(job(*killed, rung=1), "engine_killed", "denoising") == 1
    assert is_ended_again_and_again(job(*killed), "engine_killed")
    assert not is_ended_again_and_again(job(*killed[1:]), "engine_killed")
    assert not is_ended_again_and_again(job(*killed, ("engine_killed", "loading")), "engine_killed")
    assert not is_ended_again_and_again(job(*killed), "engine_lost")
    many = job(*killed * 3)
    assert rung_after(many, "engine_lost", "denoising") == 1


def test_there_is_an_end_to_trying() -> None:
    many = [("engine_lost", str(number)) for number in range(LAST_RUNG + 1)]
    assert rung_after(job(*many[:-1], rung=LAST_RUNG), "out_of_ram", "decoding") == LAST_RUNG
    assert rung_after(job(*many, rung=LAST_RUNG), "out_of_ram", "decoding") is None


def test_only_two_jobs_that_failed_alike_are_one_bad_setting() -> None:
    lost, again = Ended(job=1, code="engine_lost", detail="a"), Ended(job=2, code="engine_lost", detail="b")
    assert is_one_bad_setting([again, lost])
    assert not is_one_bad_setting([lost])
    assert not is_one_bad_setting([lost, lost])
    assert not is_one_bad_setting([lost, Ended(job=2, code="engine_hung", detail="a")])
    small, large = Ended(job=1, code="does_not_fit", detail="2048"), Ended(job=2, code="does_not_fit", detail="4096")
    assert not is_one_bad_setting([large, small])
    assert is_one_bad_setting([Ended(job=3, code="does_not_fit", detail="2048"), small])
