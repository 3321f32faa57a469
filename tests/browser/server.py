"""The real app.py in a process of its own, with its own settings, history and port. It outlives nothing."""

import os
import queue
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import httpx

SECONDS_TO_START = 60
SECONDS_TO_END = 30


class DarkroomServer:
    """Started by `start`, and again after `stop` or `kill`, each time at the same address."""

    def __init__(self, root: Path, folder: Path) -> None:
        self._root = root
        self._folder = folder
        self._process: subprocess.Popen[str] | None = None
        self._port = 0
        self.lines: list[str] = []
        (folder / "config.yaml").write_text(
            f"folders: {{models: '{(root / 'models').as_posix()}', history: history}}\nengine: {{device: cpu}}\n",
            encoding="utf-8",
        )

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self._port}"

    @property
    def history(self) -> Path:
        return self._folder / "history"

    @property
    def process_id(self) -> int:
        assert self._process is not None
        return self._process.pid

    @property
    def exit_code(self) -> int | None:
        return None if self._process is None else self._process.poll()

    @property
    def loaded_torch(self) -> bool:
        """Whether the server itself holds what only the engine may."""
        maps = Path("/proc") / str(self.process_id) / "maps"
        return maps.exists() and "torch" in maps.read_text()

    def start(self) -> None:
        environment = {name: value for name, value in os.environ.items() if "proxy" not in name.lower()}
        self._process = subprocess.Popen(
            [sys.executable, "app.py", "--config", str(self._folder / "config.yaml"), "--port", str(self._port)],
            cwd=self._root,
            env=environment | {"NO_PROXY": "*", "PYTHONUNBUFFERED": "1"},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            encoding="utf-8",
        )
        ready: queue.Queue[int] = queue.Queue()
        threading.Thread(target=self._read, args=(self._process, ready), daemon=True).start()
        self._port = ready.get(timeout=SECONDS_TO_START)
        assert self._port, "\n".join(self.lines)

    def stop(self) -> int:
        """SIGTERM, as a service manager does it; the exit code."""
        assert self._process is not None
        self._process.terminate()
        return self._process.wait(SECONDS_TO_END)

    def kill(self) -> None:
        """SIGKILL: no time for last words."""
        assert self._process is not None
        self._process.kill()
        self._process.wait(SECONDS_TO_END)

    def close(self) -> None:
        if self._process is not None and self._process.poll() is None:
            self.stop()

    def empty(self) -> None:
        """As a person would: no job, no failure, no picture, the queue open. An engine keeps its model."""
        with httpx.Client(base_url=self.address, timeout=SECONDS_TO_END, trust_env=False) as client:

            def ask(method: str, path: str, **options: Any) -> Any:
                return client.request(method, path, **options).raise_for_status().json()

            for job in ask("GET", "/api/jobs")["ids"]:
                ask("POST", f"/api/jobs/{job}/stop")
            patient_until = time.monotonic() + SECONDS_TO_END
            while ask("GET", "/api/jobs")["ids"]:
                assert time.monotonic() < patient_until, "a job did not stop"
                time.sleep(0.05)
            if ids := ask("GET", "/api/selection")["ids"]:
                ask("POST", "/api/selection/trash", json={"ids": ids})
            ask("DELETE", "/api/trash", params={"seen_at": ask("GET", "/api/trash")["seen_at"]})
            ask("POST", "/api/v1/queue/dismiss")
            ask("POST", "/api/v1/queue/resume")
            assert ask("GET", "/api/history")["pictures"] == ask("GET", "/api/prompts")["prompts"] == []
        assert [path for path in self.history.rglob("*") if path.suffix in (".png", ".webp")] == []

    def kill_engine(self, how: signal.Signals = signal.SIGKILL) -> None:
        """SIGKILL is somebody else's doing, SIGSEGV a fault of its own."""
        os.kill(self.engine_id(), how)

    @contextmanager
    def engine_held(self) -> Iterator[None]:
        """What the engine does lasts as long as a test needs to see it. It may be killed meanwhile."""
        engine = self.engine_id()
        os.kill(engine, signal.SIGSTOP)
        try:
            yield
        finally:
            with suppress(ProcessLookupError):
                os.kill(engine, signal.SIGCONT)

    def engine_id(self) -> int:
        listing = subprocess.run(
            ["ps", "-A", "-ww", "-o", "pid=,ppid=,args="], capture_output=True, text=True, check=True
        )
        for line in listing.stdout.splitlines():
            process, parent, arguments = line.split(maxsplit=2)
            if int(parent) == self.process_id and "spawn_main" in arguments:
                return int(process)
        raise AssertionError("no engine process runs")

    def _read(self, process: "subprocess.Popen[str]", ready: "queue.Queue[int]") -> None:
        assert process.stdout is not None
        for line in process.stdout:
            self.lines.append(line.rstrip())
            if line.startswith("Darkroom is ready: "):
                ready.put(int(line.rsplit(":", 1)[1]))
        ready.put(0)
