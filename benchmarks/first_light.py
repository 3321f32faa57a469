"""How long until the page answers, until the first demo picture, and until the next: on the CPU.

Run: python -m benchmarks.first_light. Prints a table. Must not know: how pictures are made.
"""

import os
import platform
import subprocess
import sys
import tempfile
import time
import urllib.request
from pathlib import Path

from playwright.sync_api import Page, sync_playwright

from tools.chromium import ARGUMENTS, HOW_TO_GET_ONE, find_chromium
from tools.running import darkroom

ROOT = Path(__file__).parent.parent
PATIENCE = 120_000  # milliseconds
WARM_PICTURES = 3
FINISHED_PICTURE = """() => {
  const image = document.querySelector(".print img:not(.preview)");
  return image?.complete && image.naturalWidth ? image.getAttribute("src") : null;
}"""

# In a process of its own, as the engine is: torch first, then what is to be timed.
LOADING = """
import time, torch
from pathlib import Path
from darkroom.catalog import DEMO
from darkroom.engine.flux import load_pipeline
from darkroom.engine.watcher import Watcher
began = time.perf_counter()
load_pipeline(DEMO, Path("models"), torch.device("cpu"), Watcher())
print(time.perf_counter() - began)
"""
MAKING = """
import time, torch
from pathlib import Path
from darkroom.catalog import DEMO
from darkroom.engine.flux import load_pipeline, make_picture
from darkroom.engine.watcher import Watcher
from darkroom.request import parse_request
pipeline = load_pipeline(DEMO, Path("models"), torch.device("cpu"), Watcher())
values = {"prompt": "a red lighthouse by the sea at sunset", "seed": 1, "steps": 8, "guidance": 3.5,
          "width": 512, "height": 512, "model": "demo"}
times = []
for _ in range(4):
    began = time.perf_counter()
    make_picture(pipeline, parse_request(values), Watcher())
    times.append(time.perf_counter() - began)
print(sorted(times[1:])[1])
"""


def main() -> int:
    chromium = find_chromium()
    if chromium is None:
        sys.exit(HOW_TO_GET_ONE)
    rows = [
        ("the model is loaded, once torch is imported", "≤ 3", _timed(LOADING)),
        ("512×512, 8 steps, the engine alone", "≤ 5", _timed(MAKING)),
    ]
    with tempfile.TemporaryDirectory() as history:
        began = time.perf_counter()
        with darkroom(Path(history)) as server, sync_playwright() as playwright:
            urllib.request.urlopen(server.address).read()
            rows.append(("`/` answers after `python app.py`", "≤ 3", time.perf_counter() - began))
            time.sleep(5)
            memory = resident_mebibytes(server.process_id)
            page = playwright.chromium.launch(executable_path=chromium, args=list(ARGUMENTS)).new_page()
            page.goto(server.address)
            page.wait_for_function("window.darkroom?.form?.restored")
            rows.append(("click to first picture, cold engine", "≤ 20", click_to_picture(page)))
            warm = sorted(click_to_picture(page) for _ in range(WARM_PICTURES))
            rows.append((f"click to picture, warm engine (median of {WARM_PICTURES})", "≤ 6", warm[len(warm) // 2]))
            page.close()
    sys.stdout.write(f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}\n\n")
    sys.stdout.write("| what | bar | measured |\n|---|---|---|\n")
    for what, bar, seconds in rows:
        sys.stdout.write(f"| {what} | {bar} s | {seconds:.1f} s |\n")
    sys.stdout.write(f"| memory of the server at rest | ≤ 250 MiB | {memory:.0f} MiB |\n")
    return 0


def click_to_picture(page: Page) -> float:
    """Seconds from the click until the page shows the picture, and not the one before."""
    before = page.evaluate(FINISHED_PICTURE)
    page.locator("#prompt textarea").fill("a red lighthouse by the sea at sunset")
    began = time.perf_counter()
    page.locator("#generate").click()
    page.wait_for_function(f"before => ![before, null].includes(({FINISHED_PICTURE})())", arg=before, timeout=PATIENCE)
    return time.perf_counter() - began


def resident_mebibytes(process_id: int) -> float:
    pages = int((Path("/proc") / str(process_id) / "statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20


def _timed(program: str) -> float:
    environment = os.environ | {"OMP_WAIT_POLICY": "passive", "PYTHONPATH": str(ROOT)}
    run = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, env=environment, capture_output=True, text=True, check=True
    )
    return float(run.stdout.split()[-1])


if __name__ == "__main__":
    sys.exit(main())
