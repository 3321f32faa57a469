"""The page's bars, measured in Chromium: opening it, ten thousand pictures, watching one being made, and a cut tunnel.

Run: python -m benchmarks.page_bars history FOLDER (of history_of_10000), or opening, watching, tunnel. Nothing of
FOLDER is changed. Must not know: how a page is built.
"""

import argparse
import json
import statistics
import sys
import tempfile
import threading
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from playwright.sync_api import Browser, Page, sync_playwright

from tests.browser.server import DarkroomServer
from tests.browser.tunnel import Tunnel
from tools.chromium import ARGUMENTS, HOW_TO_GET_ONE, find_chromium

ROOT = Path(__file__).parent.parent
CUT_SECONDS = 20
LONG_PICTURE = {"prompt": "a lighthouse by the sea", "steps": "60", "width": "512", "height": "512"}
COLLECTED = "document.querySelectorAll('.sheet .tile').length"


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("history").add_argument("folder", type=Path)
    commands.add_parser("opening")
    commands.add_parser("watching")
    commands.add_parser("tunnel")
    arguments = parser.parse_args()
    chromium = find_chromium()
    if chromium is None:
        sys.exit(HOW_TO_GET_ONE)
    with sync_playwright() as playwright, tempfile.TemporaryDirectory() as folder:
        browser = playwright.chromium.launch(executable_path=chromium, args=[*ARGUMENTS, "--js-flags=--expose-gc"])
        if arguments.command == "history":
            measure_history(browser, Path(folder), arguments.folder.resolve())
        elif arguments.command == "opening":
            measure_opening(browser, Path(folder))
        elif arguments.command == "watching":
            measure_watching(browser, Path(folder))
        else:
            measure_tunnel(browser, Path(folder))
        browser.close()


@contextmanager
def darkroom(folder: Path, history: Path | None = None) -> Iterator[DarkroomServer]:
    server = DarkroomServer(ROOT, folder)
    if history is not None:
        server.history.symlink_to(history)
    server.start()
    yield server
    server.close()


def say(name: str, value: str, bar: str) -> None:
    sys.stdout.write(f"{name:52}{value:>12}   bar: {bar}\n")


# --- opening the page, and the first click

INTERACTIVE = "window.darkroom?.form?.restored && darkroom.words"
MILLISECONDS_TO_A_SIGN = """() => new Promise((done) => {
  const began = performance.now();
  new MutationObserver((_, seen) => { seen.disconnect(); done(performance.now() - began); })
    .observe(document.body, { subtree: true, childList: true, attributes: true, characterData: true });
  document.querySelector("button#generate").click();
})"""


def measure_opening(browser: Browser, folder: Path) -> None:
    """A new browser each time; the first opening, which fills the server's own caches, is left out."""
    opened, answered = [], []
    with darkroom(folder) as server:
        for _ in range(8):
            context = browser.new_context(viewport={"width": 1280, "height": 860})
            page = context.new_page()
            began = time.monotonic()
            page.goto(server.address)
            page.wait_for_function(INTERACTIVE)
            opened.append(time.monotonic() - began)
            answered.append(page.evaluate(MILLISECONDS_TO_A_SIGN))
            page.locator(".watch[data-activity]").wait_for()
            context.close()
    say("interactive, at most of 7 (s)", f"{max(opened[1:]):.2f}", "1.5")
    say("a click on Generate is acknowledged, at most (ms)", f"{max(answered):.1f}", "150")


# --- ten thousand pictures


def measure_history(browser: Browser, folder: Path, history: Path) -> None:
    files = sum(1 for path in history.rglob("*") if path.is_file() and path.suffix in (".png", ".webp"))
    with darkroom(folder, history) as server:
        page = browser.new_page(viewport={"width": 1280, "height": 860})
        firsts = []
        for _ in range(5):
            page.goto("about:blank")
            began = time.perf_counter()
            page.goto(f"{server.address}/#/history")
            page.wait_for_function("document.querySelector('.sheet .tile img')?.naturalWidth > 0", polling=10)
            firsts.append(time.perf_counter() - began)
        say("first thumbnail, from opening the address (s)", f"{statistics.median(firsts):.2f}", "0.8")

        began = time.perf_counter()
        most = scroll_through(page)
        say("scrolling through all of them (s)", f"{time.perf_counter() - began:.0f}", "none")
        say("tiles in the page at most", str(most), "none")
        session = page.context.new_cdp_session(page)
        session.send("HeapProfiler.collectGarbage")
        heap = session.send("Runtime.getHeapUsage")["usedSize"] / 2**20
        say("JavaScript heap after that (MiB)", f"{heap:.1f}", "60")

        page.goto(f"{server.address}/#/")
        page.reload()
        page.wait_for_selector(".watch .reuse")
        page.locator(".strip .film .tile").nth(5).click()
        page.wait_for_selector(".strip .film .tile:nth-child(6)[aria-current]")
        page.wait_for_timeout(500)
        page.evaluate("""() => document.querySelector('.watch .reuse').addEventListener('click', () => {
            const field = document.querySelector('#prompt textarea'), began = performance.now();
            (function look() {
                if (field.value) window.took = performance.now() - began; else setTimeout(look, 2);
            })();
        }, {capture: true})""")
        took = []
        for _ in range(5):
            page.locator("#prompt textarea").fill("")
            page.evaluate("window.took = null")
            page.locator(".watch .reuse").click()
            page.wait_for_function("window.took !== null")
            took.append(float(page.evaluate("window.took")))
            page.wait_for_timeout(300)
        say("reuse, from click to filled form (s)", f"{statistics.median(took) / 1000:.3f}", "0.3")
    after = sum(1 for path in history.rglob("*") if path.is_file() and path.suffix in (".png", ".webp"))
    copies = sum(1 for path in (history / ".gradio").rglob("*") if path.is_file())
    say("files copied into any cache", str(after - files + copies), "0")


