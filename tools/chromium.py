"""Finds the Chromium that tests and screenshots drive. `python -m tools.chromium` ends with 0 when there is one."""

import os
import shutil
import subprocess
import sys

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
HOW_TO_GET_ONE = (
    "There is no Chromium to drive the page with. Debian: apt install chromium fonts-noto-cjk libatomic1. "
    "Elsewhere: .venv/bin/python -m playwright install --with-deps chromium. Or name one: CHROMIUM=/path/to/it."
)

# Headless, on machines without a graphics card, as root in a container, and without asking the outside for anything.
ARGUMENTS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)


def find_chromium() -> str | None:
    """The path of the first found: the variable CHROMIUM, a browser of this machine, Playwright's own.

    None too where Playwright itself cannot run: a bare Debian lacks a library that its driver needs.
    """
    driver = subprocess.run([sys.executable, "-m", "playwright", "--version"], capture_output=True)
    if driver.returncode != 0:
        return None
    named = os.environ.get("CHROMIUM")
    return named or next(filter(None, map(shutil.which, NAMES)), None) or _of_playwright()


def _of_playwright() -> str | None:
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        path = playwright.chromium.executable_path
    return path if os.access(path, os.X_OK) else None


if __name__ == "__main__":
    sys.exit(find_chromium() is None)
