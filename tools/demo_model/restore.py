"""Turns the shipped files back into training's, so that training can go on from them.

Run: python -m tools.demo_model.restore --out FOLDER. It writes flow.safetensors (for train_flow --resume) and
vae.safetensors (for train_vae --resume). Must not know: how either is trained.
"""

import argparse
from pathlib import Path

import torch
from diffsynth.utils.state_dict_converters.flux_vae import FluxVAEEncoderStateDictConverter

from darkroom.engine.demo import DemoVAEEncoder
from tools.demo_model.paint import Painter, unscaled
from tools.demo_model.train_flow import save_network
from tools.demo_model.train_vae import save_vae


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", type=Path, default=Path("models/demo"))
    parser.add_argument("--out", type=Path, required=True)
    arguments = parser.parse_args()
    arguments.out.mkdir(parents=True, exist_ok=True)
    painter = Painter.of_shipped(arguments.model, torch.device("cpu"))
    encoder = DemoVAEEncoder()
    encoder.load_state_dict(FluxVAEEncoderStateDictConverter(unscaled(arguments.model / "ae.safetensors")))
    save_network(painter.network, arguments.out / "flow.safetensors")
    save_vae(arguments.out, encoder, painter.decoder)


if __name__ == "__main__":
    main()