def scroll_through(page: Page) -> int:
    """To the very end; the most tiles there were at once."""
    most, still, before = 0, 0, -1
    while still < 10:
        page.evaluate("window.scrollTo(0, document.documentElement.scrollHeight)")
        page.wait_for_timeout(40)
        most = max(most, int(page.evaluate(COLLECTED)))
        height = int(page.evaluate("document.querySelector('.sheet').offsetHeight"))
        still = still + 1 if height == before else 0
        before = height
    return most


# --- one being made


def measure_watching(browser: Browser, folder: Path) -> None:
    with darkroom(folder) as server:
        page = browser.new_page(viewport={"width": 1280, "height": 860})
        page.goto(server.address)
        order(page)
        answers: list[float] = []
        lags: list[float] = []
        seen: dict[int, float] = {}
        stop = threading.Event()
        asker = threading.Thread(target=ask_often, args=(f"{server.address}/api/jobs", answers, seen, stop))
        asker.start()
        shown = ""
        while not page.locator(".watch[data-activity=done]").count():
            now = page.evaluate("document.querySelector('.print img.preview')?.getAttribute('src') ?? ''")
            if now and now != shown:
                shown = now
                number = int(now.rsplit("=", 1)[1])
                if number in seen:
                    lags.append(time.perf_counter() - seen[number])
            time.sleep(0.01)
        stop.set()
        asker.join()
    answers.sort()
    say(f"status requests, p95 of {len(answers)} (ms)", f"{answers[int(len(answers) * 0.95)] * 1000:.1f}", "50")
    lags.sort()
    say(f"preview behind the step, median of {len(lags)} (s)", f"{statistics.median(lags):.2f}", "0.6")
    say("preview behind the step, at most (s)", f"{lags[-1]:.2f}", "0.6")


def ask_often(address: str, answers: list[float], seen: dict[int, float], stop: threading.Event) -> None:
    """A second page that asks fifty times a second, and notes when each preview was first there."""
    while not stop.wait(0.02):
        began = time.perf_counter()
        with urllib.request.urlopen(address) as answer:
            jobs = json.load(answer)["jobs"]
        answers.append(time.perf_counter() - began)
        if jobs:
            seen.setdefault(jobs[0]["preview_number"], time.perf_counter())


def order(page: Page) -> None:
    for name, value in LONG_PICTURE.items():
        field = page.locator(f"#{name} textarea, #{name} input[type=number]").first
        field.fill(value)
        field.blur()
    page.locator("#generate").click()


# --- a tunnel that drops


def measure_tunnel(browser: Browser, folder: Path) -> None:
    with darkroom(folder) as server:
        tunnel = Tunnel(int(server.address.rsplit(":", 1)[1]))
        page = browser.new_page()
        page.goto(tunnel.address)
        page.wait_for_selector("#prompt textarea")
        page.evaluate("window.openedBefore = true")
        order(page)
        page.wait_for_selector(".print img.preview", timeout=120_000)
        page.locator("#prompt textarea").fill("typed meanwhile")
        tunnel.cut()
        time.sleep(CUT_SECONDS)
        tunnel.restore()
        began = time.perf_counter()
        page.wait_for_selector(".watch .cut-off[hidden]", state="attached", timeout=60_000)
        say("back after the tunnel was (s)", f"{time.perf_counter() - began:.1f}", "none")
        page.wait_for_selector(".watch[data-activity=done]", timeout=300_000)
        kept = page.locator("#prompt textarea").input_value() == "typed meanwhile"
        say("prompt kept", str(kept), "True")
        say("page not reloaded", str(page.evaluate("window.openedBefore === true")), "True")
        tunnel.cut()


if __name__ == "__main__":
    main()
