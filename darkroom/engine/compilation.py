"""Compilation: the transformer's blocks run as fused blocks or compiled graphs, made beside the pictures and kept.

Fused where the card multiplies float8, by kernels of our own; else as graphs by torch's compiler. A picture runs so as
a whole or not at all. Must not know: where weights are, or what a graph or a kernel is made of.
"""

import hashlib
import importlib.util
import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal, TypeAlias

import torch
from torch import Tensor

from darkroom.cards import FLOAT8_SINCE
from darkroom.engine.attention import Order as AttentionOrder
from darkroom.engine.compile_job import Making, missing_on
from darkroom.engine.compiled_block import CompiledBlock
from darkroom.engine.float8 import STORED, Float8Linear, LowRank
from darkroom.engine.fused_block import FusedBlock
from darkroom.engine.fused_stage import FusedStage
from darkroom.engine.kernel_order import KernelOrder
from darkroom.engine.lora import RANK_STEP
from darkroom.engine.makings import PASSING, Makings
from darkroom.engine.operations import RANKS
from darkroom.engine.peaks import Peaks
from darkroom.engine.replays import replays_on
from darkroom.engine.tracing import BlockTensors, Compiled, Order, Signature, Size, skeleton_of

log = logging.getLogger("darkroom.engine")

# Raised where graphs of before would no longer compute the same.
VERSION = 4
# What the process that compiles takes of a card: CUDA itself, and the tensors on which kernels are tried, as a multiple
# of tokens × width (14 for FLUX.1's blocks, and what the allocator holds beyond them).
CUDA_BYTES = 3 << 28
TRIED_ROWS = 20
# What recorded blocks take of it: workspaces of their own, and rows as `TRIED_ROWS`.
RECORDING_BYTES = 192 << 20
RECORDED_ROWS = 15
# Ending of the file that says that kernels are made.
KERNELS = ".kernels"
# What kernels are made of.
SOURCES = [Path(__file__).with_name(name) for name in ("kernel_code.py", "kernels.py")]

Mode: TypeAlias = Literal["auto", "on", "off"]


@dataclass(frozen=True, kw_only=True)
class CompileWishes:
    """`auto` compiles beside the first pictures; `on` before the first. Files go to `folder`.

    `any_image`: one graph for pictures of all sizes. `chosen_attention`: by the kernel that is chosen for the card, not
    by torch. `apart`: in a process of its own. `record`: what fused blocks do is recorded and replayed.
    """

    mode: Mode = "off"
    folder: Path | None = None
    any_image: bool = False
    chosen_attention: bool = True
    apart: bool = True
    record: bool = True


