"""Makes the README's picture of the page: starts Darkroom with an empty history, makes demo pictures, and looks.

Run: python -m tools.screenshot docs/images/page.png. Must not know: how pictures are made.
"""

import argparse
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from playwright.sync_api import Page, sync_playwright

from tools.chromium import ARGUMENTS, HOW_TO_GET_ONE, find_chromium

ROOT = Path(__file__).parent.parent
WIDTH, HEIGHT = 1280, 1000
MILLISECONDS_PER_PICTURE = 180_000

# In both languages of the page, with seed and shape. The last one is what the page shows in large.
PICTURES = (
    ({"en": "a yellow tent in the forest at night, snow", "zh": "雪夜森林里的黄色帐篷"}, "11", "square"),
    ({"en": "two white sailboats on the sea at sunset", "zh": "日落时海上的两只白色帆船"}, "5", "landscape"),
    ({"en": "a purple castle in the mountains, misty morning", "zh": "雾中山间的紫色城堡"}, "3", "portrait"),
    (
        {"en": "a red balloon over a green meadow, a white windmill", "zh": "草地上空一只红色的热气球，一座白色的风车"},
        "8",
        "square",
    ),
    (
        {
            "en": "a red lighthouse by the sea at sunset, two white birds",
            "zh": "日落时海边一座红色的灯塔，两只白色的鸟",
        },
        "7",
        "landscape",
    ),
)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("file", type=Path)
    parser.add_argument("--language", choices=("en", "zh"), default="en")
    arguments = parser.parse_args()
    file, language = arguments.file, arguments.language
    chromium = find_chromium()
    if chromium is None:
        sys.exit(HOW_TO_GET_ONE)
    with tempfile.TemporaryDirectory() as history, darkroom(Path(history)) as address, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=list(ARGUMENTS))
        page = browser.new_page(viewport={"width": WIDTH, "height": HEIGHT}, locale=language)
        page.add_init_script("window.made = 0; addEventListener('darkroom:picture', () => (window.made += 1))")
        page.goto(address)
        page.wait_for_function("window.darkroom?.form?.restored")
        for made, (prompts, seed, shape) in enumerate(PICTURES, start=1):
            make_picture(page, prompts[language], seed, shape)
            page.wait_for_function("made => window.made === made", arg=made, timeout=MILLISECONDS_PER_PICTURE)
        page.wait_for_function("() => [...document.images].every(image => image.hidden || image.complete)")
        page.evaluate("document.activeElement.blur(); window.scrollTo(0, 0)")
        file.parent.mkdir(parents=True, exist_ok=True)
        page.screenshot(path=file, animations="disabled")
        browser.close()
    return 0


def make_picture(page: Page, prompt: str, seed: str, shape: str) -> None:
    page.locator("#prompt textarea").fill(prompt)
    page.locator(f"#shape input[value={shape}]").check(force=True)
    page.locator("#seed input").fill(seed)
    page.locator("#seed input").blur()
    page.locator("#generate").click()


@contextmanager
def darkroom(history: Path) -> Iterator[str]:
    """Darkroom with its history in that folder, at a free port. Yields its address."""
    environment = os.environ | {"DARKROOM_FOLDERS__HISTORY": str(history)}
    server = subprocess.Popen(
        [sys.executable, str(ROOT / "app.py"), "--port", "0"],
        env=environment, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    try:
        assert server.stdout
        ready = next(filter(None, (re.search(r"http://\S+", line) for line in server.stdout)), None)
        if ready is None:
            sys.exit("Darkroom did not start: see the lines above.")
        yield ready[0]
    finally:
        server.terminate()
        server.wait()


if __name__ == "__main__":
    sys.exit(main())
