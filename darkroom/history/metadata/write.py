"""The text inside a PNG: `parameters`, as A1111 and Forge write and other tools read it, and `darkroom`, our own JSON.

Must not know: rows, folders, or pixels.
"""

import json
from collections.abc import Mapping

from PIL.PngImagePlugin import PngInfo

from darkroom import __version__
from darkroom.request import GenerationRequest

PARAMETERS_KEY = "parameters"
DARKROOM_KEY = "darkroom"
LORAS = "Loras"
# The first of a file's SHA-256, by which A1111, Forge and Civitai know a model.
MODEL_HASH, MODEL_HASH_LENGTH = "Model hash", 10
SHA256_FACT, SHA256_LENGTH = "model_sha256", 64
NO_FACTS: Mapping[str, str | int | float] = {}
# Fields that trade likeness for speed, written where they do.
TRADES = {"step_cache": "Step cache", "prompt_tokens": "Prompt tokens"}


def png_text(request: GenerationRequest, facts: Mapping[str, str | int | float]) -> PngInfo:
    text = PngInfo()
    text.add_text(PARAMETERS_KEY, parameters_text(request, facts))
    text.add_text(DARKROOM_KEY, darkroom_text(request, facts))
    return text


def parameters_text(request: GenerationRequest, facts: Mapping[str, str | int | float] = NO_FACTS) -> str:
    """The prompt, the negative prompt if there is one, and one line of settings.

    FLUX's guidance is what Forge calls "Distilled CFG Scale". Other tools put LoRAs into the prompt.
    """
    sha256 = str(facts.get(SHA256_FACT, ""))
    settings = {
        "Steps": request.steps,
        "Sampler": "Euler",
        "CFG scale": request.cfg_scale,
        "Distilled CFG Scale": request.guidance,
        "Seed": request.seed,
        "Size": f"{request.width}x{request.height}",
        # Of a model in several files there is no such thing.
        **({MODEL_HASH: sha256[:MODEL_HASH_LENGTH]} if len(sha256) == SHA256_LENGTH else {}),
        "Model": request.model,
        **({LORAS: json.dumps([use.model_dump() for use in request.loras])} if request.loras else {}),
        **{name: getattr(request, field) for field, name in TRADES.items() if getattr(request, field)},
        "Version": f"Darkroom {__version__}",
    }
    lines = [request.prompt]
    if request.negative_prompt:
        lines.append(f"Negative prompt: {request.negative_prompt}")
    lines.append(", ".join(f"{name}: {_quoted(str(value))}" for name, value in settings.items()))
    return "\n".join(lines)


def darkroom_text(request: GenerationRequest, facts: Mapping[str, str | int | float]) -> str:
    """ASCII, so that it is a plain tEXt chunk whatever the language of the prompt."""
    return json.dumps({"version": __version__, "request": request.model_dump(mode="json"), "facts": dict(facts)})


def _quoted(value: str) -> str:
    """As A1111 does it: JSON quotes around a value its parser would otherwise cut."""
    return json.dumps(value, ensure_ascii=False) if any(sign in value for sign in ",:\n") else value
