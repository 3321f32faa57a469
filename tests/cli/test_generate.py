"""`generate`: the picture is in the file and in the history, whether a Darkroom runs or not, and a refusal says why."""

import json
import signal
import subprocess
import sys
import time
from argparse import Namespace
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

import app
from darkroom.catalog import DEMO
from darkroom.cli.arguments import read_arguments
from darkroom.cli.generate import wish_of
from darkroom.config import FolderSettings, Settings
from darkroom.errors import InvalidRequest
from darkroom.history.database import Database, sqlite_url
from darkroom.history.library import Library
from darkroom.history.lock import FolderLock
from darkroom.jobs.queue import JobQueue
from darkroom.origins import loras_of
from darkroom.request import parse_request
from tests.browser.server import DarkroomServer
from tests.cli.conftest import Command

SMALL = ("--steps", "2", "--width", "256", "--height", "256")
LONG = "a red house by a lake, " * 40
OTHER: dict[str, Any] = {
    "prompt": "somebody else's",
    "seed": 1,
    "steps": 2,
    "guidance": 3.5,
    "width": 256,
    "height": 256,
    "model": "demo",
}


def said(*words: str) -> Namespace:
    return read_arguments(["generate", *words], Path("config.yaml"))


def history_of(folder: Path) -> tuple[Database, JobQueue, Library]:
    (folder / "history").mkdir(exist_ok=True)
    database = Database(sqlite_url(folder / "history"))
    database.open()
    return database, JobQueue(database), Library(database, folder / "history")


def pixels(file: Path) -> bytes:
    with Image.open(file) as image:
        return image.tobytes()


def test_a_picture_is_in_the_file_and_in_the_history_and_other_jobs_still_wait(
    command: Command, tmp_path: Path
) -> None:
    database, queue, _ = history_of(tmp_path)
    other = queue.submit(parse_request(OTHER))
    database.close()
    out = tmp_path / "x.png"

    run = command("generate", "a red house", "--seed", "7", "--lora", "ink:0.7", *SMALL, "--out", str(out))
    assert (run.code, run.out, run.err) == (0, f"{out}\n", "")

    database, queue, library = history_of(tmp_path)
    (picture,) = library.page()
    assert library.picture_path(picture.id).read_bytes() == out.read_bytes()
    assert (picture.request.prompt, picture.request.seed, picture.request.steps) == ("a red house", 7, 2)
    assert [(use.name, use.weight) for use in picture.request.loras] == [("ink", 0.7)]
    assert picture.facts["model_file"] == str(DEMO.files.transformer)
    assert len(str(picture.facts["model_sha256"])) == 64
    assert [lora.name for lora in loras_of(picture.facts)] == ["ink"]
    assert queue.get(other.id).state == "waiting"
    assert queue.get(other.id).attempts == 0
    database.close()
    assert not (tmp_path / "history" / "server.address").exists()


def test_a_darkroom_that_runs_makes_the_pictures_and_a_value_out_of_range_is_refused_by_it(
    root: Path, tmp_path: Path, command: Command
) -> None:
    server = DarkroomServer(root, tmp_path)
    server.start()
    try:
        out = tmp_path / "x.png"
        run = command("generate", "a red house", "--seed", "7", "--count", "2", *SMALL, "--out", str(out), "--json")
        assert (run.code, run.err) == (0, "")
        assert [(each["seed"], each["file"]) for each in run.json["pictures"]] == [
            (7, str(tmp_path / "x-1.png")),
            (8, str(tmp_path / "x-2.png")),
        ]
        assert run.json["failed"] == []
        assert run.json["prompt"]["unread"] == ""
        assert 0 < run.json["prompt"]["tokens"] < run.json["prompt"]["most_tokens"]
        assert pixels(tmp_path / "x-1.png") != pixels(tmp_path / "x-2.png")
        long = command("generate", LONG, *SMALL, "--json")
        assert long.code == 0
        assert long.err.strip() == long.json["prompt"]["unread"] != ""
        refused = command("generate", "a red house", "--steps", "1000", "--json")
        assert refused.code == 2
        assert "steps is 1000" in refused.err
        assert refused.json["error"] == "invalid_request"
        listed = command("models", "list", "--json")
        assert listed.json["models"][-1]["name"] == "demo"
        assert command("models", "remove", "demo", "--yes").code == 1
    finally:
        server.close()


def test_a_paused_queue_is_named_and_nothing_is_begun(command: Command, tmp_path: Path) -> None:
    database, queue, _ = history_of(tmp_path)
    queue.pause_queue()
    run = command("generate", "a red house", *SMALL, "--json")
    assert run.code == 1
    assert run.json["error"] == "queue_paused"
    assert "--resume" in run.err
    assert queue.unfinished_ids() == []
    resumed = command("generate", "a red house", *SMALL, "--resume")
    assert resumed.code == 0
    assert Path(resumed.out.strip()).is_file()
    assert not queue.state().paused
    database.close()


