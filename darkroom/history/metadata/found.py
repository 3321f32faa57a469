"""What was found in a picture of any tool: values that fit a request, and those that do not, each with its reason.

Must not know: files, or how a tool writes.
"""

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Literal

from pydantic import ValidationError

from darkroom.errors import shown
from darkroom.request import GenerationRequest, problems_of

Reason = Literal[
    "not_supported",
    "not_allowed",
    "other_guidance",
    "unknown_model",
    "missing_lora",
    "unclear",
    "computed",
    "no_sampler",
    "samplers",
]
"""Why a value is not used.

not_supported   Darkroom has nothing like it
not_allowed     outside of what a request may hold; `allowed` says what may stand there
other_guidance  a CFG scale without FLUX's distilled guidance beside it: another kind of model, and another meaning
unknown_model   no model of that name is here
missing_lora    a LoRA of which no file is here
unclear         the file does not say it plainly
computed        nodes of a workflow make it, and nothing is computed here; `name` is the request's, or "size"
no_sampler      a workflow without a sampler that is known
samplers        a workflow with `value` of them, so that it is not clear which one made the picture
"""

MOST_UNUSED, MOST_LORAS, MOST_MODELS = 100, 32, 8
NUMBER = re.compile(r"[-+]?(\d{1,40}(\.\d{0,40})?|\.\d{1,40})([eE][-+]?\d{1,3})?", re.ASCII)
NETWORK = re.compile(r"<(lora|lyco|hypernet):([^<>]{1,300})>")

# Any request that is valid, to put one value at a time into.
_VALID: Mapping[str, Any] = {
    "prompt": "",
    "seed": 0,
    "steps": 1,
    "guidance": 0.0,
    "width": 64,
    "height": 64,
    "model": "any",
}


@dataclass(frozen=True, kw_only=True)
class UnusedParameter:
    """A value of the picture that a request cannot take over. `name` and `value` are as the other tool writes them.

    `value` may be shortened. `allowed` is what `Problem.allowed` is, and empty unless the reason is "not_allowed".
    """

    name: str
    value: str
    reason: Reason
    allowed: str = ""


@dataclass(frozen=True, kw_only=True)
class FoundLora:
    """One by the name that another tool has for its file. Whether there is one like it here is for others to say."""

    name: str
    weight: float


@dataclass(frozen=True, kw_only=True)
class FoundModel:
    """The same for a model; `said` is what the tool calls the value."""

    name: str
    said: str


@dataclass(frozen=True, kw_only=True)
class FoundParameters:
    """`origin` is the tool's own name. `values` are named like fields of GenerationRequest, and each is valid there.

    `loras` and `models` are another tool's, and not among `values`.
    """

    origin: str
    values: Mapping[str, object]
    unused: tuple[UnusedParameter, ...]
    loras: tuple[FoundLora, ...] = ()
    models: tuple[FoundModel, ...] = ()


class Findings:
    """Collects what one picture says; each value is checked on its way in."""

    def __init__(self, origin: str) -> None:
        self._origin = origin
        self._values: dict[str, object] = {}
        self._unused: list[UnusedParameter] = []
        self._loras: dict[str, FoundLora] = {}
        self._models: dict[str, FoundModel] = {}

    def use(self, field: str, value: object, name: str) -> None:
        """`name` is what the tool calls it."""
        checked, allowed = _checked({field: value})
        if allowed:
            self.leave(name, value, "not_allowed", allowed)
        else:
            self._values |= checked

    def use_number(self, field: str, value: object, name: str) -> None:
        """Like `use`, of a value that may be written as text."""
        number = number_of(value)
        self.use(field, value if number is None else number, name)

    def use_size(self, width: object, height: object, name: str = "Size") -> None:
        """Both sides or none: half a size would be another picture."""
        sides = {"width": number_of(width), "height": number_of(height)}
        checked, allowed = _checked(sides)
        if allowed:
            self.leave(name, f"{width}x{height}", "not_allowed", allowed)
        else:
            self._values |= checked

    def use_prompt(self, field: str, text: object, name: str) -> None:
        """Like `use`, of another tool's prompt. LoRAs written into it are no words of it: that tool takes them out."""
        if isinstance(text, str):
            for kind, said in NETWORK.findall(text):
                # In a negative prompt they do nothing.
                if kind == "hypernet" or field != "prompt":
                    self.leave("LoRA", said, "not_supported")
                else:
                    lora, *rest = said.split(":")
                    self.use_lora(lora, _tag_weight(rest))
            text = NETWORK.sub("", text)
        self.use(field, text, name)

    def use_lora(self, name: object, weight: object) -> None:
        """The first of a name counts."""
        number = number_of(weight)
        if not isinstance(name, str) or not name.strip() or number is None or not math.isfinite(number):
            self.leave("LoRA", f"{name}:{weight}", "unclear")
        elif number and len(self._loras) < MOST_LORAS:
            self._loras.setdefault(name, FoundLora(name=name.strip(), weight=float(number)))

    def use_guidance(self, distilled: object, cfg_scale: object, names: tuple[str, str]) -> None:
        """`names` are what the tool calls the two. None is for what the picture does not say."""
        if distilled is not None:
            self.use_number("guidance", distilled, names[0])
        if cfg_scale is None:
            return
        if distilled is None:
            self.leave(names[1], cfg_scale, "other_guidance")
        else:
            self.use_number("cfg_scale", cfg_scale, names[1])

    def use_model(self, model: object, name: str = "Model") -> None:
        if not isinstance(model, str) or not model.strip():
            self.leave(name, model, "unknown_model")
        elif len(self._models) < MOST_MODELS:
            self._models.setdefault(model, FoundModel(name=model.strip(), said=name))

    def leave(self, name: str, value: object, reason: Reason, allowed: str = "") -> None:
        if len(self._unused) < MOST_UNUSED:
            said = UnusedParameter(name=shown(name), value=shown(value), reason=reason, allowed=allowed)
            self._unused.append(said)

    def done(self) -> FoundParameters:
        values = MappingProxyType(dict(self._values))
        return FoundParameters(
            origin=self._origin,
            values=values,
            unused=tuple(self._unused),
            loras=tuple(self._loras.values()),
            models=tuple(self._models.values()),
        )


def _tag_weight(parts: Sequence[str]) -> str:
    """Of `<lora:name:0.7>`, or as Forge writes it too, `<lora:name:te=0.5:unet=0.7>`."""
    named = {name.strip(): weight for name, equals, weight in (part.partition("=") for part in parts) if equals}
    plain = [part.strip() for part in parts if "=" not in part]
    # The second plain number is the transformer's, where a tool has one for the text encoders too.
    return named.get("unet", (plain[1:2] or plain or ["1"])[0])


def number_of(value: object) -> int | float | None:
    """The number a text is; a number itself. None for all else, so that nothing is made of "3 steps" or True."""
    if isinstance(value, bool):
        return None
    if isinstance(value, int | float):
        return value
    if not isinstance(value, str) or not NUMBER.fullmatch(value):
        return None
    try:
        return int(value)
    except ValueError:
        return float(value)


def _checked(values: Mapping[str, object]) -> tuple[dict[str, object], str]:
    """The values as a request holds them, or what would be allowed in the place of the first that is wrong."""
    try:
        request = GenerationRequest.model_validate({**_VALID, **values})
    except ValidationError as error:
        return {}, problems_of(error)[0].allowed
    plain = request.model_dump()
    return {field: plain[field] for field in values}, ""
