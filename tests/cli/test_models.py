"""`models`: a model is fetched, checked and removed by command, and what goes wrong has an exit code and words."""

import io
import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from darkroom.cli.here import HereStock
from darkroom.cli.models import check_models, get_model, list_models, remove_model
from darkroom.cli.terminal import Terminal
from darkroom.downloads.records import Beginning, Wanted
from darkroom.downloads.shelf import Shelf
from darkroom.errors import CommandRefused, DownloadFailed, InvalidRequest
from darkroom.history.database import Database, sqlite_url
from darkroom.jobs.queue import JobQueue
from tests.browser.server import DarkroomServer
from tests.cli.conftest import Command, Screen
from tests.downloads.conftest import CONTENT, Bench, bench, hub, make_bench, one_hub, settings_of, small
from tests.downloads.hub import Hub
from tests.history.examples import request

__all__ = ["bench", "hub", "make_bench", "one_hub"]

NO_SUCH = "no-such-model"


class Desk:
    """A stock, and a terminal that a test reads."""

    def __init__(self, bench: Bench) -> None:
        self.stock = HereStock(bench.shelf, bench.settings)
        self.out, self.err = io.StringIO(), io.StringIO()
        self.terminal = Terminal(as_json=True, out=self.out, err=self.err)

    @property
    def told(self) -> Any:
        return json.loads(self.out.getvalue())["models"]


@pytest.fixture
def desk(bench: Bench) -> Iterator[Desk]:
    """The demo's encoders ship; the model of the bench needs only its one file."""
    desk = Desk(bench)
    yield desk
    desk.stock.close()


def test_a_model_is_fetched_checked_and_removed(desk: Desk, bench: Bench) -> None:
    assert get_model(desk.stock, "small", "modelscope", desk.terminal) == 0
    assert bench.path.read_bytes() == CONTENT
    (told,) = desk.told
    assert (told["name"], told["status"]) == ("small", "here")
    desk.out.truncate(desk.out.seek(0))
    assert check_models(desk.stock, None, "modelscope", desk.terminal) == 0
    assert [file["status"] for file in desk.told[0]["files"]] == ["whole"]
    desk.out.truncate(desk.out.seek(0))
    assert remove_model(desk.stock, "small", "modelscope", desk.terminal, agreed=True) == 0
    assert not bench.path.exists()
    assert desk.err.getvalue() == ""


def test_one_is_fetched_into_a_store_and_another_folder_is_refused(hub: Hub, tmp_path: Path) -> None:
    assert hub.address
    settings = settings_of(tmp_path, own=[small()], stores=[tmp_path / "large"])
    stock, terminal = HereStock(Shelf(settings), settings), Terminal(as_json=True, out=io.StringIO())
    try:
        with pytest.raises(InvalidRequest, match="--into is /etc"):
            get_model(stock, "small", "modelscope", terminal, "/etc")
        assert get_model(stock, "small", "modelscope", terminal, str(tmp_path / "large")) == 0
    finally:
        stock.close()
    assert (tmp_path / "large" / "small" / "small.safetensors").read_bytes() == CONTENT


def test_a_damaged_file_is_named_and_mended(desk: Desk, bench: Bench) -> None:
    get_model(desk.stock, "small", "modelscope", desk.terminal)
    damaged = bytearray(CONTENT)
    damaged[1000] ^= 255
    bench.path.write_bytes(damaged)
    desk.out.truncate(desk.out.seek(0))
    assert check_models(desk.stock, "small", "modelscope", desk.terminal) == 1
    assert desk.told[0]["status"] == "damaged"
    assert "small/small.safetensors" in desk.err.getvalue()
    assert get_model(desk.stock, "small", "modelscope", desk.terminal) == 0
    assert bench.is_whole()


def test_what_the_hub_does_not_give_is_said_and_fails(desk: Desk, bench: Bench) -> None:
    bench.hub.files.clear()
    assert get_model(desk.stock, "small", "huggingface", desk.terminal) == 1
    assert "Hugging Face" in desk.err.getvalue()
    assert desk.told[0]["status"] == "failed"


def test_what_somebody_else_waits_for_is_not_begun(hub: Hub, tmp_path: Path) -> None:
    place = "others/small.safetensors"
    settings = settings_of(tmp_path, own=[small(), small(place, name="others")])
    shelf = Shelf(settings)
    shelf.records.want([Wanted(place=place, hub="modelscope", act="fetch")])
    with closing(HereStock(shelf, settings)) as stock:
        terminal = Terminal(as_json=True, out=io.StringIO(), err=io.StringIO())
        assert get_model(stock, "small", "modelscope", terminal) == 0
    assert [(wanted.place, wanted.rest) for wanted in shelf.records.wanted()] == [(place, "waiting")]
    assert not (settings.folders.models / place).exists()
    assert hub.sent == len(CONTENT)


