"""What the text encoders answered to the latest prompts, so that the same prompt is not encoded again.

Must not know: how a prompt is encoded, or what the tensors are for.
"""

from collections import OrderedDict
from collections.abc import Mapping

import torch
from torch import Tensor


class PromptCache:
    """Up to `limit_bytes` of answers in RAM; the one not asked for the longest goes first. For one thread.

    An answer belongs to a model, a prompt, and how many tokens of it are read.
    """

    def __init__(self, limit_bytes: int) -> None:
        self._limit = limit_bytes
        self._answers: OrderedDict[tuple[str, str, int], dict[str, Tensor]] = OrderedDict()

    @property
    def bytes(self) -> int:
        return sum(_size(answer) for answer in self._answers.values())

    def __contains__(self, model_prompt_tokens: object) -> bool:
        return model_prompt_tokens in self._answers

    def get(self, model: str, prompt: str, tokens: int, device: torch.device) -> dict[str, Tensor] | None:
        """A copy on the device, exactly as it was put in."""
        answer = self._answers.get((model, prompt, tokens))
        if answer is None:
            return None
        self._answers.move_to_end((model, prompt, tokens))
        return {name: tensor.to(device, copy=True) for name, tensor in answer.items()}

    def put(self, model: str, prompt: str, tokens: int, answer: Mapping[str, Tensor]) -> None:
        """Keep a copy. An answer larger than the limit is not kept."""
        self._answers.pop((model, prompt, tokens), None)
        if _size(answer) > self._limit:
            return
        # Of a view, only what is seen is kept.
        copy = {name: tensor.detach().to("cpu", copy=True) for name, tensor in answer.items()}
        self._answers[(model, prompt, tokens)] = copy
        while self.bytes > self._limit:
            self._answers.popitem(last=False)

    def clear(self) -> None:
        self._answers.clear()


def _size(answer: Mapping[str, Tensor]) -> int:
    return sum(tensor.nbytes for tensor in answer.values())
