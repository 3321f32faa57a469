"""Teaches the demo model's text encoders to read captions, before they meet a picture. Needs no graphics card.

Run: python -m tools.demo_model.train_text --tokenizers DIR --out FILE --minutes N. Must not know: pictures.
"""

import argparse
import os
import random
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import torch
from safetensors.torch import save_file
from torch import Tensor, nn
from torch.utils.data import DataLoader, IterableDataset

from tools.demo_model.lessons import CaptionReader, random_caption
from tools.demo_model.network import Average, DemoNetwork, Tokens
from tools.demo_model.optimizers import Optimizers
from tools.demo_model.reading import PooledReader, PromptReader, Said, read_right, reading_loss, said_by
from tools.demo_model.scenes import random_scene

BATCH = 128
TEXT_ENCODERS = ("text_encoder_1.", "text_encoder_2.")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tokenizers", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--minutes", type=float, default=60.0)
    parser.add_argument("--rate", type=float, default=1e-3)
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    os.environ["TOKENIZERS_PARALLELISM"] = "false"
    torch.manual_seed(arguments.seed)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    network = DemoNetwork().to(device)
    readers = nn.ModuleList((PromptReader(), PooledReader())).to(device)
    parts = nn.ModuleList((network.text_encoder_1, network.text_encoder_2, readers))
    optimizer = Optimizers(parts, rate=arguments.rate)
    average = Average(parts, decay=0.998)
    lessons = DataLoader(
        Lessons(arguments.tokenizers, seed=arguments.seed), batch_size=None, num_workers=arguments.workers
    )
    began = saved = time.monotonic()
    for step, lesson in enumerate(lessons):
        progress = (time.monotonic() - began) / (arguments.minutes * 60)
        if progress >= 1:
            break
        optimizer.set_rate(arguments.rate * min(1.0, (step + 1) / 200) * max(0.02, min(1.0, 2 * (1 - progress))))
        said = Said(*(part.to(device) for part in lesson.said))
        with torch.autocast(device.type, torch.bfloat16):
            prompt, pooled = network.encode(Tokens(clip=lesson.clip.to(device), t5=lesson.t5.to(device)))
            # the readers learn to read what is at hand anywhere in the scale of what the encoders give
            read, glance = readers[0](prompt.float()), readers[1](pooled.float())
        loss = reading_loss(read, said) + 0.5 * reading_loss(glance, said)
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(parts.parameters(), 1.0)
        optimizer.step()
        average.update(parts.parameters())
        if step % 50 == 0:
            shares, glances = (
                ", ".join(f"{name} {share:.3f}" for name, share in read_right(one, said).items())
                for one in (read, glance)
            )
            print(f"text: step {step}, {progress:.1%}, loss {loss.item():.4f}: {shares}; pooled: {glances}", flush=True)
        if time.monotonic() - saved > 300:
            saved = time.monotonic()
            save(parts, average, arguments.out)
    save(parts, average, arguments.out)


class Lesson(NamedTuple):
    clip: Tensor
    t5: Tensor
    said: Said


class Lessons(IterableDataset[Lesson]):
    """Endless captions of random scenes, and what they say."""

    def __init__(self, tokenizers: Path, *, seed: int, size: int = BATCH) -> None:
        self.tokenizers = tokenizers
        self.seed = seed
        self.size = size

    def __iter__(self) -> Iterator[Lesson]:
        worker = torch.utils.data.get_worker_info()
        rng = random.Random(f"text {self.seed} {worker.id if worker else 0}")
        reader = CaptionReader(self.tokenizers)
        while True:
            scenes = [random_scene(rng) for _ in range(self.size)]
            captions = [random_caption(scene, rng) for scene in scenes]
            tokens = reader.read([one.text for one in captions])
            yield Lesson(clip=tokens.clip, t5=tokens.t5, said=said_by(scenes, captions))


def save(parts: nn.Module, average: Average, path: Path) -> None:
    """The encoders alone, half precision, by the names they have in DemoNetwork."""
    names = [name for name, _ in parts.named_parameters()]
    kept = {}
    for name, value in zip(names, average.values, strict=True):
        place, _, rest = name.partition(".")
        if place in ("0", "1"):
            kept[TEXT_ENCODERS[int(place)] + rest] = value.half().cpu().contiguous()
    save_file(kept, path)


if __name__ == "__main__":
    main()
