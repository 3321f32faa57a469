"""The page that explains /api/v1, made from its OpenAPI description: one document, nothing fetched from anywhere.

Must not know: what the routes do.
"""

import re
from collections.abc import Iterable, Mapping
from html import escape
from typing import Any

from fastapi import APIRouter, FastAPI, Request
from fastapi.responses import HTMLResponse

from darkroom.prompts.batch import MOST_PICTURES
from darkroom.request import LARGEST_SEED, RANDOM_SEED, GenerationRequest
from darkroom.web.routes.asking import WordsOf
from darkroom.web.words import Words

MARKED = re.compile(r"`([^`]+)`")
UNSAID = 2**53
"""A limit that large is said to nobody."""
SCHEMA = "#/components/schemas/"


def order_schema() -> dict[str, Any]:
    """The body of an order, for OpenAPI: the values of a picture, none of them required, and how many."""
    picture = GenerationRequest.model_json_schema(ref_template=SCHEMA + "{model}")
    fields: dict[str, Any] = {
        **picture["properties"],
        "seed": {"type": "integer", "minimum": RANDOM_SEED, "maximum": LARGEST_SEED, "default": RANDOM_SEED},
        "count": {"type": "integer", "minimum": 1, "maximum": MOST_PICTURES, "default": 1},
        "lines": {"type": "boolean", "default": False},
        "last_seed": {"type": "integer", "minimum": 0, "maximum": LARGEST_SEED},
    }
    lora = picture["$defs"]["LoraUse"]
    fields["loras"] = {"type": "array", "items": lora, "maxItems": picture["properties"]["loras"].get("maxItems", 8)}
    schema = {"title": "Order", "type": "object", "properties": fields, "additionalProperties": False}
    return {"requestBody": {"required": True, "content": {"application/json": {"schema": schema}}}}


def docs_routes(app: FastAPI, english: Words, words_of: WordsOf) -> APIRouter:
    """`english` are the words of what the application says of itself."""
    router = APIRouter()
    fields = [key for key in sorted(english.keys()) if key.startswith("api.fields.")]

    @router.get("/docs", include_in_schema=False)
    def docs(request: Request) -> HTMLResponse:
        words = words_of(request)
        phrases = {english.say(key): words.say(key) for key in fields}
        return HTMLResponse(_document(_in_phrases(app.openapi(), phrases), words))

    return router


def _in_phrases(described: Any, phrases: Mapping[str, str]) -> Any:
    """The same, its descriptions said in other words; one that has none stays as it is."""
    if isinstance(described, list):
        return [_in_phrases(each, phrases) for each in described]
    if not isinstance(described, dict):
        return described
    said = {name: _in_phrases(each, phrases) for name, each in described.items()}
    if isinstance(about := described.get("description"), str):
        said["description"] = phrases.get(about, about)
    return said


def _document(described: Mapping[str, Any], words: Words) -> str:
    base = described["servers"][0]["url"]
    operations = [
        _operation(method, base + path, operation, described, words)
        for path, methods in described["paths"].items()
        for method, operation in methods.items()
    ]
    say = {key: _marked(word) for key, word in words.group("api").items()}
    return (
        f'<!doctype html><html lang="{words.language}"><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f'<title>{say["title"]}</title><link rel="icon" type="image/svg+xml" href="/mark.svg">'
        f"<style>{STYLE}</style><main><h1>{say['title']}</h1><p>{say['about']}</p>"
        f'<p>{say["errors"]}</p><p>{say["turns"]}</p><p><a href="{base}/openapi.json">openapi.json</a></p>'
        f"<h2>{say['example']}</h2><pre>{escape(EXAMPLE)}</pre>{''.join(operations)}</main></html>"
    )


STYLE = """
:root { color-scheme: light dark; --paper: #f5f1ea; --ink: #2a2420; --faint: #6a5f53; --line: #d8cebf; --red: #973a23 }
@media (prefers-color-scheme: dark) {
  :root { --paper: #151210; --ink: #ece4d8; --faint: #a89c8d; --line: #3a322b; --red: #e58263 }
}
body { margin: 0; background: var(--paper); color: var(--ink) }
body { font: 15px/1.55 system-ui, "Noto Sans CJK SC", sans-serif }
main { max-width: 860px; margin: 0 auto; padding: 32px 20px 80px }
h1 { font-size: 24px } h2 { font-size: 17px; margin: 40px 0 4px; overflow-wrap: anywhere } h3 { margin: 14px 0 2px }
h3 { font-size: 13px; color: var(--faint) } b, a { color: var(--red) } section { border-top: 1px solid var(--line) }
section h2 { margin-top: 24px } code, pre { font: 13px/1.5 ui-monospace, Menlo, Consolas, monospace }
pre { overflow-x: auto; padding: 12px; border: 1px solid var(--line); border-radius: 8px }
.wide { overflow-x: auto } table { border-collapse: collapse; width: 100% }
th, td { padding: 3px 16px 3px 0; text-align: left; vertical-align: top; font-weight: 400; font-size: 14px }
td { color: var(--faint) } th { white-space: nowrap }
@media (max-width: 600px) { tr, th, td { display: block; padding: 0 } tr { padding: 5px 0 } }
"""

