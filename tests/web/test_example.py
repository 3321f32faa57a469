"""The program in docs/api.md does what it says, on a server of its own."""

import re
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
import uvicorn

from tests.web.conftest import House

PROGRAM = re.compile(r"^```python\n(.+?)^```$", re.DOTALL | re.MULTILINE)


@pytest.mark.slow
def test_the_program_of_the_documentation_keeps_a_picture_of_each_line(
    house: House, root: Path, tmp_path: Path
) -> None:
    (program,) = PROGRAM.findall((root / "docs" / "api.md").read_text("utf-8"))
    assert len([line for line in program.splitlines() if line]) <= 30
    house.supervisor.start()
    server = uvicorn.Server(uvicorn.Config(house.app, port=0, log_level="warning"))
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    patient_until = time.monotonic() + 30
    while not (server.started and server.servers):
        assert time.monotonic() < patient_until
        time.sleep(0.05)
    port = server.servers[0].sockets[0].getsockname()[1]
    lines = tmp_path / "lines.txt"
    lines.write_text("a lake\n\n山上的{红色|蓝色}灯塔\n", "utf-8")
    arguments = [sys.executable, "-c", program, f"http://127.0.0.1:{port}", str(lines)]
    run = subprocess.run(arguments, capture_output=True, text=True, timeout=60, check=False)
    server.should_exit = True
    thread.join(20)
    assert run.returncode == 0, run.stderr
    assert "3 pictures were asked for" in run.stdout
    assert sorted(path.name for path in tmp_path.glob("*.png")) == ["1.png", "2.png", "3.png"]
    assert house.library.picture_path(1).read_bytes() == (tmp_path / "1.png").read_bytes()
