"""Makes the README's picture of the page: starts Darkroom with an empty history, makes demo pictures, and looks.

Run: python -m tools.screenshot docs/images/page.png. Must not know: how pictures are made.
"""

import argparse
import sys
import tempfile
from pathlib import Path

from playwright.sync_api import Page, sync_playwright

from tools.chromium import ARGUMENTS, HOW_TO_GET_ONE, find_chromium
from tools.running import darkroom

ROOT = Path(__file__).parent.parent
WIDTH, HEIGHT = 1280, 1000
MILLISECONDS_PER_PICTURE = 180_000

# In both languages of the page, with seed and shape. The last one is what the page shows in large.
PICTURES = (
    (
        {
            "en": "one green cat on the left and one yellow house on the right, at the sea at dusk",
            "zh": "黄昏的海边，左边一只绿色的猫，右边一座黄色的房子",
        },
        "3",
        "square",
    ),
    (
        {
            "en": "one pink cottage on the left and one green lighthouse in the middle, on a misty night",
            "zh": "有雾的夜晚，左边一座粉色的小屋，中间一座绿色的灯塔",
        },
        "11",
        "landscape",
    ),
    (
        {
            "en": "one yellow hot-air balloon in the middle, mountains, a snowy morning",
            "zh": "下雪的早晨，群山，中间一只黄色的热气球",
        },
        "5",
        "portrait",
    ),
    (
        {
            "en": "a purple rabbit on the left, an orange mushroom on the right, sunset",
            "zh": "日落，左边一只紫色的兔子，右边一朵橙色的蘑菇",
        },
        "8",
        "square",
    ),
    (
        {
            "en": "one pink castle on the left and one red kite on the right, a clear day in the meadow",
            "zh": "晴朗的白天，草地上，左边一座粉色的城堡，右边一只红色的风筝",
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
    with tempfile.TemporaryDirectory() as history, darkroom(Path(history)) as server, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=list(ARGUMENTS))
        page = browser.new_page(viewport={"width": WIDTH, "height": HEIGHT}, locale=language)
        page.add_init_script("window.made = 0; addEventListener('darkroom:picture', () => (window.made += 1))")
        page.goto(server.address)
        page.wait_for_function("window.darkroom?.form?.restored")
        for made, (prompts, seed, shape) in enumerate(PICTURES, start=1):
            make_picture(page, prompts[language], seed, shape)
            page.wait_for_function("made => window.made === made", arg=made, timeout=MILLISECONDS_PER_PICTURE)
        page.wait_for_selector(f'img[src*="/pictures/{len(PICTURES)}"] >> visible=true')
        page.evaluate("() => Promise.all([...document.images].filter(i => i.checkVisibility()).map(i => i.decode()))")
        page.evaluate("() => new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)))")
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


if __name__ == "__main__":
    sys.exit(main())
