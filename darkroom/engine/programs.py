"""Programs: Triton's kernels, made for their constants and types and set to work with little of the host's time.

Imports triton: only for a process that has a card. Must not know: what a kernel computes.
"""

# mypy: disable-error-code="no-untyped-def,no-untyped-call,untyped-decorator,misc"

from typing import Any

import torch
import triton
from torch import Tensor

ALIGNED = 16
# The version whose programs are started without its help.
IS_KNOWN = triton.__version__.startswith("3.6.")


def launch(
    kernel: Any,
    grid: tuple[int, int, int],
    warps: int,
    tensors: tuple[Tensor, ...],
    numbers: tuple[int, ...],
    constants: tuple[int, ...],
) -> None:
    """Set a kernel to work. What it is given: `tensors`, then `numbers`, then `constants`, which make it what it is."""
    together = 0
    for tensor in tensors:
        together |= tensor.data_ptr()
    for number in numbers:
        together |= number
    values = (*tensors, *numbers, *constants)
    # Programs are made for what lies, and steps, at multiples of 16, where all does.
    if together % ALIGNED:
        kernel[grid](*values, num_warps=warps)
        return
    first = tensors[0]
    device = first.get_device()
    key = (id(kernel), constants, first.dtype, device)
    program = _made.get(key)
    if program is None:
        made = kernel[grid](*values, num_warps=warps)
        # Triton's interpreter makes none.
        if made is not None:
            _made[key] = _Program(made)
    else:
        program.start(grid, device, values)


class _Program:
    """A kernel made for its constants and types. Triton's own way to start it takes the host longer than most take the
    card: what it would find out again is kept here, where this version of Triton does it as that one.
    """

    def __init__(self, made: Any) -> None:
        self._made = made
        start = made.run
        scratch = start.global_scratch_size or start.profile_scratch_size if IS_KNOWN else True
        self._start: Any = None if scratch else start.launch
        if self._start is not None:
            before = (made.function, start.launch_cooperative_grid, start.launch_pdl, None, None)
            self._fixed = (*before, made.packed_metadata, None, None, None)

    def start(self, grid: tuple[int, int, int], device: int, values: tuple[Any, ...]) -> None:
        if self._start is None:
            self._made[grid](*values)
        else:
            self._start(*grid, torch._C._cuda_getCurrentRawStream(device), *self._fixed, *values)


# Kernels by what makes them what they are.
_made: dict[tuple[Any, ...], _Program] = {}
