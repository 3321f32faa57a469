"""Where the files of the catalogue's models can be had: hub, repository, path, size and checksum, and where they go.

Sizes and SHA-256 are those that the hubs publish; None is not known here, and the hub's own word is taken.
Must not know: models, how a file is fetched, or what lies in the models folder.
"""

from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Literal, get_args

Hub = Literal["modelscope", "huggingface"]
HUBS: tuple[Hub, ...] = get_args(Hub)

Part = Literal["transformer", "text_encoder_1", "text_encoder_2", "vae", "tokenizer_1", "tokenizer_2"]


@dataclass(frozen=True, kw_only=True)
class Source:
    """One file on one hub. A gated repository gives it only to those who have agreed to its licence there.

    `sha256` is of this hub's copy, where another hub's may differ in a few bytes that do not matter.
    """

    repository: str
    path: str
    sha256: str | None = None
    gated: bool = False


@dataclass(frozen=True, kw_only=True)
class WeightFile:
    """`place` is below the models folder. `other_names` are what other programs call the same file."""

    part: Part
    place: PurePosixPath
    size: int | None = None
    sha256: str | None = None
    modelscope: Source | None = None
    huggingface: Source | None = None
    other_names: tuple[str, ...] = ()

    def source(self, hub: Hub) -> Source | None:
        return self.modelscope if hub == "modelscope" else self.huggingface

    def known_sha256(self, hub: Hub) -> str | None:
        source = self.source(hub)
        return self.sha256 or (source.sha256 if source else None)

    @property
    def is_large(self) -> bool:
        return self.part not in ("tokenizer_1", "tokenizer_2")

    @property
    def names(self) -> tuple[str, ...]:
        return (self.place.name, *self.other_names)


BLACK_FOREST_LABS = "black-forest-labs"
# Every FLUX.1 has the same encoders, VAE and tokenizers: they lie here once.
SHARED = PurePosixPath("shared")

CLIP_L = WeightFile(
    part="text_encoder_1",
    place=SHARED / "clip_l.safetensors",
    size=246_144_152,
    sha256="660c6f5b1abae9dc498ac2d21e1347d2abdb0cf6c0c0c8576cd796491d9a6cdd",
    modelscope=Source(repository="AI-ModelScope/flux_text_encoders", path="clip_l.safetensors"),
    huggingface=Source(repository="comfyanonymous/flux_text_encoders", path="clip_l.safetensors"),
)
T5_XXL = WeightFile(
    part="text_encoder_2",
    place=SHARED / "t5xxl_fp16.safetensors",
    size=9_787_841_024,
    sha256="6e480b09fae049a72d2a8c5fbccb8d3e92febeb233bbe9dfe7256958a9167635",
    modelscope=Source(repository="AI-ModelScope/flux_text_encoders", path="t5xxl_fp16.safetensors"),
    huggingface=Source(repository="comfyanonymous/flux_text_encoders", path="t5xxl_fp16.safetensors"),
)
VAE = WeightFile(
    part="vae",
    place=SHARED / "ae.safetensors",
    size=335_304_388,
    sha256="afc8e28272cd15db3919bacdb6918ce9c1ed22e96cb12c4d5ed0fba823529e38",
    modelscope=Source(repository=f"{BLACK_FOREST_LABS}/FLUX.1-dev", path="ae.safetensors"),
    # The same bytes as in Black Forest Labs' own repositories, which are gated there.
    huggingface=Source(repository="Comfy-Org/Lumina_Image_2.0_Repackaged", path="split_files/vae/ae.safetensors"),
    other_names=("flux_vae.safetensors", "flux1_ae.safetensors", "ae.sft"),
)


def _tokenizer(
    part: Part, folder: str, name: str, *, modelscope: tuple[str, str], huggingface: tuple[str, str, str | None]
) -> WeightFile:
    below, path = modelscope
    repository, hf_path, sha256 = huggingface
    return WeightFile(
        part=part,
        place=SHARED / folder / name,
        modelscope=Source(repository=below, path=path),
        huggingface=Source(repository=repository, path=hf_path, sha256=sha256),
    )


CLIP_TOKENIZER = tuple(
    _tokenizer(
        "tokenizer_1",
        "tokenizer",
        name,
        modelscope=("AI-ModelScope/clip-vit-large-patch14", name),
        huggingface=("openai/clip-vit-large-patch14", name, sha256),
    )
    for name, sha256 in (
        ("tokenizer.json", "a83e0809aa4c3af7208b2df632a7a69668c6d48775b3c3fe4e1b1199d1f8b8f4"),
        ("tokenizer_config.json", None),
    )
)
T5_TOKENIZER = tuple(
    _tokenizer(
        "tokenizer_2",
        "tokenizer_2",
        name,
        modelscope=(f"{BLACK_FOREST_LABS}/FLUX.1-dev", f"tokenizer_2/{name}"),
        # A copy that is not gated, byte for byte that of FLUX.1 [schnell].
        huggingface=("unsloth/FLUX.1-schnell", f"tokenizer_2/{name}", sha256),
    )
    for name, sha256 in (
        ("tokenizer.json", "f5dfec163765e18e270537fe896c49f5fad74db1525641d9b255a3008b999596"),
        ("tokenizer_config.json", "1a3d2db64215ed77854dd4208aac5f8361c1b5471cabd19c0ef1472d1a895eb0"),
    )
)
SHARED_FILES: tuple[WeightFile, ...] = (CLIP_L, T5_XXL, VAE, *CLIP_TOKENIZER, *T5_TOKENIZER)

MAJICFLUS_TRANSFORMER = WeightFile(
    part="transformer",
    place=PurePosixPath("majicflus-v1/majicflus_v134.safetensors"),
    modelscope=Source(repository="MAILAND/majicflus_v1", path="majicflus_v134.safetensors"),
)
DEV_TRANSFORMER = WeightFile(
    part="transformer",
    place=PurePosixPath("flux1-dev/flux1-dev.safetensors"),
    size=23_802_932_552,
    sha256="4610115bb0c89560703c892c59ac2742fa821e60ef5871b33493ba544683abd7",
    modelscope=Source(repository=f"{BLACK_FOREST_LABS}/FLUX.1-dev", path="flux1-dev.safetensors"),
    huggingface=Source(repository=f"{BLACK_FOREST_LABS}/FLUX.1-dev", path="flux1-dev.safetensors", gated=True),
)
KREA_TRANSFORMER = WeightFile(
    part="transformer",
    place=PurePosixPath("flux1-krea-dev/flux1-krea-dev.safetensors"),
    size=23_802_958_224,
    sha256="f6315581b7cddd450b9aba72b4e9ccf8b6580dc1a6b9538aff43ee26a1a3b6c2",
    modelscope=Source(repository=f"{BLACK_FOREST_LABS}/FLUX.1-Krea-dev", path="flux1-krea-dev.safetensors"),
    huggingface=Source(
        repository=f"{BLACK_FOREST_LABS}/FLUX.1-Krea-dev", path="flux1-krea-dev.safetensors", gated=True
    ),
)
SCHNELL_TRANSFORMER = WeightFile(
    part="transformer",
    place=PurePosixPath("flux1-schnell/flux1-schnell.safetensors"),
    size=23_782_506_688,
    sha256="9403429e0052277ac2a87ad800adece5481eecefd9ed334e1f348723621d2a0a",
    modelscope=Source(repository=f"{BLACK_FOREST_LABS}/FLUX.1-schnell", path="flux1-schnell.safetensors"),
    huggingface=Source(repository=f"{BLACK_FOREST_LABS}/FLUX.1-schnell", path="flux1-schnell.safetensors", gated=True),
)
