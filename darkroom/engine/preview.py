"""Latents to a small picture: what the result will look like, for a few microseconds' work instead of a decoder's.

Must not know: the VAE, or who looks at the preview.
"""

import io
import json
from pathlib import Path, PurePosixPath

import torch
from PIL import Image
from torch import Tensor

from darkroom.errors import ModelUnusable

LONGEST_SIDE = 256
JPEG_QUALITY = 70
# Of FLUX.1's VAE: the figures of InvokeAI (Apache-2.0, invokeai/app/util/step_callback.py), which adds nothing to them.
FLUX1_COLOURS = (
    (-0.0412, 0.0149, 0.0521),
    (0.0056, 0.0291, 0.0768),
    (0.0342, -0.0681, -0.0427),
    (-0.0258, 0.0092, 0.0463),
    (0.0863, 0.0784, 0.0547),
    (-0.0017, 0.0402, 0.0158),
    (0.0501, 0.1058, 0.1152),
    (-0.0209, -0.0218, -0.0329),
    (-0.0314, 0.0083, 0.0896),
    (0.0851, 0.0665, -0.0472),
    (-0.0534, 0.0238, -0.0024),
    (0.0452, -0.0026, 0.0048),
    (0.0892, 0.0831, 0.0881),
    (-0.1117, -0.0304, -0.0789),
    (0.0027, -0.0479, -0.0043),
    (-0.1146, -0.0827, -0.0598),
)


class LatentColours:
    """A linear map from the 16 latent channels to red, green and blue in −1…1, fitted on real pictures."""

    def __init__(self, matrix: Tensor, bias: Tensor) -> None:
        self._matrix = matrix
        self._bias = bias

    @classmethod
    def of(cls, folder: Path, path: PurePosixPath | None) -> "LatentColours":
        """A model's own, or FLUX.1's. Raises ModelUnusable."""
        if path is not None:
            return cls.read(folder / path)
        return cls(torch.tensor(FLUX1_COLOURS), torch.zeros(3))

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

    def pixels(self, latents: Tensor) -> Tensor:
        """The first picture of latents (batch, 16, H/8, W/8), where they are: (H/8, W/8, 3), bytes."""
        if self._matrix.device != latents.device:
            self._matrix, self._bias = self._matrix.to(latents.device), self._bias.to(latents.device)
        colours = torch.einsum("chw,cd->hwd", latents[0].float(), self._matrix) + self._bias
        return ((colours + 1) * 127.5).clamp(0, 255).round().to(torch.uint8)


def jpeg_of(pixels: Tensor) -> bytes:
    """Pixels (height, width, 3) in the computer's memory as a JPEG of at most 256 pixels a side."""
    picture = Image.fromarray(pixels.numpy())
    scale = LONGEST_SIDE / max(picture.size)
    size = (round(picture.width * scale), round(picture.height * scale))
    file = io.BytesIO()
    picture.resize(size, Image.Resampling.BICUBIC).save(file, "JPEG", quality=JPEG_QUALITY)
    return file.getvalue()
