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

from darkroom.engine.float8 import STORED
from darkroom.engine.kernel_order import KernelOrder
from darkroom.engine.operations import RANKS, More, Narrow, Operations, TorchOperations

CPU = torch.device("cpu")
HEADS, HEAD_WIDTH, ROWS = 3, 32, 37
WIDTH = HEADS * HEAD_WIDTH
# More than one program makes, or one part of a sum.
WIDEST = 1000
# Beside what is written.
PADDING = 64
has_triton = pytest.mark.skipif(importlib.util.find_spec("triton") is None, reason="triton is not installed")
on_a_card = pytest.mark.skipif(
    not torch.cuda.is_available() or torch.cuda.get_device_capability() < (8, 9),
    reason="no CUDA card that multiplies float8",
)
# Of the norm: another order of sums; now and then float8's next number; and what the interpreter makes of float8.
EXACT, ROUNDED, COARSE = 1e-5, 0.03, 0.12


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


class Given:
    """What operations are tried with: tensors, and ways to call them with some."""

    def __init__(self, device: torch.device, dtype: torch.dtype) -> None:
        self._device, self._dtype = device, dtype
        self.unit = torch.tensor(0.25, device=device)
        self.rows = [self.some(1, WIDEST, size=0.3) for _ in range(3)]
        angle = torch.randn(ROWS, HEAD_WIDTH // 2)
        turns = torch.stack([angle.cos(), -angle.sin(), angle.sin(), angle.cos()], -1)
        self.angles = turns.view(ROWS, -1, 2, 2).to(device)
        self.weights = self.some(HEAD_WIDTH), self.some(HEAD_WIDTH)
        self.of_three, self.of_widest = self._more(3 * WIDTH, 32), self._more(WIDEST)
        self.of_wide = self._more(WIDTH, 48, parts=3)
        # More columns than are taken, as where two write into one layer's activations.
        self.down = self.some(48, WIDTH + 32)[:, 16 : 16 + WIDTH]
        self.down_of_widest = self.some(16, WIDEST)
        self.hidden, self.added = self.some(ROWS, WIDTH), self.some(ROWS, WIDTH)
        self.wide, self.widest = self.some(ROWS, 3 * WIDTH + 16, size=3), self.some(ROWS, WIDEST + 16, size=3)

    def some(self, *shape: int, size: float = 1.0) -> Tensor:
        return (size * torch.randn(*shape)).to(self._device, self._dtype)

    def norm(self, name: str, *tensors: Tensor, down: Tensor | None = None, more: More | None = None) -> Case:
        def normed(operations: Operations, peak: Tensor, hidden: Tensor, added: Tensor | None = None) -> Any:
            def run(narrow: Narrow | None) -> tuple[Tensor, Tensor]:
                shift, scale, gate = (row[:, : hidden.shape[1]] for row in self.rows)
                sides = {} if added is None else {"added": added, "gate": gate, "more": more}
                return operations.normalize(hidden, shift, scale, self.unit, peak, narrow=narrow, **sides)

            made, *sums = self._taken(down, run, operations.parts(hidden.shape[1]))
            return *made, *sums

        return Case(name, normed, *tensors)

    def stored(self, name: str, hidden: Tensor, width: int = WIDTH, down: Tensor | None = None, **more: More) -> Case:
        def stored(operations: Operations, peak: Tensor, hidden: Tensor) -> tuple[Tensor, ...]:
            place = torch.zeros(ROWS, width + PADDING, device=self._device).to(STORED)

            def run(narrow: Narrow | None) -> None:
                write = operations.shrink if "shrunk" in name else operations.gelu
                sides = (hidden[:, 4 : 4 + width], place[:, 60 : 60 + width])
                write(*sides, self.unit, peak, narrow=narrow, **more)

            _, *sums = self._taken(down, run, operations.parts(width))
            return place, *sums

        return Case(name, stored, hidden)

    def _more(self, width: int, rank: int = 16, parts: int = 1) -> More:
        return More(torch.randn(parts, ROWS, rank).to(self._device), self.some(width, rank))

    def _taken(self, down: Tensor | None, run: Callable[..., Any], parts: int) -> tuple[Any, ...]:
        """What it returns, and the sum of what LoRAs take; every part of it has to be written."""
        if down is None:
            return (run(None),)
        sums = torch.full((parts, ROWS, len(down)), torch.nan, device=self._device)
        return run(Narrow(down, sums)), sums.sum(0)


def cases(device: torch.device, dtype: torch.dtype) -> list[Case]:
    torch.manual_seed(0)
    it = Given(device, dtype)
    both, gate = (it.hidden, it.added), it.rows[2][:, :WIDTH]
    wide_norm = (it.widest[:, :WIDEST].contiguous(), it.some(ROWS, WIDEST))
    turned = {"heads": HEADS}
    return [
        it.norm("norm", it.hidden),
        it.norm("norm, taken", it.hidden, down=it.down),
        it.norm("norm of a sum", *both),
        it.norm("norm of a sum, taken", *both, down=it.down),
        it.norm("norm of a sum, more", *both, more=it.of_wide),
        it.norm("norm of a sum, more, taken", *both, down=it.down, more=it.of_wide),
        it.norm("norm of a wide sum, more, taken", *wide_norm, down=it.down_of_widest, more=it.of_widest),
        it.stored("gelu", it.wide),
        it.stored("gelu, more", it.wide, more=it.of_wide),
        it.stored("gelu, taken", it.wide, down=it.down),
        it.stored("gelu of many columns, more, taken", it.widest, WIDEST, it.down_of_widest, more=it.of_widest),
        it.stored("shrunk", it.wide),
        it.stored("shrunk, taken", it.wide, down=it.down),
        Case("sum", lambda each, _, one, other: each.add(one, gate, other, into=one), *both),
        Case("sum, more", lambda each, _, one, other: each.add(one, gate, other, it.of_wide, into=other), *both),
        Case("turned", lambda each, _, one: each.turn(one, *it.weights, it.angles, **turned), it.wide),
        Case(
            "turned, more",
            lambda each, _, one: each.turn(one, *it.weights, it.angles, more=it.of_three, **turned),
            it.wide,
        ),
    ]


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
    assert ended.stdout.split() == ["17", "cases"]


def compare_interpreted() -> None:
    """In a process of its own."""
    found = cases(CPU, torch.float32)
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

    from darkroom.engine import kernel_code as code

    made = kernels()
    types = {"stored": "*fp8e4nv", "peak": "*i32"}
    types |= dict.fromkeys(("unit", "angles", "sums", "taken_sums"), "*fp32")
    numbers = ("row", "rows", "hidden_row", "stored_row", "down_row", "width", "tokens", "rank", "taken_rank")
    width, head_width, heads = 3072, 128, 24

    def framed(frame: Any, block: int, parts: int) -> dict[str, Any]:
        sides = {name: getattr(frame, name) for name in ("high", "wide", "often", "stages")}
        return {**sides, "parts": parts, "block": block}

    flat = framed(made.FLAT, 0, 0)
    jobs: list[tuple[Any, dict[str, Any]]] = [
        *((code.normalize, {"width": width, "block": 4096, "adds": adds}) for adds in (False, True)),
        *((code.store, {**flat, "is_gelu": gelu, "takes": False}) for gelu in (False, True)),
        (code.add, flat),
    ]

    def turned(tokens: int, at_once: int, _warps: int, stages: int) -> dict[str, int]:
        return {
            "heads": heads,
            "head_width": head_width,
            "heads_at_once": at_once,
            "tokens_at_once": tokens,
            "stages": stages,
        }

    jobs.append((code.turn, {**turned(*made.TURNED), "parts": 0, "block": 0}))
    of_sum = made.parts(4 * width) + made.parts(width)
    for block in RANKS:
        jobs += [
            (code.store, {**framed(made.STORED_WITH_LORA, block, 1), "is_gelu": True, "takes": True}),
            (code.add, framed(made.ADDED_WITH_LORA, block, of_sum)),
            (code.turn, {**turned(*made.TURNED_WITH_LORA), "parts": 1, "block": block}),
        ]
        taken = framed(made.TAKEN, block, 0)
        taken.pop("parts")
        normed = framed(made.NORMED_WITH_LORA, block, made.parts(width)) | {"width": width, "taken_parts": 6}
        normed.pop("often")
        jobs += [(code.take, taken), (code.normalize_with_more, normed)]
    for kernel, constants in jobs:
        signature = {}
        for name in kernel.arg_names:
            kind = "i32" if name in numbers else types.get(name, "*bf16")
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