EXAMPLE = """curl -s http://127.0.0.1:6006/api/v1/jobs \\
  -H 'Idempotency-Key: lake-1' -d '{"prompt": "a quiet lake at dusk", "count": 2}'
curl -s http://127.0.0.1:6006/api/v1/jobs/1
curl -s http://127.0.0.1:6006/api/v1/jobs/1/picture -o lake.png"""


def _marked(text: str) -> str:
    return MARKED.sub(r"<code>\1</code>", escape(text))


def _operation(method: str, path: str, operation: Mapping[str, Any], described: Mapping[str, Any], words: Words) -> str:
    name = operation["operationId"]
    parts = [f"<p>{_marked(words.say(f'api.do.{name}'))}</p>"]
    rows = [
        (parameter["name"], f"{parameter['in']}, {_type(parameter['schema'])}", parameter.get("description", ""))
        for parameter in operation.get("parameters", ())
    ]
    parts.append(_table(words.say("api.parameters"), rows))
    body = operation.get("requestBody", {}).get("content", {}).get("application/json", {}).get("schema")
    if body is not None:
        parts.append(_table(words.say("api.body"), _fields(body, described)))
    answer = next(answer for status, answer in operation["responses"].items() if status.startswith("2"))
    schema = answer.get("content", {}).get("application/json", {}).get("schema")
    if schema:
        parts.append(_table(words.say("api.answer"), _fields(schema, described)))
    return (
        f'<section id="{escape(name)}"><h2><b>{method.upper()}</b> <code>{escape(path)}</code></h2>'
        f"{''.join(parts)}</section>"
    )


def _fields(schema: Mapping[str, Any], described: Mapping[str, Any], above: str = "") -> list[tuple[str, str, str]]:
    """One row for each field, those of objects inside too, by their paths."""
    schema = _resolved(schema, described)
    rows: list[tuple[str, str, str]] = []
    for name, field in schema.get("properties", {}).items():
        rows.append((above + name, _type(field), field.get("description", "")))
        inner = _inner(field)
        if inner is not None:
            rows += _fields(inner, described, f"{above}{name}{'[]' if field.get('type') == 'array' else ''}.")
    return rows


def _inner(field: Mapping[str, Any]) -> Mapping[str, Any] | None:
    found = field["items"] if field.get("type") == "array" else field
    found = next((each for each in found.get("anyOf", (found,)) if each.get("type") != "null"), found)
    is_object = "$ref" in found or "properties" in found
    return found if is_object else None


def _resolved(schema: Mapping[str, Any], described: Mapping[str, Any]) -> Mapping[str, Any]:
    if "$ref" not in schema:
        return schema
    found: Mapping[str, Any] = described["components"]["schemas"][schema["$ref"].removeprefix(SCHEMA)]
    return found


def _type(schema: Mapping[str, Any]) -> str:
    if "anyOf" in schema:
        return " or ".join(_type(each) for each in schema["anyOf"])
    if "$ref" in schema:
        return str(schema["$ref"].removeprefix(SCHEMA))
    if "enum" in schema:
        return ", ".join(str(value) for value in schema["enum"])
    if schema.get("type") == "array":
        return f"list of {_type(schema['items'])}"
    limits = [f"{schema[key]:.15g}" if schema.get(key, UNSAID) < UNSAID else "" for key in ("minimum", "maximum")]
    name = str(schema.get("type", "value")) + (f" {limits[0]}…{limits[1]}" if any(limits) else "")
    return f"{name} = {schema['default']}" if schema.get("default") not in (None, "", []) else name


def _table(title: str, rows: Iterable[tuple[str, str, str]]) -> str:
    cells = "".join(
        f"<tr><th scope=row><code>{escape(name)}</code><td>{escape(kind)}<td>{_marked(about)}"
        for name, kind, about in rows
    )
    return f"<h3>{escape(title)}</h3><div class=wide><table>{cells}</table></div>" if cells else ""