def test_of_one_at_a_place_that_is_only_read_nothing_is_offered_but_its_place(hub: Hub, tmp_path: Path) -> None:
    settings = settings_of(tmp_path, own=[small(str(tmp_path / "there.safetensors"))])
    with closing(HereStock(Shelf(settings), settings)) as stock:
        (shown,) = (each for each in stock.models("modelscope")["models"] if each["name"] == "small")
        assert (shown["acts"], shown["words"]["size"]) == ([], "")
        assert f"{tmp_path / 'there.safetensors'} does not lie in the models folder" in shown["words"]["trouble"]
        terminal = Terminal(as_json=True, out=io.StringIO(), err=io.StringIO())
        with pytest.raises(CommandRefused, match="Put the file there yourself"):
            get_model(stock, "small", "modelscope", terminal)
    assert hub.requests == []


def test_one_that_nobody_knows_is_refused_with_the_names_there_are(desk: Desk) -> None:
    for act in (get_model, check_models):
        with pytest.raises(CommandRefused, match=r"flux1-dev.*demo.*small"):
            act(desk.stock, NO_SUCH, "modelscope", desk.terminal)


def test_what_is_not_here_is_neither_checked_nor_removed(desk: Desk) -> None:
    with pytest.raises(CommandRefused, match="Not here"):
        check_models(desk.stock, "small", "modelscope", desk.terminal)
    with pytest.raises(CommandRefused, match="Not here"):
        remove_model(desk.stock, "small", "modelscope", desk.terminal, agreed=True)
    with pytest.raises(DownloadFailed, match="comes with Darkroom, and stays"):
        remove_model(desk.stock, "demo", "modelscope", desk.terminal, agreed=True)


