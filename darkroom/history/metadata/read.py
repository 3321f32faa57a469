"""A request out of a picture file somebody dropped. The file may be anything; nothing in it is trusted.

Must not know: rows or folders.
"""

import json
from pathlib import Path
from typing import Any

from PIL import Image
from pydantic import ValidationError

from darkroom.history.metadata.write import DARKROOM_KEY
from darkroom.request import GenerationRequest


def read_request(path: Path) -> GenerationRequest | None:
    """The request that made this PNG, or None when it is not one of ours or not a picture. Decodes no pixels."""
    text = _own_text(path)
    if text is None:
        return None
    try:
        content: Any = json.loads(text)
        return GenerationRequest.model_validate(content["request"])
    except (ValueError, LookupError, TypeError, RecursionError, ValidationError):
        return None


def _own_text(path: Path) -> str | None:
    try:
        with Image.open(path, formats=("PNG",)) as image:
            text = image.info.get(DARKROOM_KEY)
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError):
        return None
    return text if isinstance(text, str) else None
