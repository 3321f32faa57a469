"""A person at the page: what they do and what they see, in the page's own terms."""

import json
import re
import time
from typing import Any

from playwright.sync_api import BrowserContext, Locator, Page, Request, expect

PATIENCE = 120_000  # milliseconds: the engine may have to load on a busy machine
PICTURE_ADDRESS = re.compile(r"^/pictures/\d+")
NOTHING = re.compile(r"^\s*$")
FIELDS = ("prompt", "negative_prompt", "seed", "steps", "guidance", "cfg_scale", "width", "height")


class Visitor:
    """Notes every error of the page and every request that leaves the machine."""

    def __init__(self, context: BrowserContext, address: str) -> None:
        self.page: Page = context.new_page()
        self._address = address
        self.errors: list[str] = []
        self.outside: list[str] = []
        self.page.on("pageerror", lambda error: self.errors.append(str(error)))
        self.page.on("request", self._note)

    def open(self) -> None:
        self.page.goto(self._address)
        expect(self.field("prompt")).to_be_visible(timeout=PATIENCE)
        self.page.wait_for_function("window.darkroom?.form?.restored && darkroom.words")

    def field(self, name: str) -> Locator:
        return self.page.locator(f"#{name} textarea, #{name} input[type=number]").first

    def fill(self, **values: str | float) -> None:
        if {"cfg_scale", "negative_prompt"} & values.keys():
            self.open_advanced()
        for name, value in values.items():
            self.field(name).fill(str(value))
            self.field(name).blur()

    def open_advanced(self) -> None:
        if not self.field("negative_prompt").is_visible():
            self.page.locator("#fold-advanced button").click()
            expect(self.field("negative_prompt")).to_be_visible()

    def values(self) -> dict[str, str]:
        self.open_advanced()
        return {name: self.field(name).input_value() for name in FIELDS}

    def generate(self) -> None:
        self.page.locator("#generate").click()

    def wait_for_the_middle(self) -> None:
        """Until the server has two steps and a preview, whether or not the page has asked for them yet."""
        patient_until = time.monotonic() + PATIENCE / 1000
        while not any(job["preview_number"] and job["step"] >= 2 for job in self.ask("/api/jobs")["jobs"]):
            assert time.monotonic() < patient_until, "no picture got so far, or it was made too fast to see"
            self.page.wait_for_timeout(50)

    def see_steps(self, words: str = r"Step \d+") -> None:
        expect(self.page.locator(".watch .detail")).to_contain_text(re.compile(words), timeout=PATIENCE)

    def see_preview(self) -> None:
        expect(self.page.locator(".print img.preview")).to_be_visible(timeout=PATIENCE)

    def see_picture(self) -> str:
        """Wait for the finished picture; its address."""
        ended = self.page.locator(".watch:is([data-activity=done], [data-activity=failed])")
        expect(ended).to_be_visible(timeout=PATIENCE)
        expect(self.page.locator(".watch .failure"), "the picture was made").to_have_text(NOTHING)
        picture = self.page.locator(".print img:not(.preview)")
        expect(picture).to_have_attribute("src", PICTURE_ADDRESS, timeout=PATIENCE)
        address = picture.get_attribute("src")
        assert address is not None
        return address

    def tiles(self) -> Locator:
        """Of the strip below the tray."""
        return self.page.locator(".strip .film .tile")

    def choose(self, tile: int) -> None:
        """Lay a picture of the strip into the tray."""
        self.tiles().nth(tile).click()
        expect(self.tiles().nth(tile)).to_have_attribute("aria-current", "true")

    def reuse(self, tile: int) -> None:
        self.choose(tile)
        self.page.locator(".watch .reuse").click()

    def open_history(self) -> Locator:
        """Go to the history's own view; its tiles."""
        self.page.locator('.views a[data-view="history"]').click()
        expect(self.page.locator(".history .toolbar")).to_be_visible()
        return self.page.locator(".sheet .tile")

    def word(self) -> Locator:
        """The newest message at the lower edge."""
        return self.page.locator(".toast span").last

    def history(self) -> list[dict[str, Any]]:
        """What the server has, newest first."""
        listed = self.ask("/api/history")["pictures"]
        return [self.ask(f"/api/pictures/{picture['id']}") for picture in listed]

    def ask(self, path: str) -> Any:
        return json.loads(self.page.request.get(self._address + path).body())

    def post(self, path: str, values: Any = None) -> Any:
        """As a program beside the page."""
        answer = self.page.request.post(self._address + path, data={} if values is None else values)
        assert answer.ok, answer.text()
        return answer.json() if answer.status != 204 else None

    def see_a_look(self) -> None:
        """Until the page has asked once more what is being made, and has shown it."""
        with self.page.expect_response(lambda answer: "/api/jobs?" in answer.url, timeout=PATIENCE) as answer:
            pass
        answer.value.finished()
        self.page.wait_for_timeout(100)

    def sideways(self) -> int:
        """By how many pixels the page is wider than its window."""
        width: int = self.page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
        return width

    def _note(self, request: Request) -> None:
        if not request.url.startswith((self._address, "data:", "blob:")):
            self.outside.append(request.url)
