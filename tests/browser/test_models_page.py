"""The Models page in Chromium: a download with a cut in the middle, a damaged file that is mended, and a removal."""

from collections.abc import Iterator
from pathlib import Path
from shutil import copy, copytree

import pytest
import yaml
from playwright.sync_api import Locator, expect

from darkroom.catalog import DEMO
from darkroom.weights import VAE
from tests.browser.conftest import Scheme, Visit
from tests.browser.server import DarkroomServer
from tests.browser.test_access import findings
from tests.browser.visitor import Visitor
from tests.downloads.hub import Hub, running_hub

pytestmark = pytest.mark.browser

REPOSITORY = "someone/second"
PLACE = "second/second.safetensors"


@pytest.fixture
def hub(root: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    """It has the demo's image model, under another name."""
    with running_hub() as hub:
        hub.put(REPOSITORY, "second.safetensors", (root / "models" / DEMO.files.transformer).read_bytes())
        monkeypatch.setenv("MODELSCOPE_ENDPOINT", hub.address)
        monkeypatch.setenv("HF_ENDPOINT", hub.address)
        monkeypatch.delenv("HF_HUB_OFFLINE", raising=False)
        monkeypatch.delenv("DIFFSYNTH_SKIP_DOWNLOAD", raising=False)
        yield hub


@pytest.fixture
def models(root: Path, tmp_path: Path) -> Path:
    copytree(root / "models" / "demo", tmp_path / "models" / "demo")
    return tmp_path / "models"


@pytest.fixture
def darkroom(root: Path, tmp_path: Path, hub: Hub, models: Path) -> Iterator[DarkroomServer]:
    server = DarkroomServer(root, tmp_path)
    source = {"repository": REPOSITORY, "path": "second.safetensors"}
    own = {"name": "second", "title": "A second one", "like": "demo", "file": PLACE, "licence": "MIT"}
    settings = {
        "folders": {"models": str(models), "history": "history"},
        "models": {"own": [own | {"modelscope": source, "huggingface": source}]},
        "engine": {"device": "cpu"},
    }
    (tmp_path / "config.yaml").write_text(yaml.safe_dump(settings), "utf-8")
    server.start()
    yield server
    hub.free.set()
    server.close()


def open_models(person: Visitor) -> None:
    person.page.locator('.views a[data-view="models"]').click()
    expect(card(person)).to_be_visible()


def card(person: Visitor, name: str = "second") -> Locator:
    return person.page.locator(f'.model-card[data-model="{name}"]')


def press(where: Locator, act: str) -> None:
    where.locator(f'[data-act="{act}"]').first.click()


def test_a_download_breaks_is_paused_goes_on_and_makes_a_picture(visit: Visit, hub: Hub, models: Path) -> None:
    person = visit()
    open_models(person)
    second = card(person)
    expect(second.locator(".status")).to_have_text("Not here")
    assert hub.requests == []
    size = len(hub.files[REPOSITORY, "second.safetensors"])
    hub.trouble.cuts = [size // 3]
    hub.trouble.slowness = 0.004
    press(second, "get")
    expect(second.locator("progress")).to_be_visible()
    expect(second.locator(".activity")).to_contain_text("of 20.2 MB")
    expect(second.locator(".activity")).to_contain_text("a second")
    press(second, "pause")
    expect(second.locator(".status")).to_have_text("Paused")
    assert not (models / PLACE).exists()
    person.page.reload()
    expect(card(person).locator(".status")).to_have_text("Paused")
    hub.trouble.slowness = 0
    press(card(person), "resume")
    expect(card(person).locator(".status")).to_have_text("Here")
    assert (models / PLACE).read_bytes() == hub.files[REPOSITORY, "second.safetensors"]
    # The page was opened before it came.
    press(card(person), "use")
    expect(person.page.locator("#model select")).to_have_value("second")
    expect(person.page.locator("#model .hint")).to_contain_text("Size, steps and guidance follow this model")
    person.fill(prompt="a red house", steps=2, width=256, height=256)
    person.generate()
    person.see_picture()
    assert person.history()[0]["request"]["model"] == "second"


def test_the_form_offers_what_is_there_and_keeps_what_was_typed(visit: Visit) -> None:
    person = visit()
    create = person.page.locator('.views a[data-view="create"]')
    choice = person.page.locator("#model select")
    person.fill(prompt="a red house")
    open_models(person)
    press(card(person), "get")
    expect(card(person).locator(".status")).to_have_text("Here")
    create.click()
    expect(choice).to_have_value("demo")
    expect(person.field("prompt")).to_have_value("a red house")
    open_models(person)
    person.page.evaluate("window.samePage = true")
    press(card(person), "use")
    expect(choice).to_have_value("second")
    assert person.page.evaluate("window.samePage")
    expect(person.field("prompt")).to_have_value("a red house")
    open_models(person)
    press(card(person, "demo"), "use")
    expect(choice).to_have_value("demo")
    open_models(person)
    press(card(person), "remove")
    person.page.locator("dialog.sure").get_by_role("button", name="Remove").click()
    expect(card(person).locator(".status")).to_have_text("Not here")
    create.click()
    expect(person.field("prompt")).to_be_visible()
    expect(choice).not_to_be_visible()
    expect(person.field("prompt")).to_have_value("a red house")


def test_a_page_that_was_open_before_a_model_came_reuses_its_pictures_as_they_were(visit: Visit, models: Path) -> None:
    """Its fields stand elsewhere than those of a page that offers a choice."""
    early = visit()
    early.fill(prompt="a pond", seed=7, steps=3, width=256, height=272)
    early.generate()
    early.see_picture()
    (models / "second").mkdir()
    copy(models / DEMO.files.transformer, models / PLACE)
    late = visit()
    expect(late.page.locator("#model select")).to_have_value("demo")
    early.fill(prompt="another", seed=8, steps=1, width=512, height=512)
    early.reuse(0)
    expect(early.word()).to_have_text("Filled in from picture 1.")
    values = early.values()
    wanted = {"prompt": "a pond", "seed": "7", "steps": "3", "guidance": "3.5", "width": "256", "height": "272"}
    assert {name: values[name] for name in wanted} == wanted
    assert values["negative_prompt"] == ""
    # A picture that was made with it brings the page in which it can be chosen.
    late.page.locator("#model select").select_option("second")
    late.fill(prompt="a mill", width=256, height=256, steps=1)
    late.generate()
    late.see_picture()
    early.page.evaluate("void darkroom.reuse({ id: 2, what: 'all' })")
    expect(early.page.locator("#model select")).to_have_value("second")
    expect(early.field("prompt")).to_have_value("a mill")


def test_a_damaged_file_is_found_and_mended_and_a_model_removed(visit: Visit, hub: Hub, models: Path) -> None:
    content = hub.files[REPOSITORY, "second.safetensors"]
    person = visit()
    open_models(person)
    second = card(person)
    press(second, "get")
    expect(second.locator(".status")).to_have_text("Here")
    damaged = bytearray(content)
    damaged[len(damaged) // 2] ^= 1
    (models / PLACE).write_bytes(damaged)
    press(second, "check")
    expect(second.locator(".status")).to_have_text("Damaged")
    press(second, "mend")
    expect(second.locator(".status")).to_have_text("Here")
    assert (models / PLACE).read_bytes() == content
    press(second, "remove")
    question = person.page.locator("dialog.sure")
    expect(question).to_contain_text("Remove A second one for good? 20.2 MB become free.")
    question.get_by_role("button", name="Keep").click()
    assert (models / PLACE).exists()
    press(second, "remove")
    question.get_by_role("button", name="Remove").click()
    expect(second.locator(".status")).to_have_text("Not here")
    assert not (models / PLACE).exists()


@pytest.mark.parametrize("width", [1280, 390])
def test_a_lora_is_removed_after_what_depends_on_it_was_named(width: int, visit: Visit, models: Path) -> None:
    (models / "loras").mkdir()
    for name in ("brush", "ink two"):
        copy(models / "demo" / "loras" / "ink.safetensors", models / "loras" / f"{name}.safetensors")
    person = visit(width=width)
    address = person.page.url.split("#")[0]
    assert person.page.request.post(f"{address}api/v1/queue/pause").ok
    order = {"prompt": "x", "loras": [{"name": "brush", "weight": 1}]}
    assert person.page.request.post(f"{address}api/jobs", data=order).ok
    open_models(person)
    rows = person.page.locator(".lora-files li")
    expect(rows).to_have_count(3)
    # What ships stays.
    expect(rows.locator("button")).to_have_count(2)
    labels = rows.locator("button").evaluate_all("all => all.map((each) => each.getAttribute('aria-label'))")
    assert len(set(labels)) == 2
    assert person.sideways() == 0
    row = person.page.locator('.lora-files li[data-place="loras/brush.safetensors"]')
    expect(row).to_contain_text("Darkroom demo · rank 8 · 1.5 MB · loras/brush.safetensors")
    press(row, "remove")
    question = person.page.locator("dialog.sure")
    expect(question).to_contain_text("Remove brush.safetensors for good? 1.5 MB become free.")
    expect(question).to_contain_text("would fail: 1 (#1).")
    question.get_by_role("button", name="Keep").click()
    assert (models / "loras" / "brush.safetensors").exists()
    press(row, "remove")
    question.get_by_role("button", name="Remove").click()
    expect(rows).to_have_count(2)
    assert not (models / "loras" / "brush.safetensors").exists()
    # The keyboard goes on where it was.
    expect(rows.locator("button")).to_be_focused()
    press(person.page.locator('.lora-files li[data-place="loras/ink two.safetensors"]'), "remove")
    question.get_by_role("button", name="Remove").click()
    expect(rows).to_have_count(1)
    assert person.page.evaluate("document.activeElement.tagName") == "BUTTON"


def test_whoever_has_two_disks_chooses_where_a_model_goes(
    visit: Visit, darkroom: DarkroomServer, hub: Hub, models: Path, tmp_path: Path
) -> None:
    person = visit()
    open_models(person)
    expect(person.page.locator("#models-page .home")).to_be_hidden()
    darkroom.close()
    settings = yaml.safe_load((tmp_path / "config.yaml").read_text("utf-8"))
    large = tmp_path / "large"
    settings["models"]["stores"] = [str(large)]
    (tmp_path / "config.yaml").write_text(yaml.safe_dump(settings), "utf-8")
    darkroom.start()
    person = visit()
    open_models(person)
    person.page.locator("#models-page .home select").select_option(str(large))
    person.page.reload()
    expect(person.page.locator("#models-page .home select")).to_have_value(str(large))
    press(card(person), "get")
    expect(card(person).locator(".status")).to_have_text("Here")
    assert (large / PLACE).read_bytes() == hub.files[REPOSITORY, "second.safetensors"]
    assert not (models / PLACE).exists()
    press(card(person), "remove")
    person.page.locator("dialog.sure").get_by_role("button", name="Remove").click()
    expect(card(person).locator(".status")).to_have_text("Not here")
    assert not (large / PLACE).exists()


def test_what_a_hub_refuses_is_said_with_what_to_do(visit: Visit, hub: Hub) -> None:
    hub.trouble.gated = True
    hub.trouble.token = "right"
    person = visit(locale="zh-CN")
    open_models(person)
    person.page.locator("#models-page select").first.select_option("huggingface")
    press(card(person), "get")
    trouble = card(person).locator(".trouble")
    expect(trouble).to_contain_text("HF_TOKEN")
    expect(trouble).to_contain_text("huggingface" if "huggingface" in hub.address else hub.address)
    hub.trouble.gated = False
    press(card(person), "resume")
    expect(card(person).locator(".status")).to_have_text("已就绪")


def test_a_model_that_is_only_on_the_other_hub_says_so(visit: Visit) -> None:
    person = visit()
    open_models(person)
    person.page.locator("#models-page select").first.select_option("huggingface")
    expect(card(person, "majicflus-v1").locator(".trouble")).to_contain_text("Choose the other hub")
    expect(card(person, "majicflus-v1").locator('[data-act="get"]')).to_have_count(0)
    expect(card(person, "flux1-dev").locator('[data-act="get"]')).to_have_count(1)


@pytest.mark.parametrize("width", [1280, 390])
def test_nothing_is_wider_than_the_window(visit: Visit, width: int, models: Path) -> None:
    (models / ("a-very-long-name-" * 8 + ".ckpt")).write_bytes(b"\x80\x02")
    person = visit(width=width)
    open_models(person)
    expect(person.page.locator(".shelf .others li")).to_have_count(1)
    assert person.page.evaluate("document.documentElement.scrollWidth <= innerWidth")


@pytest.mark.parametrize(("width", "locale", "scheme"), [(1280, "en-GB", "light"), (390, "zh-CN", "dark")])
def test_nobody_stumbles_over_the_models(
    width: int, locale: str, scheme: Scheme, visit: Visit, hub: Hub, models: Path
) -> None:
    (models / "shared").mkdir()
    (models / VAE.place).write_bytes(b"damaged")
    (models / "old.ckpt").write_bytes(b"\x80\x02")
    hub.trouble.statuses = [404]
    person = visit(width=width, locale=locale, scheme=scheme)
    open_models(person)
    press(card(person), "get")
    expect(card(person).locator(".trouble")).to_be_visible()
    card(person).locator("summary").click()
    assert findings(person) == []
    hub.trouble.slowness = 0.05
    press(card(person), "resume")
    expect(card(person).locator("progress")).to_be_visible()
    assert findings(person) == []
    assert person.sideways() == 0
