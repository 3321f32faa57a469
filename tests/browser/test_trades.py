"""What trades likeness for speed, as a person meets it: by a preset, by hand, and refused where it cannot be."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import expect

from tests.browser.conftest import Visit
from tests.browser.server import DarkroomServer
from tests.browser.test_create import choose, chosen

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def darkroom(root: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[DarkroomServer]:
    """Fast trades here."""
    server = DarkroomServer(root, tmp_path_factory.mktemp("darkroom"))
    with pytest.MonkeyPatch.context() as patched:
        patched.setenv("DARKROOM_PRESETS__DEMO__FAST__STEP_CACHE", "0.3")
        patched.setenv("DARKROOM_PRESETS__DEMO__FAST__PROMPT_TOKENS", "48")
        server.start()
    yield server
    server.close()


def test_a_preset_puts_its_trades_into_the_form_and_other_figures_are_custom(visit: Visit) -> None:
    person = visit()
    person.open_advanced()
    choose(person, "#presets", "Fast")
    expect(person.field("step_cache")).to_have_value("0.3")
    expect(person.field("prompt_tokens")).to_have_value("48")
    expect(chosen(person, "#presets")).to_have_value("fast")
    person.fill(step_cache=0.2)
    expect(chosen(person, "#presets")).to_have_value("custom")
    choose(person, "#presets", "Fine")
    expect(person.field("step_cache")).to_have_value("0")
    expect(person.field("prompt_tokens")).to_have_value("0")


@pytest.mark.parametrize(
    ("locale", "said"),
    [("en-GB", "Step cache: 0.3 is not possible"), ("zh-CN", "步骤缓存不能是 0.3，允许：真实 CFG 不为 1")],
)
def test_with_true_cfg_a_preset_leaves_the_step_cache_out_and_by_hand_it_is_refused(
    visit: Visit, locale: str, said: str
) -> None:
    person = visit(locale=locale, width=390)
    person.fill(prompt="a house", cfg_scale=2)
    person.page.locator("#presets input[value=fast]").check(force=True)
    expect(person.field("steps")).to_have_value("4")
    expect(person.field("step_cache")).to_have_value("0")
    expect(chosen(person, "#presets")).to_have_value("fast")
    person.fill(step_cache=0.3)
    expect(person.page.locator("#controls")).to_contain_text(said)
    assert person.sideways() == 0
    person.generate()
    expect(person.page.locator("#refusal")).to_contain_text(said)
    person.fill(step_cache=0)
    expect(person.field("step_cache")).to_have_attribute("aria-invalid", "false")