def test_nothing_is_removed_without_consent(desk: Desk, bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    get_model(desk.stock, "small", "modelscope", desk.terminal)
    with pytest.raises(InvalidRequest, match="--yes"):
        remove_model(desk.stock, "small", "modelscope", desk.terminal, agreed=False)
    screen, keyboard = Screen(), Screen("n\ny\n")
    monkeypatch.setattr("sys.stdin", keyboard)
    asking = Terminal(as_json=False, out=io.StringIO(), err=screen)
    with pytest.raises(CommandRefused, match="Nothing was removed"):
        remove_model(desk.stock, "small", "modelscope", asking, agreed=False)
    assert bench.path.exists()
    assert remove_model(desk.stock, "small", "modelscope", asking, agreed=False) == 0
    assert not bench.path.exists()
    assert "3.0 MB" in screen.getvalue()


def test_who_waits_for_a_model_is_named_before_it_is_removed(
    desk: Desk, bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    get_model(desk.stock, "small", "modelscope", desk.terminal)
    assert desk.stock.needs("small") == ""
    history = bench.settings.folders.history
    assert not history.exists()
    with closing(Database(sqlite_url(history))) as database:
        database.open()
        jobs = [JobQueue(database).submit(request(model=name)).id for name in ("small", "demo")]
    screen = Screen()
    monkeypatch.setattr("sys.stdin", Screen("n\n"))
    with pytest.raises(CommandRefused, match="Nothing was removed"):
        remove_model(
            desk.stock, "small", "modelscope", Terminal(as_json=False, out=io.StringIO(), err=screen), agreed=False
        )
    assert f"#{jobs[0]}" in screen.getvalue()
    assert f"#{jobs[1]}" not in screen.getvalue()


def test_of_a_model_whose_file_cannot_be_had_the_name_is_said(hub: Hub, tmp_path: Path) -> None:
    nowhere = {"repository": "someone/nothing", "path": "x.safetensors"}
    settings = settings_of(tmp_path, own=[small(), small("other/other.safetensors", name="other", modelscope=nowhere)])
    screen = io.StringIO()
    with closing(HereStock(Shelf(settings), settings)) as stock:
        terminal = Terminal(as_json=False, out=io.StringIO(), err=screen)
        assert get_model(stock, "other", "modelscope", terminal) == 1
        assert get_model(stock, "small", "modelscope", terminal) == 0
    assert "other.safetensors" in screen.getvalue()
    assert hub.sent == len(CONTENT)


def test_a_darkroom_that_runs_fetches_checks_and_removes_it(
    root: Path, tmp_path: Path, hub: Hub, command: Command
) -> None:
    server = DarkroomServer(root, tmp_path)
    (tmp_path / "models").mkdir()
    (tmp_path / "models" / "demo").symlink_to(root / "models" / "demo")
    config = {"folders": {"history": "history"}, "engine": {"device": "cpu"}, "models": {"own": [small()]}}
    (tmp_path / "config.yaml").write_text(json.dumps(config), encoding="utf-8")
    path = tmp_path / "models" / "small" / "small.safetensors"
    server.start()
    try:
        got = command("models", "get", "small", "--from", "huggingface")
        assert (got.code, got.out, got.err) == (0, "small: Here\n", "")
        assert path.read_bytes() == CONTENT
        assert {headers["host"] for _, _, headers in hub.requests} == {hub.address[7:], hub.storage[7:]}
        assert command("models", "check", "small").code == 0
        assert command("models", "remove", "small").code == 2
        assert command("models", "remove", "small", "--yes").code == 0
        assert not path.exists()
        hub.files.clear()
        failed = command("models", "get", "small", "--json")
        assert (failed.code, failed.json["models"][0]["status"]) == (1, "failed")
    finally:
        server.close()


@pytest.mark.skipif(sys.platform == "win32", reason="a shell's business")
@pytest.mark.parametrize(
    ("output", "code", "err"),
    [
        ("| head -1 >/dev/null; exit ${PIPESTATUS[0]}", 0, ""),
        (">/dev/full", 1, "The result could not be written: No space left on device.\n"),
        (">&-", 0, ""),
        (">&- 2>&- <&-", 0, ""),
    ],
)
def test_a_stream_that_nobody_reads_ends_a_command_without_a_traceback(
    root: Path, command: Command, tmp_path: Path, output: str, code: int, err: str
) -> None:
    assert command("models", "list").code == 0  # the settings are written
    line = f"'{sys.executable}' app.py --config '{tmp_path}/config.yaml' models list {output}"
    run = subprocess.run(["bash", "-c", line], cwd=root, capture_output=True, text=True, timeout=60)
    assert (run.returncode, run.stderr) == (code, err)


def test_the_list_asks_nobody(desk: Desk, bench: Bench) -> None:
    screen = io.StringIO()
    assert list_models(desk.stock, "modelscope", Terminal(as_json=False, out=screen, err=screen)) == 0
    assert "small" in screen.getvalue()
    assert "may not be used commercially" in screen.getvalue()
    assert bench.hub.requests == []


def test_an_interrupted_fetch_rests_and_the_same_command_goes_on_with_it(desk: Desk, bench: Bench) -> None:
    class Impatient(Terminal):
        def progress(self, text: str) -> None:
            if text and bench.part.exists() and bench.part.stat().st_size > len(CONTENT) // 4:
                raise KeyboardInterrupt

    bench.hub.trouble.slowness = 0.003
    with pytest.raises(KeyboardInterrupt):
        get_model(desk.stock, "small", "modelscope", Impatient(as_json=True, out=desk.out, err=desk.err))
    assert [(wanted.place, wanted.rest) for wanted in bench.shelf.records.wanted()] == [
        (str(bench.file.place), "paused")
    ]
    bench.hub.trouble.slowness = 0
    assert get_model(desk.stock, "small", "modelscope", desk.terminal) == 0
    assert bench.is_whole()
    assert bench.began_at()[1] > 0


def test_of_what_rests_nobody_says_it_is_full(desk: Desk, bench: Bench) -> None:
    def shown() -> dict[str, Any]:
        return next(each for each in desk.stock.models("modelscope")["models"] if each["name"] == "small")

    place = str(bench.file.place)
    bench.part.parent.mkdir(parents=True)
    bench.part.write_bytes(CONTENT[:1_000_000])
    bench.shelf.records.want([Wanted(place=place, hub="modelscope", act="fetch", rest="paused")])
    assert (shown()["status"], shown()["progress"]) == ("paused", None)
    assert "said by the hub" in shown()["words"]["size"]
    bench.shelf.records.begin(place, Beginning(mark="x", size=4_000_000))
    assert shown()["progress"] == 0.25
    assert shown()["words"]["size"] == "3.0 MB to get, 4.0 MB in all"


def test_progress_is_shown_to_eyes_only(desk: Desk, bench: Bench) -> None:
    bench.hub.trouble.slowness = 0.003
    screen = Screen()
    assert get_model(desk.stock, "small", "modelscope", Terminal(as_json=False, out=io.StringIO(), err=screen)) == 0
    assert "%" in screen.getvalue()
    assert "of 3" in screen.getvalue()


def test_the_command_lists_what_ships_and_has_nothing_to_check_in_it(command: Command) -> None:
    run = command("models", "list", "--json")
    assert run.code == 0
    assert {each["name"]: each["status"] for each in run.json["models"]}["demo"] == "here"
    checked = command("models", "check")
    assert (checked.code, checked.out) == (0, "There is nothing to check.\n")


def test_a_command_loads_neither_torch_nor_the_page(root: Path) -> None:
    program = "import sys, darkroom.cli.command; print(*{'torch', 'gradio', 'diffsynth'} & sys.modules.keys())"
    run = subprocess.run([sys.executable, "-c", program], cwd=root, capture_output=True, text=True, check=True)
    assert run.stdout.split() == []
