"""LoRAs: files in the layouts that FLUX.1's tools write, and narrow matrices beside a transformer's layers.

Weights stay as they are: what was attached comes off without a trace. Which layer a name means stands in
`darkroom/loras`, for the server asks that too. Must not know: requests, or where weights are.
"""

import json
import math
import re
from collections.abc import Callable, Hashable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

import torch
from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle

from darkroom.engine.float8 import Float8Linear, LowRank, quantize, with_low_rank
from darkroom.engine.loading import CheckpointFile
from darkroom.errors import LoraUnusable, ModelUnusable
from darkroom.footprint import allocated
from darkroom.loras.layers import Layers, Place
from darkroom.loras.pieces import Piece, pieces_of, places_of, unusable

Layer: TypeAlias = Float8Linear | nn.Linear
Wanted: TypeAlias = Sequence[tuple["Lora", float]]

# Ranks are filled up to a multiple: the sizes that cards multiply fast, and few different ones to compile for.
RANK_STEP = 16
# What depends on nothing but time, guidance and the pooled prompt.
MODULATION = re.compile(r".*\.norm(1_[ab])?\.linear|(time_embedder|guidance_embedder|pooled_text_embedder)\..*")


@dataclass(frozen=True, kw_only=True, eq=False)
class Factors:
    """What is added to a layer's weight: scale · up · down, which are (out, rank) and (rank, in)."""

    down: Tensor
    up: Tensor
    scale: float

    @property
    def rank(self) -> int:
        return self.down.shape[0]


@dataclass(frozen=True, kw_only=True, eq=False)
class Lora:
    """One file: factors by DiffSynth's name of the layer. `left_out` are its layers in text encoders."""

    name: str
    layers: Mapping[str, Factors]
    left_out: tuple[str, ...]

    @property
    def modulation(self) -> frozenset[str]:
        """Layers that a table of modulation is made from."""
        return frozenset(name for name in self.layers if MODULATION.fullmatch(name))


def read_lora(path: Path, transformer: nn.Module) -> Lora:
    """For this transformer. Raises LoraUnusable, with a note that says what is wrong."""
    modules = linear_layers(transformer)
    layers = Layers({name: (layer.in_features, layer.out_features) for name, layer in modules.items()})
    try:
        file = CheckpointFile(path)
    except ModelUnusable as error:
        raise LoraUnusable(error.reason if error.reason in ("missing", "damaged") else "layout", path.name) from error
    tensors = file.tensors()
    pieces = pieces_of({name: tensor.shape for name, tensor in tensors.items()}, path.name)
    places = places_of(pieces, layers, path.name)
    scale_of = _scale_in_header(file.metadata)
    found: dict[str, list[_Piece]] = {}
    for piece in pieces.pieces:
        if (place := places.get(piece.layer)) is not None:
            found.setdefault(place.layer, []).append(_Piece(place=place, factors=_factors(piece, tensors, scale_of)))
    factors_of = {}
    for name, parts in found.items():
        factors_of[name] = factors = _joined(parts, modules[name].out_features)
        if not (factors.down.isfinite().all() and factors.up.isfinite().all() and math.isfinite(factors.scale)):
            raise unusable("damaged", path.name, f"{name} has values that are no numbers")
    left_out = {piece.layer for piece in pieces.pieces} - places.keys()
    return Lora(name=path.stem, layers=factors_of, left_out=tuple(sorted({*pieces.left_out, *left_out})))


