"""The card's own kernels: what they compute is what the same operations written with torch do.

Without a card, Triton's interpreter runs most of them (not what it cannot: float8 it rounds coarsely, and bf16 and
float8 it does not multiply), in a process of its own; and all are compiled for each kind of card.
"""

import importlib.util
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch
from torch import Tensor

from darkroom.engine.float8 import STORED, LowRank, quantize
from darkroom.engine.kernel_order import KernelOrder
from darkroom.engine.operations import RANKS, More, Operations, TorchOperations

CPU = torch.device("cpu")
HEADS, HEAD_WIDTH, ROWS = 3, 32, 37
WIDTH = HEADS * HEAD_WIDTH
# More than one program makes.
WIDEST = 600
# Beside what is written.
PADDING = 64
has_triton = pytest.mark.skipif(importlib.util.find_spec("triton") is None, reason="triton is not installed")
on_a_card = pytest.mark.skipif(
    not torch.cuda.is_available() or torch.cuda.get_device_capability() < (8, 9),
    reason="no CUDA card that multiplies float8",
)
# Of the norm: another order of sums; now and then float8's next number; and what the interpreter makes of float8.
EXACT, ROUNDED, COARSE = 1e-5, 0.02, 0.12


class Case:
    """An operation with its tensors; called with the operations of a kind, returns what it has written."""

    def __init__(self, name: str, run: Callable[..., Any], *tensors: Tensor) -> None:
        self.name, self._run, self._tensors = name, run, tensors

    def __call__(self, operations: Operations) -> list[Tensor]:
        own = [tensor.clone() for tensor in self._tensors]
        peak = torch.zeros((), dtype=torch.int32, device=own[0].device)
        made = self._run(operations, peak, *own)
        made = made if isinstance(made, tuple) else (made,)
        written = [tensor for tensor in (*made, *own) if tensor is not None]
        return [tensor.float() for tensor in (*written, peak.view(torch.float32))]


