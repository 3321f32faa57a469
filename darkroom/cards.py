"""How fast known graphics cards are, as their vendor publishes it: for estimates of time, not for memory.

Must not know: models, plans, or what is installed.
"""

from collections.abc import Mapping
from dataclasses import dataclass

# The first generation that multiplies float8, and the first with bf16.
FLOAT8_SINCE = (8, 9)
LAPTOP_SHARE = 0.6


@dataclass(frozen=True, kw_only=True)
class Speed:
    """Dense multiplications and additions a second in bf16 and in float8, and bytes a second of the card's memory."""

    bf16: float
    float8: float
    memory: float


def _published(bf16: float, float8: float, memory: float) -> Speed:
    return Speed(bf16=bf16 * 1e12, float8=float8 * 1e12, memory=memory * 1e9)


# TFLOP/s without sparsity, accumulated in float32, and GB/s, as far as they are known from NVIDIA's papers on Ampere,
# Ada, Hopper and Blackwell; none was measured here but the H100. Cards without float8 multiply in bf16.
KNOWN: Mapping[str, Speed] = {
    "H200": _published(989, 1979, 4800),
    "H100": _published(989, 1979, 3350),
    "H100 PCIe": _published(756, 1513, 2000),
    "A100": _published(312, 312, 1555),
    "L40S": _published(362, 733, 864),
    "L4": _published(121, 242, 300),
    "RTX 5090": _published(209.5, 419, 1792),
    "RTX 5080": _published(112.6, 225.1, 960),
    "RTX 5070 Ti": _published(87.9, 175.8, 896),
    "RTX 5070": _published(61.7, 123.5, 672),
    "RTX 5060 Ti": _published(47.4, 94.8, 448),
    "RTX 5060": _published(38.4, 76.8, 448),
    "RTX 4090": _published(165.2, 330.3, 1008),
    "RTX 4090 D": _published(147, 294, 1008),
    "RTX 4080 SUPER": _published(104.4, 208.9, 736),
    "RTX 4080": _published(97.5, 194.9, 717),
    "RTX 4070 Ti SUPER": _published(88.2, 176.4, 672),
    "RTX 4070 Ti": _published(80.2, 160.4, 504),
    "RTX 4070 SUPER": _published(71, 142, 504),
    "RTX 4070": _published(58.3, 116.6, 504),
    "RTX 4060 Ti": _published(44.1, 88.3, 288),
    "RTX 4060": _published(30.2, 60.5, 272),
    "RTX 3090 Ti": _published(80, 80, 1008),
    "RTX 3090": _published(71, 71, 936),
    "RTX 3080 Ti": _published(68.2, 68.2, 912),
    "RTX 3080": _published(59.5, 59.5, 760),
    "RTX 3070": _published(40.6, 40.6, 448),
    "RTX 3060 Ti": _published(32.4, 32.4, 448),
    "RTX 3060": _published(25.5, 25.5, 360),
}

# A modest card of each generation, the newest first, for names that are not known.
GENERATIONS: tuple[tuple[tuple[int, int], Speed], ...] = (
    ((10, 0), _published(47.4, 94.8, 448)),
    ((9, 0), _published(756, 1513, 2000)),
    ((8, 9), _published(44.1, 88.3, 288)),
    ((8, 6), _published(25.5, 25.5, 360)),
    ((8, 0), _published(312, 312, 1555)),
    ((0, 0), _published(10, 10, 300)),
)


def speed_of(name: str, compute: tuple[int, int]) -> Speed:
    """The longest known name within `name` decides, else the generation."""
    words = f" {name.lower().replace('-', ' ')} "
    known = [each for each in KNOWN if f" {each.lower()} " in words]
    if not known:
        return next(speed for since, speed in GENERATIONS if compute >= since)
    speed = KNOWN[max(known, key=len)]
    if "laptop" not in name.lower():
        return speed
    return Speed(bf16=speed.bf16 * LAPTOP_SHARE, float8=speed.float8 * LAPTOP_SHARE, memory=speed.memory * LAPTOP_SHARE)
