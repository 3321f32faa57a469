"""How alike two pictures are. Must not know: how they were made."""

import torch
from torch import Tensor
from torch.nn import functional


def ssim(first: Tensor, second: Tensor) -> Tensor:
    """Structural similarity of each pair of pictures in −1…1: Wang and others 2004, a Gaussian window of 11."""
    at = torch.arange(11) - 5
    line = torch.exp(-(at**2) / (2 * 1.5**2))
    window = (line[:, None] * line / line.sum() ** 2).expand(3, 1, 11, 11)

    def blurred(picture: Tensor) -> Tensor:
        return functional.conv2d(picture[None], window, groups=3)

    small, large = (0.01 * 2) ** 2, (0.03 * 2) ** 2
    found = []
    for a, b in zip(first.unbind(), second.unbind(), strict=True):
        mean_a, mean_b = blurred(a), blurred(b)
        spread_a, spread_b = blurred(a * a) - mean_a**2, blurred(b * b) - mean_b**2
        together = blurred(a * b) - mean_a * mean_b
        light = (2 * mean_a * mean_b + small) / (mean_a**2 + mean_b**2 + small)
        found.append((light * (2 * together + large) / (spread_a + spread_b + large)).mean())
    return torch.stack(found)
