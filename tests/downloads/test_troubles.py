"""Whatever a hub, a line or a disk does wrong: it is said in words, and nothing half is ever used."""

import errno
import time
from dataclasses import replace
from pathlib import Path

import pytest

from darkroom.catalog import DEMO
from darkroom.downloads.folder import ModelsFolder
from darkroom.downloads.transfer import Patience
from darkroom.errors import DownloadFailed
from tests.downloads.conftest import HUBS, QUICK, REPOSITORY, SIZE, SOON, Bench, MakeBench
from tests.downloads.hub import LOG_IN_PAGE


@pytest.mark.parametrize("which", HUBS)
@pytest.mark.parametrize(("status", "reason"), [(401, "login"), (403, "gated"), (404, "not_there"), (418, "hub_fault")])
def test_a_refusal_is_said_at_once(bench: Bench, which: str, status: int, reason: str) -> None:
    bench.hub.trouble.statuses = [status] * 3
    assert bench.fetch(which) == reason
    assert len(bench.hub.trouble.statuses) == 2
    assert [path for _, path, _ in bench.hub.requests if REPOSITORY not in path] == []
    assert not bench.path.exists()


@pytest.mark.parametrize("which", HUBS)
@pytest.mark.parametrize(("status", "reason"), [(429, "busy"), (500, "hub_fault"), (503, "hub_fault")])
def test_a_hub_in_trouble_is_asked_again_and_not_for_ever(bench: Bench, which: str, status: int, reason: str) -> None:
    bench.hub.trouble.statuses = [status] * 2
    assert bench.fetch(which) == ""
    assert bench.is_whole()
    bench.path.unlink()
    bench.hub.trouble.statuses = [status] * 99
    assert bench.fetch(which) == reason
    bench.hub.trouble.statuses = []
    bench.downloads.resume([str(bench.file.place)])
    assert bench.downloads.wait(SOON)
    assert bench.is_whole()


def test_a_hub_that_wants_a_wait_gets_it_within_reason(make_bench: MakeBench) -> None:
    bench = make_bench(Patience(waits=(0.0, 0.0), longest=0.3, reserve=1))
    bench.hub.trouble.storage_statuses = [429]
    bench.hub.trouble.retry_after = "3600"
    began = time.monotonic()
    assert bench.fetch() == ""
    assert time.monotonic() - began >= 0.3


def test_storage_whose_address_has_run_out_is_found_anew(bench: Bench) -> None:
    bench.hub.trouble.storage_statuses = [403]
    assert bench.fetch("huggingface") == ""
    assert bench.is_whole()


