"""The page that explains the API, in the reader's language."""

import html
import re

import pytest
from starlette.testclient import TestClient

from darkroom.web.words import Language, load_words
from tests.web.test_v1 import V1

ROW = re.compile(r"<tr><th scope=row>.*?<td>.*?<td>(.*?)(?=<tr>|</table>)", re.DOTALL)


@pytest.mark.parametrize(("language", "header"), [("en", "en-GB"), ("zh", "zh-CN,zh;q=0.9")])
def test_every_value_of_the_api_is_explained_in_the_readers_language(
    language: Language, header: str, client: TestClient
) -> None:
    page = client.get(f"{V1}/docs", headers={"Accept-Language": header}).text
    explained = {html.unescape(re.sub("</?code>", "`", cell)) for cell in ROW.findall(page)} - {""}
    words = load_words()[language]
    assert explained == {words.say(key) for key in sorted(words.keys()) if key.startswith("api.fields.")}