def cases(device: torch.device, dtype: torch.dtype, *, multiplies_float8: bool = True) -> list[Case]:
    torch.manual_seed(0)

    def some(*shape: int, size: float = 1.0) -> Tensor:
        return (size * torch.randn(*shape)).to(device, dtype)

    unit = torch.tensor(0.25, device=device)
    shift, scale, gate = (some(1, WIDTH, size=0.3) for _ in range(3))
    angle = torch.randn(ROWS, HEAD_WIDTH // 2)
    angles = torch.stack([angle.cos(), -angle.sin(), angle.sin(), angle.cos()], -1).view(ROWS, -1, 2, 2).to(device)
    weights = some(HEAD_WIDTH), some(HEAD_WIDTH)

    def more(width: int, rank: int = 16) -> More:
        return More(some(ROWS, rank), some(width, rank))

    def stored_by(run: Callable[..., None], width: int = WIDTH) -> Callable[..., Tensor]:
        def stored(operations: Operations, peak: Tensor, hidden: Tensor) -> Tensor:
            place = torch.zeros(ROWS, width + PADDING, device=device).to(STORED)
            run(operations, hidden[:, 4 : 4 + width], place[:, 60 : 60 + width], peak)
            return place

        return stored

    of_three, of_wide, of_widest = more(3 * WIDTH, 32), more(WIDTH, 48), more(WIDEST)
    hidden, added, widest = some(ROWS, WIDTH), some(ROWS, WIDTH), some(ROWS, WIDEST + 16, size=3)
    wide = some(ROWS, 3 * WIDTH + 16, size=3)
    found = [
        Case("norm", lambda each, peak, one: each.normalize(one, shift, scale, unit, peak), hidden),
        Case(
            "norm of a sum",
            lambda each, peak, one, other: each.normalize(one, shift, scale, unit, peak, added=other, gate=gate),
            hidden,
            added,
        ),
        Case("sum", lambda each, _peak, one, other: each.add(one, gate, other, into=one), hidden, added),
        Case(
            "sum, more", lambda each, _peak, one, other: each.add(one, gate, other, of_wide, into=other), hidden, added
        ),
        Case("gelu", stored_by(lambda each, one, place, peak: each.gelu(one, place, unit, peak)), wide),
        Case("gelu, more", stored_by(lambda each, one, place, peak: each.gelu(one, place, unit, peak, of_wide)), wide),
        Case(
            "gelu, more, of many columns",
            stored_by(lambda each, one, place, peak: each.gelu(one, place, unit, peak, of_widest), WIDEST),
            widest,
        ),
        Case("shrunk", stored_by(lambda each, one, place, peak: each.shrink(one, place, unit, peak)), wide),
        Case("turned", lambda each, _peak, one: each.turn(one, *weights, angles, heads=HEADS), wide),
        Case(
            "turned, more", lambda each, _peak, one: each.turn(one, *weights, angles, heads=HEADS, more=of_three), wide
        ),
    ]
    if multiplies_float8:
        down = torch.randn(48, WIDTH)
        low_rank = LowRank(*(part.to(device) for part in (down.to(dtype), torch.randn(64, 48), *quantize(down))))
        low_rank = low_rank._replace(up=low_rank.up.to(dtype))
        activations = torch.randn(ROWS, WIDTH).to(STORED).to(device)
        found.append(Case("narrow", lambda each, _peak, one: each.narrow(activations, one, low_rank), unit))
    return found


def difference(one: Tensor, other: Tensor) -> float:
    return float((one - other).norm() / other.norm().clamp(min=1e-9))


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float32])
def test_without_a_card_all_that_is_tried_before_is_right_for_it(dtype: torch.dtype, tmp_path: Path) -> None:
    for rank in (0, *RANKS):
        order = KernelOrder(width=64, heads=2, rank=rank, dtype=dtype, device=CPU, path=tmp_path / f"{rank}.kernels")
        order.make()
        assert order.path.exists()
        assert isinstance(order.load(), TorchOperations)


@has_triton
def test_the_interpreter_finds_kernels_computing_what_torch_does() -> None:
    # Whoever imports triton is asked once, at the beginning.
    program = "from tests.engine.test_kernels import compare_interpreted; compare_interpreted()"
    environment = os.environ | {"TRITON_INTERPRET": "1", "PYTHONPATH": str(Path(__file__).parents[2])}
    ended = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", program], env=environment, capture_output=True, text=True, check=False
    )
    assert ended.returncode == 0, ended.stderr[-2000:]
    assert ended.stdout.split() == ["10", "cases"]


def compare_interpreted() -> None:
    """In a process of its own."""
    found = cases(CPU, torch.float32, multiplies_float8=False)
    for case in found:
        for one, other in zip(case(kernels()), case(TorchOperations()), strict=True):
            assert difference(one, other) < COARSE, case.name
            if one.shape == () or one.shape[1] not in (WIDTH + PADDING, WIDEST + PADDING) or "turn" in case.name:
                assert difference(one, other) < (COARSE if "norm" in case.name else EXACT), case.name
    sys.stdout.write(f"{len(found)} cases")


@has_triton
@pytest.mark.parametrize("capability", [89, 90, 120])
def test_kernels_can_be_compiled_for_each_kind_of_card(capability: int, tmp_path: Path) -> None:
    program = f"from tests.engine.test_kernels import compile_all; compile_all({capability})"
    environment = os.environ | {"TRITON_CACHE_DIR": str(tmp_path), "PYTHONPATH": str(Path(__file__).parents[2])}
    ended = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", program], env=environment, capture_output=True, text=True, check=False
    )
    assert ended.returncode == 0, ended.stderr[-2000:]
    # Not more than these cards have for one program.
    most = {89: 99, 90: 227, 120: 99}[capability]
    assert all(int(each) <= most * 1024 for each in ended.stdout.split())


