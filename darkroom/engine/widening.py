"""Float8 numbers in a wider type, exactly. On a processor by their bits: torch converts them there one by one.

Must not know: layers, scales, or what the numbers are for.
"""

import torch
from torch import Tensor

# By type: integers as wide, how far float8's exponent and mantissa lie from its own, and the bits of those and of the
# sign.
BITS: dict[torch.dtype, tuple[torch.dtype, int, int]] = {
    torch.bfloat16: (torch.int16, 4, 0x87F0 - (1 << 16)),
    torch.float32: (torch.int32, 20, 0x87F0_0000 - (1 << 32)),
}
# Of the wider type's exponent float8's fills the lower half: both count from a middle of their own, 127 and 7.
BETWEEN_EXPONENTS = 2.0**120


def widened(stored: Tensor, dtype: torch.dtype) -> Tensor:
    """`stored` is float8_e4m3fn without a code that is no number."""
    if not stored.is_cpu or dtype not in BITS:
        return stored.to(dtype)
    integer, places, kept = BITS[dtype]
    # The sign is in all of an integer's upper bits until all but the first are masked out.
    bits = stored.view(torch.int8).to(integer).bitwise_left_shift_(places).bitwise_and_(kept)
    return bits.view(dtype).mul_(BETWEEN_EXPONENTS)
