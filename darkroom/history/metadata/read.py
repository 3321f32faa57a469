"""What a picture file that somebody dropped says of its making. The file may be anything; nothing in it is trusted.

Must not know: rows or folders, or how each tool writes.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from darkroom.history.metadata import comfyui, json_tools, webui
from darkroom.history.metadata.carried import MODEL, USER_COMMENT, texts_of
from darkroom.history.metadata.found import FoundParameters, UnusedParameter
from darkroom.history.metadata.write import DARKROOM_KEY, PARAMETERS_KEY
from darkroom.request import GenerationRequest

__all__ = ["FoundParameters", "UnusedParameter", "read_parameters", "read_request"]

INVOKEAI_KEY = "invokeai_metadata"
COMFYUI_KEY = "prompt"


def read_request(path: Path) -> GenerationRequest | None:
    """The request that made this PNG, or None when it is not one of ours or not a picture. Decodes no pixels."""
    own = _own(texts_of(path))
    try:
        return None if own is None else GenerationRequest.model_validate(own)
    except ValidationError:
        return None


def read_parameters(path: Path) -> FoundParameters | None:
    """What can be taken over from a picture of Darkroom or of another tool, and what cannot. Decodes no pixels.

    None when the file is not a picture, or does not say how it was made in any way we know.
    """
    try:
        return _parameters(texts_of(path))
    except RecursionError:  # values nested just deep enough to be read, and too deep to be shown
        return None


def _parameters(texts: Mapping[str, str]) -> FoundParameters | None:
    own = _own(texts)
    if own is not None:
        return json_tools.darkroom(own)
    for text in (texts.get(PARAMETERS_KEY), texts.get(USER_COMMENT)):
        found = _of_parameters(text) if text else None
        if found is not None:
            return found
    invokeai = _object(texts.get(INVOKEAI_KEY))
    if invokeai is not None:
        return json_tools.invokeai(invokeai)
    graph = _object(texts.get(COMFYUI_KEY) or texts.get(MODEL, "").removeprefix("prompt:"))
    return None if graph is None else comfyui.parse(graph)


def _of_parameters(text: str) -> FoundParameters | None:
    """SwarmUI and Fooocus put JSON where A1111 has its text."""
    content = _object(text)
    if content is None:
        return webui.parse(text)
    swarmui = content.get("sui_image_params")
    if isinstance(swarmui, Mapping):
        return json_tools.swarmui(swarmui)
    return json_tools.fooocus(content) if "base_model" in content else None


def _own(texts: Mapping[str, str]) -> Mapping[str, Any] | None:
    content = _object(texts.get(DARKROOM_KEY))
    request = None if content is None else content.get("request")
    return request if isinstance(request, dict) and request else None


def _object(text: str | None) -> dict[str, Any] | None:
    """The JSON object a text is."""
    if not text or not text.lstrip().startswith("{"):
        return None
    try:
        content = json.loads(text)
    except (ValueError, RecursionError):
        return None
    return content if isinstance(content, dict) else None