class Loras:
    """Those attached to one transformer. `use` before a picture: says all that are wanted, and how strongly.

    Their matrices stay on the device that computes: beside a block's weights they are few, and cost the card no more
    than they would in the ring. Ring and resting weights never see them. Not for use by several threads.
    """

    def __init__(self, transformer: nn.Module, dtype: torch.dtype) -> None:
        self._transformer = transformer
        self._dtype = dtype
        # By layer: what it has been given, nothing if that is not certain, and where.
        self._attached: dict[str, tuple[_Shares, LowRank]] = {}
        self._hooks: dict[str, RemovableHandle] = {}

    def use(self, wanted: Wanted, device: torch.device) -> frozenset[str]:
        """These, each with its weight, and no others. Returns the names of layers that now compute something else.

        Raises torch.OutOfMemoryError; the next call works all the same.
        """
        layers = linear_layers(self._transformer)
        changed = []
        for name in {*self._attached, *(name for lora, _ in wanted for name in lora.layers)}:
            shares, (before, room) = _shares(wanted, name), self._attached.get(name, ((), None))
            is_there = room is not None and room.down.device.type == device.type
            if (shares or room is not None) and not (is_there and shares and shares == before):
                self._put(name, layers[name], shares, device)
                changed.append(name)
        return frozenset(changed)

    @property
    def layers(self) -> frozenset[str]:
        return frozenset(self._attached)

    @property
    def modulation(self) -> Hashable:
        """The same as before if a table of modulation made then is still right."""
        return frozenset((name, shares) for name, (shares, _) in self._attached.items() if MODULATION.fullmatch(name))

    @property
    def bytes(self) -> int:
        """What they take of the device."""
        return sum(allocated(tensor.nbytes) for _, low_rank in self._attached.values() for tensor in low_rank)

    def _put(self, name: str, layer: Layer, shares: "_Shares", device: torch.device) -> None:
        if not shares:
            self._show(name, layer, None)
            del self._attached[name]
            return
        low_rank = _low_rank(shares, layer, self._dtype, device)
        _, room = self._attached.get(name, ((), None))
        if room is not None and room.down.device == low_rank.down.device and room.down.shape == low_rank.down.shape:
            # Where it was: what is compiled or captured goes on as it is.
            self._attached[name] = ((), room)
            for old, new in zip(room, low_rank, strict=True):
                old.copy_(new)
        else:
            room = low_rank
            self._show(name, layer, low_rank)
        self._attached[name] = (shares, room)

    def _show(self, name: str, layer: Layer, low_rank: LowRank | None) -> None:
        if name in self._hooks:
            self._hooks.pop(name).remove()
        if isinstance(layer, Float8Linear):
            layer.low_rank = low_rank
        elif low_rank is not None:
            self._hooks[name] = layer.register_forward_hook(
                lambda _layer, inputs, result: with_low_rank(result, inputs[0], low_rank)
            )


def low_rank_bytes(wanted: Wanted, dtype: torch.dtype) -> int:
    """What `use` will take of the device."""
    total = 0
    for name in {name for lora, weight in wanted if weight for name in lora.layers}:
        shares = _shares(wanted, name)
        rank, down, up = _filled_up(shares), shares[0][0].down.shape[1], shares[0][0].up.shape[0]
        sizes = (rank * down * dtype.itemsize, rank * up * dtype.itemsize, rank * down, torch.float32.itemsize)
        total += sum(map(allocated, sizes))
    return total


def linear_layers(transformer: nn.Module) -> dict[str, Layer]:
    """By DiffSynth's names, also those that a table of modulation stands in for."""
    return {
        name.removesuffix(".layer"): module
        for name, module in transformer.named_modules()
        if isinstance(module, Float8Linear | nn.Linear)
    }


# Of one layer: each LoRA's factors, and its weight.
_Shares: TypeAlias = tuple[tuple[Factors, float], ...]


def _shares(wanted: Wanted, name: str) -> _Shares:
    return tuple((lora.layers[name], weight) for lora, weight in wanted if weight and name in lora.layers)


def _filled_up(shares: _Shares) -> int:
    return -sum(factors.rank for factors, _ in shares) // RANK_STEP * -RANK_STEP