class Compilation:
    """Of one transformer. `begin`, then each pass after its `turn`, then `leave`. Not for several threads.

    `missing` says what a device lacks for it, if anything.
    """

    def __init__(
        self,
        transformer: Any,
        device: torch.device,
        dtype: torch.dtype,
        *,
        wishes: CompileWishes | None = None,
        missing: Callable[[torch.device], str] | None = None,
    ) -> None:
        self._transformer, self._device, self._dtype = transformer, device, dtype
        self.wishes = wishes or CompileWishes()
        # Of the graphs to come.
        self.attention: AttentionOrder = ()
        self._missing = missing or missing_on
        self._makings = Makings()
        self._said: set[str] = set()
        # Sizes, with and without rows and LoRAs, for which nothing is to be compiled any more.
        self._settled: set[tuple[Size, bool, bool]] = set()
        self._low_ranks = False
        # Without LoRAs and with some: whether all kernels are there, which serve all sizes.
        self._fused: set[bool] = set()
        # Of this picture. What its blocks run by: for each kind its graph, or one set of kernels for both.
        self._paths: tuple[Path, ...] = ()
        self._graphs: dict[bool, Compiled] = {}
        self._blocks: list[CompiledBlock | FusedBlock] = []
        self._nothing: dict[tuple[int, int], LowRank] = {}
        self.stage: FusedStage | None = None
        # Of this picture: why it does not run compiled. None before the first.
        self.why_not: str | None = None

    def begin(self, size: Size, *, rows: bool, promised: int, waiting: Callable[[], None]) -> None:
        """A picture of this size begins. `rows`: modulation comes from a table. `promised`: what it takes of the card.

        Only with `on` this takes time, and calls `waiting` now and then, which may raise. What the plan before this one
        kept on the card must have left: it would be in the way of the process that compiles.
        """
        self.leave()
        if self.wishes.mode == "off":
            self.why_not = "it is switched off"
            return
        self.why_not = self._prepare(size, rows=rows, promised=promised, waiting=waiting)
        if self.stage is not None and self.wishes.record:
            self._record(size, promised)
        if self.why_not not in PASSING:
            self._settled.add((size, rows, self._low_ranks))
        if self.why_not and self.why_not not in self._said:
            self._said.add(self.why_not)
            log.info("the transformer runs uncompiled: %s", self.why_not)

    def room(self, size: Size, *, rows: bool, low_ranks: bool) -> int:
        """Bytes of the card that a picture should leave free, because graphs may have to be compiled beside it."""
        if self.wishes.mode == "off" or (size, rows, low_ranks) in self._settled or self._missing(self._device):
            return 0
        if not _multiplies_float8(self._device):
            return self._room_for(size)
        return 0 if low_ranks in self._fused else CUDA_BYTES

    def turn(self, side: Tensor) -> None:
        """A pass begins. Of each step, one is made with each `side`: a tensor that stays the same."""
        if self.stage is not None:
            self.stage.peaks.turn(side)

    def state(self) -> dict[str, Tensor]:
        """What the passes to come depend on, of those that were made."""
        return {} if self.stage is None else self.stage.peaks.state()

    def go_on(self, tensors: Mapping[str, Tensor]) -> None:
        if self.stage is not None:
            self.stage.peaks.go_on(tensors)

    def leave(self) -> None:
        """The picture is made, or will not be. Blocks are as they were. Safe to call again."""
        for block in self._blocks:
            block.restore()
        self._forget_stage()
        self._blocks, self._graphs, self._paths, self._nothing = [], {}, (), {}

    def stop(self) -> None:
        """No graph is being made any more."""
        self._makings.stop()

    def facts(self) -> dict[str, str | int | float]:
        if self.wishes.mode == "off":
            return {}
        return {"compiled": f"no: {self.why_not}" if self.why_not else "yes"}

    @property
    def compiling(self) -> bool:
        return self._makings.compiling

    @property
    def seconds(self) -> float:
        """How long something was made for, in all."""
        return self._makings.seconds

    # --- called by the blocks

    def graph(self, *, joint: bool) -> Compiled | None:
        return self._graphs.get(joint)

    def nothing_added(self, layer: Float8Linear, like: Tensor) -> LowRank:
        """For a layer without LoRAs, beside others that have some."""
        shape = (layer.in_features, layer.out_features)
        if shape not in self._nothing:
            down, up = like.new_zeros(RANK_STEP, shape[0]), like.new_zeros(shape[1], RANK_STEP)
            scale = torch.ones((), dtype=torch.float32, device=like.device)
            self._nothing[shape] = LowRank(down, up, down.to(STORED), scale)
        return self._nothing[shape]

    def give_up(self, why: str, *, lasting: bool) -> None:
        """The rest of this picture runs uncompiled; if `lasting`, all pictures that need the same graphs."""
        for path in self._paths if lasting else ():
            self._makings.give_up(path, why)
        self._forget_stage()
        self._graphs, self._paths = {}, ()
        self.why_not = why
        log.warning("the transformer goes on uncompiled: %s", why)

    # --- parts of the above

    def _prepare(self, size: Size, *, rows: bool, promised: int, waiting: Callable[[], None]) -> str | None:
        """Everything for a compiled picture, or why there is none."""
        blocks = (*self._transformer.blocks, *self._transformer.single_blocks)
        tensors = [BlockTensors(block, rows=rows) for block in blocks]
        layers = [layer for each in tensors for layer in each.layers]
        if missing := self._missing(self._device):
            return missing
        if any(part._forward_hooks for each in tensors for part in each.parts):
            return "layers have more to do than their own"
        if self.wishes.folder is None:
            return "there is no folder for what is compiled"
        self._low_ranks = low_ranks = any(layer.low_rank is not None for layer in layers)
        if all(layer.float8_matmul for block in blocks for layer in BlockTensors(block, rows=True).layers):
            return self._fuse(blocks, size, promised, waiting, low_ranks=low_ranks)
        orders = self._orders(size, tensors, rows=rows, low_ranks=low_ranks)
        if isinstance(orders, str):
            return orders
        if why := self._have_ready(list(orders.values()), self._room_for(size), promised, waiting):
            return why
        self._graphs = {joint: self._makings[order.path] for joint, order in orders.items()}
        self._paths = tuple(order.path for order in orders.values())
        for number, block in enumerate(blocks):
            joint = number < len(self._transformer.blocks)
            self._blocks.append(CompiledBlock(self, block, size, joint=joint, rows=rows, low_ranks=low_ranks))
        return None

    def _fuse(
        self, blocks: Sequence[Any], size: Size, promised: int, waiting: Callable[[], None], *, low_ranks: bool
    ) -> str | None:
        assert self.wishes.folder is not None
        width: int = self._transformer.x_embedder.out_features
        orders = []
        # All that any LoRA needs: none has anything made for itself.
        for rank in (0, *RANKS) if low_ranks else (0,):
            order = KernelOrder(
                width=width,
                heads=self._transformer.single_blocks[0].num_heads,
                rank=rank,
                dtype=self._dtype,
                device=self._indexed_device,
                path=self.wishes.folder,
            )
            orders.append(replace(order, path=self.wishes.folder / f"{_key(order)}{KERNELS}"))
        if why := self._have_ready(orders, CUDA_BYTES, promised, waiting):
            return why
        self._fused.add(low_ranks)
        self._paths = tuple(order.path for order in orders)
        layers = 0
        for number, block in enumerate(blocks):
            joint = number < len(self._transformer.blocks)
            made = FusedBlock(self, block, self._makings[self._paths[0]], joint=joint, first_layer=layers)
            self._blocks.append(made)
            layers += made.layers
        device = self._indexed_device
        self.stage = FusedStage(Peaks(layers, device), words=size.text, pixels=size.image)
        return None

    def _record(self, size: Size, promised: int) -> None:
        assert self.stage is not None
        width: int = self._transformer.x_embedder.out_features
        room = RECORDING_BYTES + RECORDED_ROWS * (size.text + size.image) * width * self._dtype.itemsize
        self.stage.replays = replays_on(self._indexed_device, promised=promised, room=room)

    def _forget_stage(self) -> None:
        stage, self.stage = self.stage, None
        if stage is not None:
            stage.close()

    def _orders(
        self, size: Size, tensors: "list[BlockTensors]", *, rows: bool, low_ranks: bool
    ) -> "dict[bool, Order] | str":
        """For each kind of block, whether it is a joint one."""
        assert self.wishes.folder is not None
        joints = len(self._transformer.blocks)
        kinds = {True: tensors[:joints], False: tensors[joints:]}
        blocks = {True: self._transformer.blocks, False: self._transformer.single_blocks}
        orders: dict[bool, Order] = {}
        for joint, kind in kinds.items():
            signatures = {each.signature for each in kind}
            if len(signatures) != 1:
                return "blocks of one kind differ"
            order = Order(
                skeleton=skeleton_of(blocks[joint][0], rows=rows),
                joint=joint,
                size=size,
                any_image=self.wishes.any_image,
                width=self._transformer.x_embedder.out_features,
                rope=(sum(self._transformer.pos_embedder.axes_dim) // 2, 2, 2),
                dtype=self._dtype,
                device=self._indexed_device,
                rows=rows,
                low_ranks=low_ranks,
                attention=self.attention if self.wishes.chosen_attention else (),
                path=self.wishes.folder,
            )
            path = self.wishes.folder / f"{_key(order, *signatures)}.graph"
            orders[joint] = replace(order, path=path)
        return orders

    def _have_ready(
        self, orders: Sequence[Making], room: int, promised: int, waiting: Callable[[], None]
    ) -> str | None:
        """Why not all is there, if so. `room`: bytes that making it takes."""
        return self._makings.have_ready(
            orders,
            has_room=lambda: self._has_room(room, promised),
            waiting=waiting if self.wishes.mode == "on" else None,
            apart=self.wishes.apart,
        )

    def _room_for(self, size: Size) -> int:
        width: int = self._transformer.x_embedder.out_features
        return CUDA_BYTES + TRIED_ROWS * (size.text + size.image) * width * self._dtype.itemsize

    def _has_room(self, room: int, promised: int) -> bool:
        if self._device.type != "cuda":
            return True
        free, _ = torch.cuda.mem_get_info(self._device)
        return free + torch.cuda.memory_reserved(self._device) - promised >= room

    @property
    def _indexed_device(self) -> torch.device:
        is_current = self._device == torch.device("cuda")
        return torch.device("cuda", torch.cuda.current_device()) if is_current else self._device


def _key(order: Order | KernelOrder, signature: Signature = ()) -> str:
    card: tuple[object, ...] = ()
    if order.device.type == "cuda":
        card = (torch.cuda.get_device_name(order.device), torch.cuda.get_device_capability(order.device))
    triton = importlib.util.find_spec("triton")
    values = {name: value for name, value in vars(order).items() if name not in ("skeleton", "path")}
    if isinstance(order, Order) and order.any_image:
        values["size"] = order.size.text
    source = b"".join(path.read_bytes() for path in SOURCES if isinstance(order, KernelOrder))
    made_with = (VERSION, torch.__version__, triton.origin if triton else None, source, *card)
    return hashlib.sha256(repr((made_with, values, signature)).encode()).hexdigest()[:32]


def _multiplies_float8(device: torch.device) -> bool:
    return device.type == "cuda" and torch.cuda.get_device_capability(device) >= FLOAT8_SINCE
