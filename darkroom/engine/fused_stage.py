"""FusedStage: what the fused blocks of one picture have together: peaks, replays, and the place their tokens are in.

Must not know: what a block computes.
"""

import torch
from torch import Tensor

from darkroom.engine.peaks import Peaks
from darkroom.engine.replays import NoReplays, Replays


class FusedStage:
    """Of one picture of so many tokens. Not for several threads."""

    def __init__(self, peaks: Peaks, *, words: int, pixels: int) -> None:
        self.peaks = peaks
        self.replays: Replays = NoReplays()
        self._words, self._pixels = words, pixels
        self._tokens: Tensor | None = None

    def expects(self, hidden: Tensor, prompt: Tensor, *, joint: bool) -> bool:
        tokens = self._pixels if joint else self._words + self._pixels
        return hidden.shape[:2] == (1, tokens) and prompt.shape[:2] == (1, self._words)

    def apart(self, hidden: Tensor, prompt: Tensor) -> tuple[Tensor, Tensor]:
        """Picture and prompt, (tokens, width), where blocks change them in place. What came is left as it is."""
        both = self._place_like(hidden)
        return _brought(hidden, both[self._words :]), _brought(prompt, both[: self._words])

    def together(self, hidden: Tensor) -> Tensor:
        """Both, prompt first, (tokens, width), where blocks change them in place. What came is left as it is."""
        return _brought(hidden, self._place_like(hidden))

    def close(self) -> None:
        self.replays.close()

    def _place_like(self, hidden: Tensor) -> Tensor:
        if self._tokens is None:
            self._tokens = torch.empty(
                self._words + self._pixels, hidden.shape[-1], dtype=hidden.dtype, device=hidden.device
            )
        return self._tokens


def _brought(tokens: Tensor, place: Tensor) -> Tensor:
    if tokens.data_ptr() != place.data_ptr():
        place.copy_(tokens[0])
    return place
