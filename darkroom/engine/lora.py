"""LoRAs: files in the layouts that FLUX.1's tools write, and narrow matrices beside a transformer's layers.

Weights stay as they are: what was attached comes off without a trace. Must not know: requests, or where weights are.
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
from diffsynth.utils.lora.flux import FluxLoRALoader
from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle

from darkroom.engine.float8 import Float8Linear, LowRank, quantize, with_low_rank
from darkroom.engine.loading import CheckpointFile
from darkroom.errors import LoraUnusable, ModelUnusable
from darkroom.footprint import allocated

Layer: TypeAlias = Float8Linear | nn.Linear
Wanted: TypeAlias = Sequence[tuple["Lora", float]]

# Ranks are filled up to a multiple: the sizes that cards multiply fast, and few different ones to compile for.
RANK_STEP = 16
# Tools put these before a layer's name, sometimes two of them; here with "_" for ".".
PREFIX = re.compile(r"(lora_(unet|transformer)|base_model_model|(model_)?diffusion_model|transformer|unet|pipe_dit)_")
TEXT_ENCODERS = re.compile(r"(lora_)?(te\d?|text_encoders?(_\d)?|text_model|clip_l|t5xxl)[._]")
SIDES = r"(?:lora_|lora\.|lora_linear_layer\.)(?P<side>down|up|A|B)(?:\.\w+)?\.weight"
TENSOR = re.compile(rf"(?P<layer>.+?)\.(?:{SIDES}|alpha)")
BLOCK = re.compile(r"(?P<kind>(?:double_|single_)?(?:transformer_)?blocks)_(?P<number>\d+)_(?P<layer>.+)")
# Of layers outside the blocks: DiffSynth's name, FLUX.1's own, and diffusers'.
OUTER = (
    ("x_embedder", "img_in", "x_embedder"),
    ("context_embedder", "txt_in", "context_embedder"),
    ("time_embedder.timestep_embedder.0", "time_in_in_layer", "time_text_embed_timestep_embedder_linear_1"),
    ("time_embedder.timestep_embedder.2", "time_in_out_layer", "time_text_embed_timestep_embedder_linear_2"),
    ("guidance_embedder.timestep_embedder.0", "guidance_in_in_layer", "time_text_embed_guidance_embedder_linear_1"),
    ("guidance_embedder.timestep_embedder.2", "guidance_in_out_layer", "time_text_embed_guidance_embedder_linear_2"),
    ("pooled_text_embedder.0", "vector_in_in_layer", "time_text_embed_text_embedder_linear_1"),
    ("pooled_text_embedder.2", "vector_in_out_layer", "time_text_embed_text_embedder_linear_2"),
    ("final_norm_out.linear", "final_layer_adaLN_modulation_1", ""),
    ("final_proj_out", "final_layer_linear", "proj_out"),
)
# diffusers has several layers for one here, each with as many rows as the layer has inputs, but for the last.
JOINT_PARTS = {f"attn.{ab}_to_{qkv}": (f"attn.{ab}_to_qkv", place) for ab in "ab" for place, qkv in enumerate("qkv")}
SINGLE_PARTS = {f"a_to_{qkv}": ("to_qkv_mlp", place) for place, qkv in enumerate("qkv")}
PARTS = {**JOINT_PARTS, **SINGLE_PARTS, "proj_in_besides_attn": ("to_qkv_mlp", 3)}
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
    names = _Names(linear_layers(transformer))
    try:
        file = CheckpointFile(path)
    except ModelUnusable as error:
        raise LoraUnusable("layout" if error.reason == "unknown" else error.reason, path.name) from error
    pieces, left_out = _pieces(file)
    found: dict[str, list[_Piece]] = {}
    for theirs, factors in pieces.items():
        if (place := names.find(theirs)) is None:
            raise _unusable("other_model", path, f"this model has no layer {theirs}")
        found.setdefault(place.layer, []).append(_Piece(place=place, factors=factors))
    if not found:
        raise _unusable("other_model", path, "it has no layers of a transformer")
    layers = {}
    for name, parts in found.items():
        layer = names.layers[name]
        if not all(part.fits(layer) for part in parts):
            raise _unusable("other_model", path, f"it is for a model of another size: see {name}")
        layers[name] = factors = _joined(parts, layer.out_features)
        if not (factors.down.isfinite().all() and factors.up.isfinite().all() and math.isfinite(factors.scale)):
            raise _unusable("damaged", path, f"{name} has values that are no numbers")
    return Lora(name=path.stem, layers=layers, left_out=left_out)


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


@dataclass(frozen=True, kw_only=True)
class _Place:
    """A layer, or the rows of it from the `part`-th multiple of its inputs on. `halves`: its halves change places."""

    layer: str
    part: int | None = None
    halves: bool = False


@dataclass(frozen=True, kw_only=True, eq=False)
class _Piece:
    place: _Place
    factors: Factors

    @property
    def first(self) -> int:
        return (self.place.part or 0) * self.factors.down.shape[1]

    def fits(self, layer: Layer) -> bool:
        inputs, outputs = layer.in_features, layer.out_features
        rows = {None: outputs, 3: outputs - 3 * inputs}.get(self.place.part, inputs)
        return self.factors.down.shape[1] == inputs and self.factors.up.shape[0] == rows


class _Names:
    """Which layer a tool means by a name."""

    def __init__(self, layers: Mapping[str, Layer]) -> None:
        self.layers = layers
        own = {name.replace(".", "_"): _Place(layer=name) for name in layers}
        outer = {name: _Place(layer=ours) for ours, *theirs in OUTER for name in theirs if name}
        # There scale and shift are the other way round.
        self._outer = {**outer, **own, "norm_out_linear": _Place(layer="final_norm_out.linear", halves=True)}
        loader = FluxLoRALoader()
        tables = (*loader.diffusers_rename_dict.items(), *loader.civitai_rename_dict.items())
        self._inner = {theirs.split(".lora_")[0].replace(".", "_"): ours.split(".lora_")[0] for theirs, ours in tables}

    def find(self, theirs: str) -> _Place | None:
        name = theirs.replace(".", "_")
        while (place := self._find(name)) is None:
            if not (prefix := PREFIX.match(name)):
                return None
            name = name[prefix.end() :]
        return place

    def _find(self, name: str) -> _Place | None:
        place = self._outer.get(name)
        if place is None and (block := BLOCK.fullmatch(name)):
            template = f"{block['kind']}_blockid_{block['layer']}"
            ours = self._inner.get(f"transformer_{template}") or self._inner.get(f"lora_unet_{template}")
            if ours is not None:
                kind, _, layer = ours.split(".", 2)
                whole, part = PARTS.get(layer, (layer, None))
                place = _Place(layer=f"{kind}.{block['number']}.{whole}", part=part)
        return place if place is not None and place.layer in self.layers else None


def _pieces(file: CheckpointFile) -> tuple[dict[str, Factors], tuple[str, ...]]:
    """The factors by the names of the file, and names of what is in the text encoders. Nothing stays in the file."""
    sides: dict[str, dict[str, Tensor]] = {}
    left_out = set()
    for name, tensor in file.tensors().items():
        known = TENSOR.fullmatch(name)
        if TEXT_ENCODERS.match(name):
            left_out.add(known["layer"] if known else name)
        elif known is None:
            raise _unusable("layout", file.path, f"{name} is of a kind this version cannot use")
        else:
            side = {"down": "A", "up": "B", None: "alpha"}.get(known["side"], known["side"])
            sides.setdefault(known["layer"], {})[side] = tensor.float() if tensor.itemsize == 1 else tensor.clone()
    scale_of = _scale_in_header(file.metadata)
    pieces = {}
    for layer, found in sides.items():
        if not {"A", "B"} <= found.keys() or min(found["A"].ndim, found["B"].ndim) < 2:
            raise _unusable("damaged", file.path, f"{layer} is not complete")
        # Some tools write a layer as a convolution of one pixel.
        down, up = (found[side].flatten(1) for side in "AB")
        if not 0 < down.shape[0] == up.shape[1]:
            raise _unusable("damaged", file.path, f"{layer} has matrices that do not go together")
        scale = float(found["alpha"].sum()) / len(down) if "alpha" in found else scale_of(layer, len(down))
        pieces[layer] = Factors(down=down, up=up, scale=scale)
    return pieces, tuple(sorted(left_out))


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


def _unusable(reason: str, path: Path, why: str) -> LoraUnusable:
    error = LoraUnusable(reason, path.name)
    error.add_note(why)
    return error
