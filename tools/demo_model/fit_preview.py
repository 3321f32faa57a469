"""Fits the linear map from the demo model's latents to colours, for previews: models/demo/latent_colours.json.

Run: python -m tools.demo_model.fit_preview. Must not know: how previews are shown.
"""

import argparse
import json
import random
from pathlib import Path

import numpy as np
import torch
from torch.nn import functional

from darkroom.engine import demo
from darkroom.engine.loading import load_models
from tools.demo_model.drawing import draw
from tools.demo_model.scenes import random_scene

SIDE = 256


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", type=Path, default=Path("models/demo"))
    parser.add_argument("--pictures", type=int, default=200)
    arguments = parser.parse_args()
    demo.register()
    vae = load_models(arguments.model / "ae.safetensors", dtype=torch.float32, read=lambda _: None)
    latents, colours = [], []
    rng = random.Random(2)
    for number in range(arguments.pictures):
        picture = draw(random_scene(rng), width=SIDE, height=SIDE, seed=900_000_000 + number)
        pixels = torch.from_numpy(np.array(picture)).permute(2, 0, 1)[None].float() / 127.5 - 1
        with torch.no_grad():
            latents.append(vae["flux_vae_encoder"](pixels)[0].flatten(1).T)
        colours.append(functional.avg_pool2d(pixels, 8)[0].flatten(1).T)
    known = torch.cat(latents).double()
    known = torch.cat([known, torch.ones(len(known), 1, dtype=torch.double)], dim=1)
    wanted = torch.cat(colours).double()
    fitted = torch.linalg.lstsq(known, wanted).solution
    error = (known @ fitted - wanted).abs().mean().item()
    rows = [[round(value, 5) for value in row] for row in fitted.tolist()]
    text = json.dumps({"matrix": rows[:-1], "bias": rows[-1]})
    (arguments.model / "latent_colours.json").write_text(text + "\n", encoding="utf-8")
    print(f"mean error {error:.4f} of a range of 2")


if __name__ == "__main__":
    main()