def test_a_gated_repository_asks_for_its_licence_and_opens_with_a_token(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    bench.hub.trouble.gated, bench.hub.trouble.token = True, "hf_secret"
    assert bench.fetch("huggingface") == "gated"
    (task,) = bench.downloads.tasks()
    assert task.trouble is not None
    assert task.trouble.details["link"] == f"{bench.hub.address}/{REPOSITORY}"
    monkeypatch.setenv("HF_TOKEN", "hf_secret")
    bench.downloads.resume([task.place])
    assert bench.downloads.wait(SOON)
    assert bench.is_whole()
    said = " ".join(caplog.messages) + (bench.settings.folders.models / ".darkroom/downloads.json").read_text()
    assert "hf_secret" not in said
    assert "signature" not in said


def test_a_token_goes_to_its_hub_alone(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_TOKEN", "hf_secret")
    monkeypatch.setenv("MODELSCOPE_API_TOKEN", "ms_secret")
    bench.fetch("huggingface")
    assert "ms_secret" not in str(bench.hub.requests)
    assert not any("hf_secret" in str(headers) for _, path, headers in bench.hub.requests if "signature" in path)
    bench.path.unlink()
    bench.hub.requests.clear()
    bench.fetch("modelscope")
    assert "hf_secret" not in str(bench.hub.requests)
    assert not any("ms_secret" in str(headers) for _, path, headers in bench.hub.requests if "signature" in path)
    assert any("ms_secret" in str(headers) for _, _, headers in bench.hub.requests)


@pytest.mark.parametrize("which", HUBS)
def test_bytes_that_arrive_wrong_are_fetched_once_more_and_then_refused(bench: Bench, which: str) -> None:
    bench.hub.trouble.wrong_bytes = 1
    assert bench.fetch(which) == ""
    assert bench.is_whole()
    bench.path.unlink()
    bench.hub.trouble.wrong_bytes = 99
    assert bench.fetch(which) == "damaged"
    assert not bench.path.exists()
    assert not bench.part.exists()


@pytest.mark.parametrize("which", HUBS)
def test_another_file_than_the_one_that_is_known_is_not_fetched(make_bench: MakeBench, which: str) -> None:
    bench = make_bench(sha256="ab" * 32)
    assert bench.fetch(which) == "differs"
    assert bench.hub.sent == 0


@pytest.mark.parametrize("which", HUBS)
def test_a_hub_that_names_another_checksum_is_not_believed(make_bench: MakeBench, which: str) -> None:
    bench = make_bench()
    bench.hub.trouble.wrong_listing = True
    assert bench.fetch(which) == "damaged"
    assert not bench.path.exists()


def test_without_ranges_what_is_here_is_kept_all_the_same(bench: Bench) -> None:
    bench.hub.trouble.no_ranges = True
    bench.hub.trouble.cuts = [SIZE // 2, SIZE // 3, SIZE - 1]
    assert bench.fetch() == ""
    assert bench.is_whole()


@pytest.mark.parametrize("which", HUBS)
def test_a_log_in_page_in_place_of_the_hub_is_a_fault_of_the_hub(bench: Bench, which: str) -> None:
    bench.hub.trouble.log_in_page = True
    assert bench.fetch(which) == "hub_fault"
    assert not bench.path.exists()
    bench.hub.trouble.log_in_page = False
    bench.downloads.resume([str(bench.file.place)])
    assert bench.downloads.wait(SOON)
    assert bench.is_whole()


def test_without_a_checksum_what_arrives_is_at_least_a_file_of_weights(bench: Bench) -> None:
    bench.hub.trouble.no_checksums = True
    bench.hub.put(REPOSITORY, "small.safetensors", LOG_IN_PAGE)
    assert bench.fetch("huggingface") == "damaged"
    assert not bench.path.exists()
    whole = (Path(__file__).parents[2] / "models" / DEMO.files.vae).read_bytes()
    bench.hub.put(REPOSITORY, "small.safetensors", whole)
    assert bench.fetch("huggingface") == ""
    assert bench.path.read_bytes() == whole


@pytest.mark.parametrize(
    ("which", "variable", "value"),
    [
        ("huggingface", "HF_TOKEN", "\N{LEFT DOUBLE QUOTATION MARK}hf_secret\N{RIGHT DOUBLE QUOTATION MARK}"),
        ("modelscope", "MODELSCOPE_API_TOKEN", "ms_secret\nother"),
        ("modelscope", "MODELSCOPE_ENDPOINT", "http://[bad"),
        ("modelscope", "MODELSCOPE_ENDPOINT", "www.modelscope.cn"),
        ("huggingface", "HF_ENDPOINT", "http://127.0.0.1:99999"),
        ("huggingface", "HF_ENDPOINT", "https://模型.example"),
    ],
)
def test_a_variable_that_no_request_can_hold_is_named(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, which: str, variable: str, value: str
) -> None:
    with monkeypatch.context() as wrong:
        wrong.setenv(variable, value)
        assert bench.fetch(which) == "variable"
        (task,) = bench.downloads.tasks()
        assert task.trouble is not None
        assert variable in str(task.trouble)
        assert "secret" not in str(task.trouble)
    bench.downloads.resume([task.place])
    assert bench.downloads.wait(SOON)
    assert bench.is_whole()


def test_a_fault_of_ours_fails_that_file_and_the_next_one_comes(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def broken(*_: object) -> None:
        raise ZeroDivisionError

    with monkeypatch.context() as wrong:
        wrong.setattr("darkroom.downloads.transfer.Transfer.fetch", broken)
        assert bench.fetch() == "hub_fault"
    assert "ZeroDivisionError" in caplog.text
    bench.downloads.resume([str(bench.file.place)])
    assert bench.downloads.wait(SOON)
    assert bench.is_whole()


def test_a_hub_that_is_not_there_is_said_to_be_so(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HF_ENDPOINT", "MODELSCOPE_ENDPOINT"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    assert [bench.fetch(which) for which in HUBS] == ["offline", "offline"]


@pytest.mark.parametrize("variable", ["HF_HUB_OFFLINE", "DIFFSYNTH_SKIP_DOWNLOAD"])
def test_offline_is_a_mode(bench: Bench, monkeypatch: pytest.MonkeyPatch, variable: str) -> None:
    monkeypatch.setenv(variable, "True")
    assert bench.fetch() == "offline_wanted"
    assert bench.hub.requests == []


def test_a_disk_that_is_too_small_is_seen_before_the_first_byte(bench: Bench) -> None:
    with pytest.MonkeyPatch.context() as small_disk:
        small_disk.setattr(ModelsFolder, "free", lambda *_: SIZE - 1)
        assert bench.fetch() == "disk_full"
    (task,) = bench.downloads.tasks()
    assert task.trouble is not None
    assert task.trouble.details["needed"] == "3.0 MB"
    assert bench.hub.sent == 0
    bench.downloads.resume([task.place])
    bench.downloads.wait(SOON)
    assert bench.is_whole()


def test_a_disk_that_fills_up_on_the_way_keeps_what_has_arrived(
    make_bench: MakeBench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("darkroom.downloads.transfer.LOOK_AT_DISK", 1 << 20)
    bench = make_bench(replace(QUICK, reserve=1000))
    with pytest.MonkeyPatch.context() as filling_disk:
        free = iter([SIZE * 2])
        filling_disk.setattr(ModelsFolder, "free", lambda *_: next(free, 499))
        assert bench.fetch() == "disk_full"
    kept = bench.part.stat().st_size
    assert kept >= 1 << 20
    bench.downloads.resume([str(bench.file.place)])
    bench.downloads.wait(SOON)
    assert bench.is_whole()
    assert bench.began_at() == [0, kept]


def test_what_the_disk_itself_refuses_is_said(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("darkroom.downloads.transfer.os.fsync", full)
    assert bench.fetch() == "disk_full"
    assert not bench.path.exists()


@pytest.mark.parametrize("name", ["../../outside.safetensors", "/etc/outside.safetensors", "C:\\outside.safetensors"])
def test_names_on_a_hub_are_never_paths_here(bench: Bench, name: str, tmp_path: Path) -> None:
    bench.hub.extra_names = (name,)
    assert bench.fetch() == ""
    assert {path.name for path in tmp_path.rglob("*.safetensors")} == {"small.safetensors"}


def test_a_folder_that_is_a_link_to_elsewhere_is_not_written_to(bench: Bench, tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    bench.path.parent.parent.mkdir(parents=True)
    bench.path.parent.symlink_to(tmp_path / "elsewhere")
    assert bench.fetch() == "outside"
    assert list((tmp_path / "elsewhere").iterdir()) == []


def test_every_reason_has_a_sentence() -> None:
    for reason in DownloadFailed.SENTENCES:
        assert "{" not in str(DownloadFailed(reason, file="a", hub="b", link="c", needed="d", free="e"))
