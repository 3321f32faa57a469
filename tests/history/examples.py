"""Requests to test with, the odd ones included."""

from typing import Any

from darkroom.request import GenerationRequest, parse_request

PIXELS = bytes(range(256)) * (64 * 64 * 3 // 256)
"""Of a 64 × 64 picture."""


def request(**changes: Any) -> GenerationRequest:
    values: dict[str, Any] = {
        "prompt": "a lighthouse at dusk",
        "seed": 42,
        "steps": 4,
        "guidance": 3.5,
        "width": 64,
        "height": 64,
        "model": "demo",
    }
    return parse_request(values | changes)


ODD_REQUESTS = (
    request(prompt=""),
    request(prompt="山上的灯塔，黄昏", negative_prompt="模糊"),
    request(prompt="👩‍👩‍👧‍👦 🏳️‍🌈 e\N{COMBINING ACUTE ACCENT} \N{RIGHT-TO-LEFT OVERRIDE}txet", negative_prompt="🤖"),
    request(prompt="\"; DROP TABLE pictures; -- \\u0000 ' %s {} <script>"),
    request(prompt="two lines\r\nand\ta tab\n"),
    request(prompt="Negative prompt: none\nSteps: 99, Seed: 1"),
    request(prompt="x" * 10_000, negative_prompt="夜" * 10_000),
    request(seed=0, steps=1, guidance=0.0, cfg_scale=1.0),
    request(seed=2**32 - 1, steps=100, guidance=30.0, cfg_scale=20.0, width=4096, height=4096),
    request(guidance=0.1 + 0.2, cfg_scale=1.0000000000000002),
    request(guidance=5e-324, cfg_scale=19.999999999999996),
    request(guidance=3, cfg_scale=7),
    request(model='odd, name: "x"'),
    request(loras=[{"name": "ink"}, {"name": "画 风/a, b", "weight": -0.25}]),
    request(step_cache=0.1 + 0.2, prompt_tokens=496),
    request(loras=[{"name": "x" * 200, "weight": number / 4} for number in (2,)]),
)
