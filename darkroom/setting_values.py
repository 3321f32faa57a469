"""Kinds of values that settings have, each with words for what it allows. Must not know: which settings there are."""

import re
from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator, BeforeValidator, Field, ValidationError, WrapValidator
from pydantic import ValidatorFunctionWrapHandler as Handler
from pydantic_settings import NoDecode

SMALLEST_TILE, TILE_STEP = 256, 16
HOOK = re.compile(r"https?://([^\s/@?#:\[\]]+|\[[0-9a-fA-F:.]+\])(:(?P<port>[0-9]{1,5}))?([/?][^\s#]*)?")
HOST = re.compile(r"[\w.:%-]{1,253}")
HOST_NAME = re.compile(r"[\w-]{1,63}(\.[\w-]{1,63}){0,8}")


def _true_or_false(value: object, read: Handler) -> bool:
    try:
        return bool(read(value))
    except ValidationError as error:
        raise ValueError("true or false") from error


def one_of(names: tuple[str, ...]) -> AfterValidator:
    def check(name: str) -> str:
        if name not in names:
            raise ValueError(f"one of {', '.join(names)}")
        return name

    return AfterValidator(check)


Switch = Annotated[bool, WrapValidator(_true_or_false)]


def _names(value: object) -> object:
    """A variable holds them with commas between."""
    return [name.strip() for name in value.split(",") if name.strip()] if isinstance(value, str) else value


def _is_host_name(name: str) -> str:
    if not HOST_NAME.fullmatch(name):
        raise ValueError("names such as studio.example.org, without http:// and port")
    return name


def as_text(value: object) -> object:
    """YAML reads 8 as a number."""
    return str(value) if isinstance(value, int) else value


def on_or_off(value: object) -> object:
    """YAML reads on and off as true and false."""
    return ("on" if value else "off") if isinstance(value, bool) else value


def tile(value: object) -> object:
    """YAML reads off as false, and a variable holds a number as text."""
    if value in ("auto", "off") or value is False:
        return value or "off"
    side = int(value) if isinstance(value, str) and re.fullmatch(r"[0-9]{1,6}", value) else value
    if not isinstance(side, int) or isinstance(side, bool) or side < SMALLEST_TILE or side % TILE_STEP:
        raise ValueError(f"auto, off, or pixels: a multiple of {TILE_STEP}, at least {SMALLEST_TILE}")
    return side


def at_home(path: Path) -> Path:
    """~ is the home of whoever runs Darkroom."""
    try:
        # Whatever the system says of a sign that no path can hold, it is not said later.
        if "\0" not in str(path):
            return path.expanduser()
    except RuntimeError:
        pass
    raise ValueError("a path")


def _is_host(host: str) -> str:
    """An empty one would be everyone who can reach this machine."""
    if not HOST.fullmatch(host):
        raise ValueError("an address of this machine, such as 127.0.0.1; 0.0.0.0 is for everyone who can reach it")
    return host


def _like(pattern: str, words: str) -> AfterValidator:
    def check(text: str) -> str:
        if not re.fullmatch(pattern, text):
            raise ValueError(words)
        return text

    return AfterValidator(check)


Host = Annotated[str, AfterValidator(_is_host)]
HostNames = Annotated[tuple[Annotated[str, AfterValidator(_is_host_name)], ...], NoDecode, BeforeValidator(_names)]
Folder = Annotated[Path, AfterValidator(at_home)]
Folders = Annotated[tuple[Folder, ...], NoDecode, BeforeValidator(_names)]
Repository = Annotated[str, _like(r"[\w.-]{1,96}/[\w.-]{1,96}", "a repository as owner/name")]
Link = Annotated[str, _like(r"(https?://\S{1,300})?", "an address such as https://example.org/about")]
Sha256 = Annotated[str, _like(r"([0-9a-f]{64})?", "the 64 small digits and letters of a SHA-256")]
Gigabytes = Annotated[float, Field(ge=0, le=4096, allow_inf_nan=False)]


def _is_hook(address: str) -> str:
    found = HOOK.fullmatch(address)
    if address and not (found and int(found["port"] or 1) in range(1, 65536)):
        raise ValueError("an address such as https://example.org/darkroom")
    return address


Hook = Annotated[str, Field(max_length=500), AfterValidator(_is_hook)]
