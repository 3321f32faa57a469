"""Where a picture is computed: chosen by a wish, and named for people. Must not know: models, or what they take."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager

import torch

# How CUDA says that a card has no room left for CUDA itself.
NO_ROOM_FOR_CUDA = "CUDA error: out of memory"


def device_name(device: torch.device) -> str:
    """ "cpu", or the card's name."""
    return torch.cuda.get_device_name(device) if device.type == "cuda" and torch.cuda.is_available() else device.type


def choose_device(wish: str) -> torch.device:
    """ "auto" takes the card if there is one."""
    if wish == "cuda" or (wish == "auto" and torch.cuda.is_available()):
        return torch.device("cuda")
    return torch.device("cpu")


def has_failed(error: BaseException) -> bool:
    """Whether it says that this process can do nothing more with the card: not even free what is there."""
    return isinstance(error, torch.AcceleratorError) and NO_ROOM_FOR_CUDA not in str(error)


@contextmanager
def ended_by(cleaning: Callable[[], None]) -> Iterator[None]:
    """`cleaning` comes at the end, however that comes. Not on a card that has failed: torch ends a process that frees
    what is there, by SIGABRT, and it could tell no one.
    """
    with ExitStack() as stack:
        stack.callback(cleaning)
        try:
            yield
        except torch.AcceleratorError as error:
            if has_failed(error):
                stack.pop_all()
            raise
