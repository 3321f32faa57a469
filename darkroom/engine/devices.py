"""Where a picture is computed: chosen by a wish, and named for people. Must not know: models, or what they take."""

import torch


def device_name(device: torch.device) -> str:
    """ "cpu", or the card's name."""
    return torch.cuda.get_device_name(device) if device.type == "cuda" and torch.cuda.is_available() else device.type


def choose_device(wish: str) -> torch.device:
    """ "auto" takes the card if there is one."""
    if wish == "cuda" or (wish == "auto" and torch.cuda.is_available()):
        return torch.device("cuda")
    return torch.device("cpu")