def test_what_cannot_be_made_fails_with_its_reason_and_the_rest_is_not_tried(
    root: Path, tmp_path: Path, command: Command
) -> None:
    broken = tmp_path / "models" / "broken" / "broken.safetensors"
    broken.parent.mkdir(parents=True)
    broken.write_bytes(b"no weights at all")
    (tmp_path / "models" / "demo").symlink_to(root / "models" / "demo")
    own = "[{name: broken, file: broken/broken.safetensors, like: demo}]"
    config = f"folders: {{history: history}}\nengine: {{device: cpu}}\nmodels: {{own: {own}}}\n"
    (tmp_path / "config.yaml").write_text(config, encoding="utf-8")
    run = command("generate", "a red house", *SMALL, "--model", "broken", "--count", "3", "--json")
    assert run.code == 1
    assert run.json["pictures"] == []
    assert [each["state"] for each in run.json["failed"]] == ["failed", "failed", "cancelled"]
    assert run.json["failed"][0]["error"] == "model_unusable"
    assert "broken.safetensors" in run.json["failed"][0]["words"]
    assert "broken.safetensors" in run.err
    assert "{" not in run.err
    assert "The queue is paused" in run.err


def test_a_prompt_that_is_not_read_to_its_end_is_made_and_said(command: Command) -> None:
    run = command("generate", f"{LONG} <lora:ink:0.5>", *SMALL, "--json")
    assert run.code == 0
    assert len(run.json["pictures"]) == 1
    told = run.json["prompt"]
    assert told["tokens"] > told["most_tokens"] == 96
    assert told["unread"].startswith("From “")
    assert told["unread"].endswith("tokens too many.")
    assert run.err == told["unread"] + "\n"


def test_a_history_that_another_command_works_on_is_refused(command: Command, tmp_path: Path) -> None:
    with FolderLock(tmp_path / "history"):
        run = command("generate", "a red house", *SMALL)
    assert run.code == 1
    assert len(run.err.splitlines()) == 1
    assert "another Darkroom is running on it" in run.err


@pytest.mark.skipif(sys.platform == "win32", reason="signals are not sent there")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_command_that_is_interrupted_leaves_no_job(root: Path, tmp_path: Path, number: int, command: Command) -> None:
    assert command("models", "list").code == 0  # the settings are written
    line = [sys.executable, "app.py", "--config", str(tmp_path / "config.yaml"), "generate", "a house", "--json"]
    process = subprocess.Popen(
        [*line, "--steps", "100"],
        cwd=root,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        # Tests that a shell runs in the background ignore Ctrl + C, and so would what they start.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    database, queue, library = history_of(tmp_path)
    until = time.monotonic() + 60
    while queue.counts().get("running", 0) == 0:
        assert time.monotonic() < until
        time.sleep(0.05)
    process.send_signal(number)
    out, err = process.communicate(timeout=60)
    assert (process.returncode, err) == (1, "Stopped.\n")
    assert json.loads(out)["error"] == "stopped"
    assert [job.state for job in queue.page(limit=5)] == ["cancelled"]
    assert library.page() == ()
    database.close()


def test_only_what_was_said_is_ordered() -> None:
    assert wish_of(said("a house")).values == {"prompt": "a house"}
    loras = [{"name": "ink", "weight": 1.0}, {"name": "drawings/oil", "weight": -0.5}]
    wish = wish_of(said("a house", "--lora", "ink", "--lora", "drawings/oil:-0.5", "--cfg-scale", "2"))
    assert wish.values == {"prompt": "a house", "loras": loras, "cfg_scale": 2.0}


@pytest.mark.parametrize("name", ["x.jpg", "no/such/folder/x.png", "x", f"{'x' * 300}.png"])
def test_a_file_that_cannot_be_written_is_refused_before_anything_is_made(name: str, tmp_path: Path) -> None:
    with pytest.raises(InvalidRequest, match="--out"):
        wish_of(said("a house", "--out", str(tmp_path / name)))


@pytest.mark.parametrize(
    "words",
    [
        ("--steps", "many"),
        ("--guidance", "nan"),
        ("--lora", "ink:strong"),
        ("--no-such-thing",),
    ],
)
def test_what_cannot_be_understood_ends_with_2(words: tuple[str, ...], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        said("a house", *words)
    assert ended.value.code == 2
    err = capsys.readouterr().err
    assert words[0].lstrip("-") in err
    assert "_" not in err.rpartition("error:")[2]


@pytest.mark.parametrize("command", ["generate", "models"])
def test_help_can_be_read_on_any_terminal(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        read_arguments([command, "--help"], Path("config.yaml"))
    assert capsys.readouterr().out.isascii()


def test_who_stops_it_before_it_has_begun_sees_no_traceback(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("darkroom.cli.command.carry_out", interrupted)
    # With which the process ends: a line on the terminal, and exit code 1.
    assert app.main() == "Stopped."


def test_the_address_of_a_server_is_known_while_it_holds_the_history(tmp_path: Path) -> None:
    settings = Settings(folders=FolderSettings(history=tmp_path))
    asking = FolderLock(settings.folders.history)
    with FolderLock(tmp_path, "http://127.0.0.1:6006"):
        assert asking.address_of_holder() == "http://127.0.0.1:6006"
    assert asking.address_of_holder() == ""
    # One that was killed has left its own.
    (tmp_path / "server.address").write_text("http://127.0.0.1:1", encoding="utf-8")
    with FolderLock(tmp_path):
        assert asking.address_of_holder() == ""
