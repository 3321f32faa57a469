"""A models folder with the demo and a second checkpoint of its kind, which draws the same scenes otherwise."""

import shutil
from dataclasses import replace
from pathlib import Path, PurePosixPath

import torch
from safetensors.torch import load_file, save_file

from darkroom.catalog import DEMO, ModelEntry

MODELS = Path(__file__).parents[2] / "models"
OWN_TRANSFORMER = replace(DEMO.files, transformer=PurePosixPath("other/transformer.safetensors"))
# With the demo's text encoders and VAE, and with copies of its own.
OTHER = replace(DEMO, name="other", files=OWN_TRANSFORMER)
APART = replace(
    OTHER,
    name="apart",
    files=replace(
        OWN_TRANSFORMER,
        text_encoder_1=PurePosixPath("other/text_encoder.safetensors"),
        text_encoder_2=PurePosixPath("other/text_encoder_2.safetensors"),
        vae=PurePosixPath("other/ae.safetensors"),
    ),
)


def make_folder(folder: Path) -> Path:
    shutil.copytree(MODELS / "demo", folder / "demo", ignore=shutil.ignore_patterns("*darkroom*"))
    shutil.copytree(MODELS / "demo", folder / "other", ignore=shutil.ignore_patterns("*darkroom*"))
    change(folder, OTHER)
    return folder


def change(folder: Path, model: ModelEntry) -> None:
    """From now on the same name stands for other weights."""
    path = folder / model.files.transformer
    tensors = load_file(path)
    for name, tensor in tensors.items():
        if tensor.dtype == torch.bfloat16 and name.endswith("bias"):
            tensors[name] = tensor * 0.7
    path.unlink()
    save_file(tensors, path)
