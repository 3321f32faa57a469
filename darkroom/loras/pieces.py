"""A LoRA's tensors by the layer that each belongs to: which pairs there are, of which rank, and what cannot be used.

Names and shapes decide, not what a file says of itself. Must not know: numbers, or where a pair is put.
"""

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from darkroom.errors import LoraUnusable
from darkroom.loras.layers import Layers, Place

Shapes: TypeAlias = Mapping[str, Sequence[int]]

TEXT_ENCODERS = re.compile(r"(lora_)?(te\d?|text_encoders?(_\d)?|text_model|clip_l|t5xxl)[._]")
SIDES = r"(?:lora_|lora\.|lora_linear_layer\.)(?P<side>down|up|A|B)(?:\.\w+)?\.weight"
TENSOR = re.compile(rf"(?P<layer>.+?)\.(?:{SIDES}|alpha)")
SIDE_OF = {"down": "down", "A": "down", "up": "up", "B": "up", None: "alpha"}
# What other ways there are to write a change of a layer, by a part of the tensors' names.
KINDS = {
    "hada_": "LoHa",
    "lokr_": "LoKr",
    "dora_scale": "DoRA",
    "lora_magnitude_vector": "DoRA",
    "oft_": "OFT",
    "boft_": "BOFT",
    "ia3": "IA³",
    "glora": "GLoRA",
}


@dataclass(frozen=True, kw_only=True)
class Piece:
    """A pair of matrices for one layer. `down`, `up` and `alpha` are names of tensors; `alpha` may be missing."""

    layer: str
    down: str
    up: str
    alpha: str | None
    rank: int
    inputs: int
    outputs: int


@dataclass(frozen=True, kw_only=True)
class Pieces:
    """By the layers' names in the file. `left_out` are layers in text encoders."""

    pieces: tuple[Piece, ...]
    left_out: tuple[str, ...]


def pieces_of(shapes: Shapes, file: str) -> Pieces:
    """Raises LoraUnusable, with a note that says what is wrong."""
    sides: dict[str, dict[str, str]] = {}
    left_out = set()
    for name in shapes:
        known = TENSOR.fullmatch(name)
        if TEXT_ENCODERS.match(name):
            left_out.add(known["layer"] if known else name)
        elif known is None:
            raise _of_another_kind(name, file)
        else:
            sides.setdefault(known["layer"], {})[SIDE_OF[known["side"]]] = name
    pieces = tuple(_piece(layer, names, shapes, file) for layer, names in sides.items())
    return Pieces(pieces=pieces, left_out=tuple(sorted(left_out)))


def places_of(pieces: Pieces, layers: Layers, file: str) -> Mapping[str, Place]:
    """Where each goes, by its layer in the file; what this model can do without is not there. Raises LoraUnusable."""
    places = {}
    for piece in pieces.pieces:
        place = layers.find(piece.layer)
        if place is None:
            raise unusable("other_model", file, f"this model has no layer {piece.layer}")
        if layers.is_left_out(place):
            continue
        if not layers.fits(place, inputs=piece.inputs, outputs=piece.outputs):
            raise unusable("other_model", file, f"it is for a model of another size: see {place.layer}")
        places[piece.layer] = place
    if not places:
        raise unusable("other_model", file, "it has no layers of a transformer")
    return places


def unusable(reason: str, file: str, why: str, *, what: str = "") -> LoraUnusable:
    """The error, with a note for the log."""
    error = LoraUnusable(reason, file, what)
    error.add_note(why)
    return error


def _piece(layer: str, names: Mapping[str, str], shapes: Shapes, file: str) -> Piece:
    if not {"down", "up"} <= names.keys() or min(len(shapes[names[side]]) for side in ("down", "up")) < 2:
        raise unusable("damaged", file, f"{layer} is not complete")
    # Some tools write a layer as a convolution of one pixel.
    (rank, *inputs), (outputs, *ranks) = shapes[names["down"]], shapes[names["up"]]
    if not 0 < rank == math.prod(ranks):
        raise unusable("damaged", file, f"{layer} has matrices that do not go together")
    return Piece(
        layer=layer,
        down=names["down"],
        up=names["up"],
        alpha=names.get("alpha"),
        rank=rank,
        inputs=math.prod(inputs),
        outputs=outputs,
    )


def _of_another_kind(name: str, file: str) -> LoraUnusable:
    why = f"{name} is of a kind this version cannot use"
    kind = next((kind for part, kind in KINDS.items() if part in name), "")
    return unusable("kind" if kind else "layout", file, why, what=kind)
