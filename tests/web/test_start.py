"""Starting and ending app.py, as a person or a service manager sees it."""

import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NoReturn

import pytest

from darkroom.cli.command import carry_out
from darkroom.config import Settings
from darkroom.errors import InvalidConfig
from darkroom.web.serve import address_of, listening_socket
from darkroom.web.server import host_names
from tests.browser.server import DarkroomServer

MOST_AT_REST = 250 * 1024  # KiB


@pytest.fixture
def taken() -> Iterator[int]:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        yield other.getsockname()[1]


def start(root: Path, folder: Path, *arguments: str, **variables: str) -> "subprocess.CompletedProcess[str]":
    (folder / "config.yaml").touch()
    command = [sys.executable, "app.py", "--config", str(folder / "config.yaml"), *arguments]
    environment = os.environ | variables
    return subprocess.run(command, cwd=root, capture_output=True, text=True, timeout=60, env=environment)


def test_a_taken_port_is_one_line_that_says_what_to_do(root: Path, tmp_path: Path, taken: int) -> None:
    run = start(root, tmp_path, "--port", str(taken))
    assert run.returncode == 2
    assert run.stdout == ""
    assert len(run.stderr.splitlines()) == 1
    assert f"port is {taken}, which another program uses" in run.stderr
    assert "--port" in run.stderr


def test_a_wrong_setting_is_one_line_that_names_it(root: Path, tmp_path: Path) -> None:
    (tmp_path / "config.yaml").write_text("server: {port: many}\n", encoding="utf-8")
    run = start(root, tmp_path)
    assert run.returncode == 2
    assert len(run.stderr.splitlines()) == 1
    assert "server.port is many" in run.stderr


def test_a_settings_file_that_was_named_and_is_not_there_is_one_line_and_nothing_is_made(
    root: Path, tmp_path: Path
) -> None:
    for words in (("--config", "none.yaml"), ("models", "list", "--config", "none.yaml")):
        command = [sys.executable, str(root / "app.py"), *words]
        run = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=60)
        assert run.returncode == 2
        assert run.stderr.endswith("--config is none.yaml; allowed: a file that is there\n")
        assert len(run.stderr.splitlines()) == 1
    assert list(tmp_path.iterdir()) == []


def test_the_page_answers_to_the_name_that_was_said_on_the_command_line(tmp_path: Path) -> None:
    served: list[tuple[Settings, str, int]] = []

    def wire(*_: object) -> NoReturn:
        raise AssertionError

    (tmp_path / "config.yaml").touch()
    words = ["--config", str(tmp_path / "config.yaml"), "--host", "studio.lan", "--port", "7000"]
    assert carry_out(words, tmp_path, lambda *said: served.append(said), wire) == 0
    ((settings, host, port),) = served
    assert (settings.server.host, settings.server.port) == (host, port) == ("studio.lan", 7000)
    assert host in host_names(settings.server.host)


@pytest.mark.parametrize("variable", ["ALL_PROXY", "https_proxy"])
def test_a_proxy_of_a_kind_that_nobody_knows_is_one_line_without_its_password(
    root: Path, tmp_path: Path, variable: str
) -> None:
    run = start(root, tmp_path, **{variable: "socks://me:hunter2@127.0.0.1:7890"})
    assert run.returncode == 2
    assert len(run.stderr.splitlines()) == 1
    assert f"{variable} is socks://" in run.stderr
    assert "hunter2" not in run.stderr


def test_a_socks_proxy_is_no_hindrance(root: Path) -> None:
    program = "import gradio, httpx2; httpx2.Client()"
    environment = os.environ | {"ALL_PROXY": "socks5://127.0.0.1:7890", "all_proxy": "socks5h://127.0.0.1:7890"}
    run = subprocess.run([sys.executable, "-c", program], cwd=root, capture_output=True, text=True, env=environment)
    assert run.returncode == 0, run.stderr


@pytest.mark.parametrize(
    ("host", "port"),
    [("127.0.0.1", 70_000), ("127.0.0.1", -1), ("203.0.113.7", 0), ("no such host", 0), ("a..b", 0)],
)
def test_an_address_that_cannot_be_had_is_named(host: str, port: int) -> None:
    with pytest.raises(InvalidConfig) as caught:
        listening_socket(host, port)
    assert {problem.field for problem in caught.value.problems} <= {"host", "port"}


@pytest.mark.parametrize("host", ["127.0.0.1", "0.0.0.0"])
def test_the_address_shown_can_be_opened_on_this_machine(host: str) -> None:
    with listening_socket(host, 0) as listener:
        assert address_of(listener) == f"http://127.0.0.1:{listener.getsockname()[1]}"


def test_a_short_answer_is_sent_at_once() -> None:
    with listening_socket("127.0.0.1", 0) as listener:
        # Where asyncio turns Nagle's algorithm off for what it accepts.
        assert listener.proto == socket.IPPROTO_TCP


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_a_server_at_rest_is_small_without_torch_and_ends_cleanly(root: Path, tmp_path: Path) -> None:
    server = DarkroomServer(root, tmp_path)
    server.start()
    try:
        process = Path("/proc") / str(server.process_id)
        status = dict(line.split(":", 1) for line in (process / "status").read_text().splitlines())
        assert int(status["VmRSS"].split()[0]) < MOST_AT_REST
        assert not server.loaded_torch
        lock_refusal = start(root, tmp_path, "--port", "0")
        assert lock_refusal.returncode == 2
        assert len(lock_refusal.stderr.splitlines()) == 1
    finally:
        server.close()
    assert server.exit_code == 0
    assert server.lines == [f"Darkroom is ready: {server.address}"]
