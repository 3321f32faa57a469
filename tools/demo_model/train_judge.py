"""Trains the judge on drawn pictures. Run: python -m tools.demo_model.train_judge --data DIR --out FILE --minutes N.

Must not know: the model whose pictures will be judged.
"""

import argparse
import time
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import save_file
from torch.nn import functional

from tools.demo_model.dataset import picture_sets
from tools.demo_model.judge import SIDE, Judge, Labels, judge_loss, labels_of, right_share
from tools.demo_model.scenes import Scene

BATCH = 256
HELD_OUT = 4096


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--minutes", type=float, default=2.0)
    parser.add_argument("--most", type=int, default=60_000)
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    torch.manual_seed(arguments.seed)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    pictures, labels = load(arguments.data, arguments.most, device)
    held_out = min(HELD_OUT, len(pictures) // 10)
    judge = train(pictures[held_out:], _part(labels, slice(held_out, None)), minutes=arguments.minutes)
    print("drawn pictures, held out:", check(judge, pictures[:held_out], _part(labels, slice(0, held_out))))
    save_file({name: value.half().cpu().contiguous() for name, value in judge.state_dict().items()}, arguments.out)


def load(folder: Path, most: int, device: torch.device) -> tuple[torch.Tensor, Labels]:
    """Up to `most` pictures of all sizes, shuffled, as (pictures, 3, SIDE, SIDE) uint8 on `device`."""
    sets = list(picture_sets(folder))
    total = sum(len(one.scenes) for one in sets)
    share = min(1.0, most / total)
    pictures: list[torch.Tensor] = []
    scenes: list[Scene] = []
    for one in sets:
        count = int(len(one.scenes) * share)
        for start in range(0, count, 512):
            stop = min(count, start + 512)
            block = torch.from_numpy(np.array(one.pixels[start:stop])).to(device).permute(0, 3, 1, 2).float()
            block = functional.interpolate(block, (SIDE, SIDE), mode="bilinear", antialias=True, align_corners=False)
            pictures.append(block.round().clamp(0, 255).byte())
        scenes += one.scenes[:count]
    order = torch.randperm(len(scenes))
    labels = labels_of(scenes).to(device)
    return torch.cat(pictures)[order.to(device)], _part(labels, order.to(device))


def train(pictures: torch.Tensor, labels: Labels, *, minutes: float) -> Judge:
    device = pictures.device
    judge = Judge().to(device)
    judge.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # torch's types leave it out
    optimizer = torch.optim.AdamW(judge.parameters(), lr=2e-3, weight_decay=0.02)
    average = torch.optim.swa_utils.AveragedModel(judge, multi_avg_fn=torch.optim.swa_utils.get_ema_multi_avg_fn(0.998))
    began, step = time.monotonic(), 0
    while (progress := (time.monotonic() - began) / (minutes * 60)) < 1:
        for group in optimizer.param_groups:
            group["lr"] = 2e-3 * min(1.0, (step + 1) / 100) * (1 - progress) ** 0.7
        chosen = torch.randint(len(pictures), (BATCH,), device=device)
        seen = _disturbed(pictures[chosen].float() / 127.5 - 1)
        with torch.autocast(device.type, torch.bfloat16):
            scores = judge(seen.to(memory_format=torch.channels_last))
        loss = judge_loss({name: value.float() for name, value in scores.items()}, _part(labels, chosen))
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        optimizer.step()
        average.update_parameters(judge)
        step += 1
        if step % 500 == 0:
            print(f"judge: step {step}, loss {loss.item():.4f}", flush=True)
    trained = average.module
    assert isinstance(trained, Judge)
    return trained.eval()


@torch.no_grad()
def check(judge: Judge, pictures: torch.Tensor, labels: Labels) -> dict[str, float]:
    parts = [judge(block.float() / 127.5 - 1) for block in pictures.split(256)]
    scores = {name: torch.cat([part[name] for part in parts]) for name in parts[0]}
    return {name: round(value, 4) for name, value in right_share(scores, labels).items()}


def _disturbed(pictures: torch.Tensor) -> torch.Tensor:
    """A little blur, noise and shift of brightness, so that the judge looks at shapes and not at single pixels."""
    if torch.rand(()) < 0.5:
        small = functional.interpolate(pictures, scale_factor=0.5 + 0.4 * float(torch.rand(())), mode="bilinear")
        pictures = functional.interpolate(small, (SIDE, SIDE), mode="bilinear")
    pictures = pictures * (1 + 0.06 * torch.randn(len(pictures), 1, 1, 1, device=pictures.device))
    return pictures + 0.04 * torch.rand(()).to(pictures.device) * torch.randn_like(pictures)


def _part(labels: Labels, which: slice | torch.Tensor) -> Labels:
    return Labels(**{name: getattr(labels, name)[which] for name in Labels.NAMES})


if __name__ == "__main__":
    main()
