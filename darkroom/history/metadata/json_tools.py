"""The JSON that InvokeAI, SwarmUI and Fooocus write, and our own. Must not know: files."""

import re
from collections.abc import Mapping
from typing import Any

from darkroom.history.metadata.found import Findings, FoundParameters
from darkroom.history.metadata.write import TRADES
from darkroom.request import GenerationRequest

Json = Mapping[str, Any]

RESOLUTION = re.compile(r"\(?(\d{1,9}), ?(\d{1,9})\)?", re.ASCII)

# What is no parameter of the picture, or says nothing on its own.
INVOKE_SKIPPED = {"app_version", "generation_mode", "rand_device", "created_by", "canvas_v2_metadata", "ref_images"}
SWARM_SKIPPED = {"swarm_version", "images", "aspectratio", "automaticvae", "personalnote", "donotsave"}
FOOOCUS_SKIPPED = {
    "version",
    "metadata_scheme",
    "created_by",
    "full_prompt",
    "full_negative_prompt",
    "prompt_expansion",
}


def darkroom(request: Json) -> FoundParameters:
    """Field by field, so that a later version's picture gives what this version knows; an earlier one's had no more."""
    rest = dict.fromkeys(TRADES, 0) | dict(request)
    findings = Findings("Darkroom")
    if "width" in rest and "height" in rest:
        findings.use_size(rest.pop("width"), rest.pop("height"), "width × height")
    for field, value in rest.items():
        if field in GenerationRequest.model_fields:
            findings.use(field, value, field)
        else:
            findings.leave(field, value, "not_supported")
    return findings.done()


def invokeai(content: Json) -> FoundParameters:
    rest = dict(content)
    findings = Findings("InvokeAI")
    _use_prompts(rest, findings, "positive_prompt", "negative_prompt")
    _use_numbers(rest, findings)
    findings.use_guidance(rest.pop("guidance", None), rest.pop("cfg_scale", None), ("guidance", "cfg_scale"))
    model = rest.pop("model", None)
    if model is not None:
        findings.use_model(model.get("name", "") if isinstance(model, Mapping) else model, "model")
    for lora in _list(rest.pop("loras", None)):
        about = lora if isinstance(lora, Mapping) else {}
        named = about.get("model", about.get("lora"))
        named = named if isinstance(named, Mapping) else {}
        findings.use_lora(named.get("name", named.get("model_name")), about.get("weight"))
    _leave(rest, findings, INVOKE_SKIPPED)
    return findings.done()


def swarmui(content: Json) -> FoundParameters:
    rest = dict(content)
    findings = Findings("SwarmUI")
    _use_prompts(rest, findings, "prompt", "negativeprompt")
    _use_numbers(rest, findings)
    names = ("fluxguidancescale", "cfgscale")
    findings.use_guidance(rest.pop(names[0], None), rest.pop(names[1], None), names)
    if "model" in rest:
        findings.use_model(rest.pop("model"), "model")
    loras, weights = _list(rest.pop("loras", None)), _list(rest.pop("loraweights", None))
    for place, lora in enumerate(loras):
        findings.use_lora(lora, weights[place] if place < len(weights) else 1)
    _leave(rest, findings, SWARM_SKIPPED)
    return findings.done()


def fooocus(content: Json) -> FoundParameters:
    """Made for SDXL, so its guidance is never FLUX's."""
    rest = dict(content)
    findings = Findings("Fooocus")
    _use_prompts(rest, findings, "prompt", "negative_prompt")
    sides = RESOLUTION.fullmatch(str(rest.pop("resolution", "")))
    if sides:
        findings.use_size(sides[1], sides[2], "resolution")
    _use_numbers(rest, findings)
    findings.use_guidance(None, rest.pop("guidance_scale", None), ("", "guidance_scale"))
    if "base_model" in rest:
        findings.use_model(rest.pop("base_model"), "base_model")
    for lora in _list(rest.pop("loras", None)):
        name, weight = lora[:2] if isinstance(lora, list) and len(lora) > 1 else (lora, None)
        findings.use_lora(name, weight)
    _leave(rest, findings, FOOOCUS_SKIPPED)
    return findings.done()


def _use_prompts(rest: dict[str, Any], findings: Findings, prompt: str, negative: str) -> None:
    """A prompt that is not there is none; the same for null."""
    findings.use_prompt("prompt", _text(rest.pop(prompt, None)), prompt)
    findings.use_prompt("negative_prompt", _text(rest.pop(negative, None)), negative)


def _use_numbers(rest: dict[str, Any], findings: Findings) -> None:
    for field in ("seed", "steps"):
        if field in rest:
            findings.use_number(field, rest.pop(field), field)
    if "width" in rest and "height" in rest:
        findings.use_size(rest.pop("width"), rest.pop("height"), "width × height")


def _leave(rest: Mapping[str, Any], findings: Findings, skipped: set[str]) -> None:
    for name, value in rest.items():
        if name not in skipped and value not in (None, "", [], {}, False):
            findings.leave(name, value, "not_supported")


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


def _text(value: Any) -> Any:
    return "" if value is None else value
