"""A person at the page: what they do and what they see, in the page's own terms."""

import json
import re
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
        expect(self.page.locator(".history .bar h2")).not_to_be_empty()

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
            self.page.locator("#advanced > button").click()
            expect(self.field("negative_prompt")).to_be_visible()

    def values(self) -> dict[str, str]:
        self.open_advanced()
        return {name: self.field(name).input_value() for name in FIELDS}

    def generate(self) -> None:
        self.page.locator("#generate").click()

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
        return self.page.locator(".sheet .tile")

    def reuse(self, tile: int) -> None:
        self.tiles().nth(tile).click()
        self.page.locator("dialog .reuse").click()
        expect(self.page.locator("dialog.detail")).to_be_hidden()

    def history(self) -> list[dict[str, Any]]:
        """What the server has, newest first."""
        answer = self.page.request.get(f"{self._address}/api/history")
        pictures: list[dict[str, Any]] = json.loads(answer.body())["pictures"]
        return pictures

    def sideways(self) -> int:
        """By how many pixels the page is wider than its window."""
        width: int = self.page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
        return width

    def _note(self, request: Request) -> None:
        if not request.url.startswith((self._address, "data:", "blob:")):
            self.outside.append(request.url)