def _low_rank(shares: _Shares, layer: Layer, dtype: torch.dtype, device: torch.device) -> LowRank:
    """All of them as one pair: however many there are, a layer has two small products more."""
    # What is made in inference mode could not be written outside it.
    with torch.inference_mode(False), torch.no_grad():
        down = torch.zeros(_filled_up(shares), layer.in_features)
        up = torch.zeros(layer.out_features, len(down))
        start = 0
        for factors, weight in shares:
            end = start + factors.rank
            # Each row of `down` gets about the same size, by a power of two: so all are as good in float8.
            _, size = torch.frexp(factors.down.float().abs().amax(1))
            down[start:end] = torch.ldexp(factors.down.float(), -size[:, None])
            up[:, start:end] = torch.ldexp(factors.up.float(), size) * (factors.scale * weight)
            start = end
        stored, scale = quantize(down)
        tensors = (down.to(dtype), up.to(dtype), stored, scale)
        return LowRank(*(tensor.to(device) for tensor in tensors))


@dataclass(frozen=True, kw_only=True, eq=False)
class _Piece:
    place: Place
    factors: Factors

    @property
    def first(self) -> int:
        return (self.place.part or 0) * self.factors.down.shape[1]


def _factors(piece: Piece, tensors: Mapping[str, Tensor], scale_of: Callable[[str, int], float]) -> Factors:
    """Nothing of them stays in the file."""
    down, up = (_copy(tensors[name]).flatten(1) for name in (piece.down, piece.up))
    scale = scale_of(piece.layer, piece.rank)
    if piece.alpha is not None:
        scale = float(_copy(tensors[piece.alpha]).sum()) / piece.rank
    return Factors(down=down, up=up, scale=scale)


def _copy(tensor: Tensor) -> Tensor:
    return tensor.float() if tensor.itemsize == 1 else tensor.clone()


def _scale_in_header(metadata: Mapping[str, str]) -> Callable[[str, int], float]:
    """By PEFT's settings, where diffusers wrote them into the file's header. Without any, factors count as they are."""
    with suppress(ValueError, AttributeError, TypeError):
        named = json.loads(metadata.get("lora_adapter_metadata", "{}")).items()
        settings = {name.removeprefix("transformer."): value for name, value in named}
        alphas = {ending: float(alpha) for ending, alpha in (settings.get("alpha_pattern") or {}).items()}
        if settings.get("lora_alpha") is not None:
            alphas[""] = float(settings["lora_alpha"])
            power = 0.5 if settings.get("use_rslora") else 1.0
            return lambda layer, rank: next(alphas[end] for end in alphas if layer.endswith(end)) / rank**power
    return lambda _layer, _rank: 1.0


def _joined(pieces: Sequence[_Piece], outputs: int) -> Factors:
    """One pair for the layer. Parts that were cut from one share its `down`, and do so again."""
    downs: list[Factors] = []
    columns: list[int] = []
    for piece in sorted(pieces, key=lambda piece: piece.first):
        same = next((place for place, down in enumerate(downs) if _same_down(down, piece.factors)), len(downs))
        downs += [piece.factors] if same == len(downs) else []
        columns.append(sum(down.rank for down in downs[:same]))
    scales = {down.scale for down in downs}
    scale = scales.pop() if len(scales) == 1 else 1.0
    dtype = downs[0].up.dtype if not scales else torch.float32
    up = torch.zeros(outputs, sum(down.rank for down in downs), dtype=dtype)
    for piece, start in zip(sorted(pieces, key=lambda piece: piece.first), columns, strict=True):
        part, own = piece.factors.up, 1.0 if not scales else piece.factors.scale
        part = part.roll(len(part) // 2, 0) if piece.place.halves else part
        up[piece.first : piece.first + len(part), start : start + piece.factors.rank] = part.to(dtype) * own
    return Factors(down=torch.cat([down.down for down in downs]), up=up, scale=scale)


def _same_down(one: Factors, other: Factors) -> bool:
    return one.scale == other.scale and one.down.shape == other.down.shape and torch.equal(one.down, other.down)
