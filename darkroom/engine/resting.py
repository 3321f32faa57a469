"""Unit: the weights of one block, which rest in RAM and can be shown to the block's layers from anywhere else.

Must not know: cards, streams, or when a block runs.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TypeAlias

import torch
from torch import Tensor, nn

from darkroom.architecture import flat_bytes
from darkroom.engine.mapped_file import Between, copy_all, is_mapped
from darkroom.engine.pinning import HostMemory

Views: TypeAlias = tuple[Tensor, ...]


@dataclass(frozen=True, kw_only=True)
class Piece:
    """One tensor's place in a flat buffer; offset and size are bytes."""

    offset: int
    size: int
    dtype: torch.dtype
    shape: torch.Size


@dataclass(frozen=True, kw_only=True, eq=False)
class Layout:
    """Where in a flat buffer of `bytes` bytes each tensor lies. Each reading of a module gives one of its own.

    Two are the same only if they are one: what was copied under another may be out of date.
    """

    pieces: tuple[Piece, ...]
    bytes: int

    def views(self, buffer: Tensor) -> Views:
        """The tensors as they lie in `buffer` (uint8, at least `bytes` long, on any device)."""
        with torch.inference_mode(False):
            return tuple(
                buffer[piece.offset : piece.offset + piece.size].view(piece.dtype).view(piece.shape)
                for piece in self.pieces
            )


class Unit:
    """One module's parameters and buffers, each once. They rest where loading put them, or settled in a flat buffer.

    Parts of the module that are units of their own stay out. Not for use by several threads, but for `gather`.
    """

    def __init__(self, module: nn.Module, *, without: Iterable[nn.Module] = ()) -> None:
        self.module = module
        self.without = tuple(without)
        self.layout = Layout(pieces=(), bytes=0)
        self._memory: HostMemory | None = None
        self._tensors: list[tuple[Tensor, int]] = []
        self._home: Views = ()
        self._shown: Views = ()
        self._read()

    @property
    def bytes(self) -> int:
        return self.layout.bytes

    @property
    def tensors(self) -> list[Tensor]:
        """The module's own, whatever they show at the moment."""
        return [tensor for tensor, _ in self._tensors]

    @property
    def flat(self) -> Tensor | None:
        """The buffer it has settled in."""
        return None if self._memory is None else self._memory.content

    @property
    def pinned(self) -> bool:
        return self._memory is not None and self._memory.pinned

    @property
    def unread(self) -> int:
        """Bytes that have not come from their file yet."""
        return self._unread

    def settle(self, *, pin: bool, between: Between = lambda: None) -> None:
        """Gather the tensors into a flat buffer, pinned if asked and allowed, and let go of where they were.

        A second call only pins what is not pinned. `between` is called now and then, and may raise: then all is as it
        was before.
        """
        self.go_home()
        if self._memory is None:
            memory = HostMemory(self.bytes)
            self._copy(0, self.bytes, memory.content, between)
            self._memory, self._home = memory, self.layout.views(memory.content)
            self._unread = 0
            self.go_home()
        if pin:
            self._memory.pin()

    def point_at(self, buffer: Tensor) -> None:
        """The module's tensors become views into `buffer`, which holds what `flat` holds."""
        self.show(self.layout.views(buffer))

    def show(self, views: Views) -> None:
        """`point_at` with views made before, at no cost if the module has them."""
        if self._shown is not views:
            self._shown = views
            for tensor, number in self._tensors:
                tensor.data = views[number]

    def go_home(self) -> None:
        """The module's tensors are those at rest again."""
        self.show(self._home)

    def gather(self, low: int, high: int, into: Tensor) -> None:
        """Copy bytes `low` to `high` of the layout into `into`. What lies between tensors is left as it was."""
        if self._memory is not None:
            into.copy_(self._memory.content[low:high])
            return
        self._copy(low, high, into, lambda: None)
        self._unread = min(self._unread, self.bytes - high)

    def refresh(self) -> None:
        """Read the module again: layers were exchanged, or weights changed. What had settled settles again."""
        self.go_home()
        settled, pinned = self._memory is not None, self.pinned
        self._memory = None
        self._read()
        if settled:
            self.settle(pin=pinned)

    def _copy(self, low: int, high: int, into: Tensor, between: Between) -> None:
        copies = []
        for piece, resting in zip(self.layout.pieces, self._home, strict=True):
            first, last = max(low, piece.offset), min(high, piece.offset + piece.size)
            if first < last:
                content = resting.contiguous().view(-1).view(torch.uint8)
                copies.append((into[first - low : last - low], content[first - piece.offset : last - piece.offset]))
        copy_all(copies, between=between)

    def _read(self) -> None:
        groups = _tensors(self.module, self.without)
        self._tensors = [(tensor, number) for number, group in enumerate(groups) for tensor in group]
        # A tensor's own `data` would change with it.
        self._home = tuple(group[0].detach() for group in groups)
        self._shown = self._home
        self.layout = _layout(self._home)
        self._unread = sum(tensor.nbytes for tensor in self._home if is_mapped(tensor))


def _layout(tensors: Iterable[Tensor]) -> Layout:
    pieces: list[Piece] = []
    offset = 0
    for tensor in tensors:
        pieces.append(Piece(offset=offset, size=tensor.nbytes, dtype=tensor.dtype, shape=tensor.shape))
        offset += flat_bytes([tensor.nbytes])
    return Layout(pieces=tuple(pieces), bytes=offset)


def _tensors(module: nn.Module, without: Iterable[nn.Module]) -> list[list[Tensor]]:
    """Parameters and buffers, in groups that share one place in memory. From now on none asks for gradients."""
    _detach_buffers(module)
    others = {id(tensor) for part in without for tensor in (*part.parameters(), *part.buffers())}
    groups: dict[tuple[object, ...], list[Tensor]] = {}
    for tensor in (*module.parameters(), *module.buffers()):
        if id(tensor) in others:
            continue
        if tensor.is_inference():
            raise ValueError("weights made in torch.inference_mode cannot be moved: load them under torch.no_grad")
        tensor.requires_grad_(False)
        place = (tensor.data_ptr(), tensor.dtype, tensor.shape, tensor.stride()) if tensor.numel() else (id(tensor),)
        groups.setdefault(place, []).append(tensor)
    return list(groups.values())


def _detach_buffers(module: nn.Module) -> None:
    """A buffer that was cut out of a larger tensor would keep all of that in memory, wherever it points itself."""
    for part in module.modules():
        for name, buffer in part.named_buffers(recurse=False, remove_duplicate=False):
            if buffer._is_view():
                part.register_buffer(name, buffer.detach(), persistent=name not in part._non_persistent_buffers_set)
