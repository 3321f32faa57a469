"""Latents to a small picture: what the result will look like, for a few microseconds' work instead of a decoder's.

Must not know: the VAE, or who looks at the preview.
"""

import io
import json
from pathlib import Path

import torch
from PIL import Image
from torch import Tensor

from darkroom.errors import ModelUnusable

LONGEST_SIDE = 256
JPEG_QUALITY = 70


class LatentColours:
    """A linear map from the 16 latent channels to red, green and blue in −1…1, fitted on real pictures."""

    def __init__(self, matrix: Tensor, bias: Tensor) -> None:
        self._matrix = matrix
        self._bias = bias

    @classmethod
    def read(cls, path: Path) -> "LatentColours":
        """From JSON {"matrix": 16 rows of 3, "bias": 3}. Raises ModelUnusable."""
        try:
            values = json.loads(path.read_text(encoding="utf-8"))
            return cls(torch.tensor(values["matrix"]), torch.tensor(values["bias"]))
        except FileNotFoundError as error:
            raise ModelUnusable("missing", path.name) from error
        except (ValueError, KeyError, TypeError) as error:
            raise ModelUnusable("damaged", path.name) from error

    def jpeg(self, latents: Tensor) -> bytes:
        """The first picture of latents (batch, 16, H/8, W/8) as a JPEG of at most 256 pixels a side."""
        colours = torch.einsum("chw,cd->hwd", latents[0].float().cpu(), self._matrix) + self._bias
        pixels = ((colours + 1) * 127.5).clamp(0, 255).round().to(torch.uint8)
        picture = Image.fromarray(pixels.numpy())
        scale = LONGEST_SIDE / max(picture.size)
        size = (round(picture.width * scale), round(picture.height * scale))
        file = io.BytesIO()
        picture.resize(size, Image.Resampling.BICUBIC).save(file, "JPEG", quality=JPEG_QUALITY)
        return file.getvalue()