def compile_all(capability: int) -> None:
    """In a process of its own: each kernel for FLUX.1's widths, and how much of a card's fast memory it takes."""
    import triton
    from triton.backends.compiler import GPUTarget
    from triton.compiler import ASTSource

    made = kernels()
    types = {"stored": "*fp8e4nv", "down": "*fp8e4nv", "unit": "*fp32", "scale": "*bf16", "peak": "*i32"}
    numbers = ("row", "rows", "hidden_row", "stored_row", "width", "tokens", "rank")
    width, head_width, heads = 3072, 128, 24

    def framed(frame: Any, block: int) -> dict[str, Any]:
        sides = {name: getattr(frame, name) for name in ("high", "wide", "often", "stages")}
        return {**sides, "block": block}

    flat = framed(made.FLAT, 0)
    jobs: list[tuple[Any, dict[str, Any]]] = [
        *((made._normalize, {"width": width, "block": 4096, "adds": adds}) for adds in (False, True)),
        *((made._store, {**flat, "is_gelu": gelu}) for gelu in (False, True)),
        (made._add, flat),
    ]

    def turned(tokens: int, at_once: int) -> dict[str, int]:
        return {
            "heads": heads,
            "head_width": head_width,
            "heads_at_once": at_once,
            "tokens_at_once": tokens,
        }

    jobs.append((made._turn, {**turned(*made.TURNED), "block": 0}))
    for block in RANKS:
        jobs += [
            (made._store, {**framed(made.STORED_WITH_MORE, block), "is_gelu": True}),
            (made._add, framed(made.ADDED_WITH_MORE, block)),
            (made._turn, {**turned(*made.TURNED_MULTIPLIED), "block": block}),
        ]
        deep = {
            "width": 12_288,
            "high": made.NARROW_ROWS,
            "deep": made.NARROW_AREA // block,
            "stages": made.NARROW_STAGES,
            "block": block,
        }
        jobs.append((made._narrow, deep))
    for kernel, constants in jobs:
        signature = {}
        for name in kernel.arg_names:
            kind = "i32" if name in numbers else types.get(name, "*bf16")
            if name == "angles" or (kernel is made._narrow and name == "scale"):
                kind = "*fp32"
            signature[name] = "constexpr" if name in constants else kind
        attributes = {
            (place,): [["tt.divisibility", 16]]
            for place, name in enumerate(kernel.arg_names)
            if signature[name] != "constexpr"
        }
        values = {(kernel.arg_names.index(name),): value for name, value in constants.items()}
        source = ASTSource(kernel, signature, values, attributes)
        compiled = triton.compile(source, target=GPUTarget("cuda", capability, 32), options={"num_warps": 4})
        sys.stdout.write(f"{compiled.metadata.shared}\n")


def kernels() -> Any:
    from darkroom.engine import kernels as made

    module: ModuleType = made
    return module


# --- on a card


@pytest.mark.gpu
@on_a_card
def test_on_a_card_kernels_compute_what_torch_does() -> None:
    found = cases(torch.device("cuda"), torch.bfloat16)
    for case in found:
        for one, other in zip(case(kernels()), case(TorchOperations()), strict=True):
            assert difference(one, other) < ROUNDED, case.name


@pytest.mark.gpu
@on_a_card
def test_on_a_card_what_is_too_large_for_float8_is_its_largest_and_what_is_no_number_stays_none() -> None:
    device = torch.device("cuda")
    hidden = torch.tensor([[1e4, -1e4, torch.inf, torch.nan, 1.0, 448.0, 0.0, -2.0]], device=device).bfloat16()
    stored, peak = torch.empty(1, 8, dtype=STORED, device=device), torch.zeros((), dtype=torch.int32, device=device)
    kernels().shrink(hidden, stored, torch.ones((), device=device), peak)
    assert stored.float().nan_to_num(-1).tolist() == [[448, -448, 448, -1, 1, 448, 0, -2]]
    assert peak.view(torch.float32).isnan()
