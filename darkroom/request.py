"""GenerationRequest: everything that decides the pixels of one picture, validated and frozen.

The one place for the fields, their ranges, units and defaults that hold for every model; what a single model allows
beyond that stands in `catalog`. Must not know: forms, rows, or how pictures are made.
"""

import re
import secrets
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Protocol

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, ValidationInfo

from darkroom.errors import InvalidRequest, Problem, shown

LONGEST_PROMPT = 10_000
LONGEST_LORA_NAME = 200
MOST_LORAS = 8
LARGEST_SEED = 2**32 - 1
RANDOM_SEED = -1


def _is_plain_text(text: str) -> str:
    if any(unprintable(character) for character in text):
        raise ValueError("text without control characters")
    return text


def unprintable(character: str) -> bool:
    """True for control characters other than line breaks and tabs, and for halves of surrogate pairs."""
    return (character < " " and character not in "\n\r\t") or character == "\x7f" or "\ud800" <= character <= "\udfff"


def _is_file_name(name: str) -> str:
    """Without its ending, perhaps below folders; never outside of where it is looked for."""
    parts = name.split("/")
    if any(part.strip(" .") != part or not part for part in parts) or any(sign in name for sign in '\\:*?"<>|'):
        raise ValueError("the name of a file, such as ink or drawings/ink")
    return _is_plain_text(name)


def _is_off_with_true_cfg(step_cache: float, others: ValidationInfo) -> float:
    """Two prompts take turns there, and one would take over what was made of the other."""
    if step_cache and others.data.get("cfg_scale", 1.0) != 1:
        raise ValueError("0 where true CFG (cfg_scale) is not 1")
    return step_cache


def _are_different(loras: "tuple[LoraUse, ...]") -> "tuple[LoraUse, ...]":
    if len({use.name for use in loras}) < len(loras):
        raise ValueError("each LoRA once")
    return loras


PromptText = Annotated[str, Field(max_length=LONGEST_PROMPT), AfterValidator(_is_plain_text)]
PixelCount = Annotated[int, Field(ge=64, le=4096, multiple_of=16)]


class LoraUse(BaseModel):
    """A LoRA by the name of its file, without .safetensors, and how strongly it counts."""

    model_config = ConfigDict(frozen=True, strict=True, extra="forbid", allow_inf_nan=False)

    name: Annotated[str, Field(min_length=1, max_length=LONGEST_LORA_NAME), AfterValidator(_is_file_name)]
    weight: Annotated[float, Field(ge=-2, le=2)] = 1.0


class GenerationRequest(BaseModel):
    """One picture as asked for. Equal requests on the same model and plan give equal pixels.

    The seed is always chosen here (0 to 2³² − 1): "random" is a wish of the form, never a stored value.
    `guidance` is FLUX's distilled guidance; `cfg_scale` above 1 is true classifier-free guidance, the only case
    in which `negative_prompt` counts, at twice the time. `width` and `height` are in pixels. `loras` lie in the folder
    `loras` of the model or of all models. Two fields trade likeness for speed: with `step_cache`, steps that would
    change little by this measure take over what the step before has made (0: none; nothing happens in fewer than six
    steps); `prompt_tokens` is how much the second text encoder reads where the prompt fits into it (0: all it can).
    """

    model_config = ConfigDict(frozen=True, strict=True, extra="forbid", allow_inf_nan=False)

    prompt: PromptText
    negative_prompt: PromptText = ""
    seed: Annotated[int, Field(ge=0, le=LARGEST_SEED)]
    steps: Annotated[int, Field(ge=1, le=100)]
    guidance: Annotated[float, Field(ge=0, le=30)]
    cfg_scale: Annotated[float, Field(ge=1, le=20)] = 1.0
    width: PixelCount
    height: PixelCount
    model: Annotated[str, Field(min_length=1, max_length=100)]
    # Not strict: JSON has lists.
    loras: Annotated[
        tuple[LoraUse, ...], Field(strict=False, max_length=MOST_LORAS), AfterValidator(_are_different)
    ] = ()
    step_cache: Annotated[float, Field(ge=0, le=1), AfterValidator(_is_off_with_true_cfg)] = 0.0
    prompt_tokens: Annotated[int, Field(ge=0, le=512, multiple_of=16)] = 0


def parse_request(values: Mapping[str, Any]) -> GenerationRequest:
    """Build a request from named values. Raises InvalidRequest naming every field that is wrong."""
    try:
        return GenerationRequest.model_validate(dict(values))
    except ValidationError as error:
        raise InvalidRequest(*problems_of(error)) from error


def random_seed() -> int:
    return secrets.randbelow(LARGEST_SEED + 1)


class Findings(Protocol):
    """pydantic's ValidationError, and whatever else has its findings."""

    def errors(self) -> Sequence[Any]: ...


def problems_of(error: Findings) -> tuple[Problem, ...]:
    """Pydantic's findings as our problems: field, value, what is allowed."""
    return tuple(
        Problem(
            field=".".join(str(part) for part in finding["loc"]),
            value=_value(finding["type"], finding["input"]),
            allowed=_allowed(finding["type"], finding["msg"], finding.get("ctx", {})),
        )
        for finding in error.errors()
    )


def _value(kind: str, given: object) -> str:
    match kind:
        case "missing":
            return "missing"
        case "too_long" if isinstance(given, list | tuple):
            return str(len(given))
        case _:
            return shown(given)


def _allowed(kind: str, message: str, context: Mapping[str, Any]) -> str:
    match kind:
        case "greater_than_equal":
            return f"at least {_number(context['ge'])}"
        case "greater_than":
            return f"more than {_number(context['gt'])}"
        case "less_than_equal":
            return f"at most {_number(context['le'])}"
        case "multiple_of":
            return f"a multiple of {_number(context['multiple_of'])}"
        case "string_too_long":
            return f"at most {context['max_length']} characters"
        case "string_too_short":
            return f"at least {context['min_length']} character"
        case "extra_forbidden" | "invalid_key":
            return "no such field"
        case "missing":
            return "a value"
        case "tuple_type" | "list_type":
            return "a list"
        case "path_type":
            return "a path"
        case "too_short":
            return f"at least {context['min_length']} of them"
        case "bool_type" | "bool_parsing":
            return "true or false"
        case "literal_error":
            return f"one of {_names(context['expected'])}"
        case "too_long":
            return f"at most {context['max_length']} of them"
        case "int_type" | "int_from_float" | "int_parsing":
            return "a whole number"
        case "float_type" | "finite_number" | "float_parsing":
            return "a number"
        case "string_type" | "string_unicode":
            return "text"
        case "model_type" | "dict_type":
            return "a section with values"
        case "value_error":
            return str(context["error"])
        case _:
            return message


def _names(expected: str) -> str:
    """Of "'newest' or 'oldest'"."""
    return ", ".join(re.findall(r"'([^']*)'", expected))


def _number(value: float) -> str:
    return str(int(value)) if value == int(value) else str(value)
