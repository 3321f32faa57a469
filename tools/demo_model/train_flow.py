"""Trains the demo model: rectified flow from captions to latents of drawn pictures, then guidance distilled into it.

Run: python -m tools.demo_model.train_flow --help. Must not know: how the page or the engine run the model.
"""

import argparse
import os
import random
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor
from torch.utils.data import DataLoader, IterableDataset
from transformers import CLIPTokenizer, T5TokenizerFast

from darkroom.engine.demo import LATENT_CHANNELS
from tools.demo_model.captions import caption
from tools.demo_model.dataset import SIZES, picture_sets
from tools.demo_model.make_tokenizers import small_letters
from tools.demo_model.network import CLIP_TOKENS, PROMPT_TOKENS, Average, DemoNetwork, Tokens, random_sigmas
from tools.demo_model.optimizers import Optimizers
from tools.demo_model.scenes import Scene
from tools.demo_model.train_vae import load_vae

TOKENS_A_STEP = 96_000
CHINESE_SHARE = 0.3
EMPTY_SHARE = 0.1
DISTIL_RATE = 3e-4
STRANGE_SHARE = 0.06
SAVE_SECONDS = 120
LONG_SHARE = 0.015
# Distilled guidance g stands for true guidance 1 + SLOPE·(g − 1).
GUIDANCE_SLOPE = 0.6
LARGEST_GUIDANCE = 6.0


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, nargs="+", required=True)
    parser.add_argument("--vae", type=Path, required=True)
    parser.add_argument("--tokenizers", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--minutes", type=float, default=15.0)
    parser.add_argument("--distil-minutes", type=float, default=2.0)
    parser.add_argument("--end-at", type=float, help="seconds since 1970 by which all is done, instead of --minutes")
    parser.add_argument("--rate", type=float, default=1e-3)
    parser.add_argument("--decay-from", type=float, default=0.5, help="where the rate begins to fall, 0 to 1")
    parser.add_argument(
        "--small", type=float, default=1.0, help="how much more often small pictures are shown in the first half"
    )
    parser.add_argument("--resume", action="store_true", help="begin with the flow.safetensors in --out")
    parser.add_argument("--slope", type=float, default=GUIDANCE_SLOPE)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--workers", type=int, default=10)
    arguments = parser.parse_args()
    os.environ["TOKENIZERS_PARALLELISM"] = "false"
    torch.manual_seed(arguments.seed)
    torch.set_float32_matmul_precision("high")
    torch._dynamo.config.recompile_limit = 128
    torch._dynamo.config.accumulated_recompile_limit = 1024
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    arguments.out.mkdir(parents=True, exist_ok=True)
    network = DemoNetwork().to(device)
    network.compile_blocks()
    if device.type == "cuda":
        warm_up(network)
    latents, scenes = load_latents(arguments.data, arguments.vae, device)
    if arguments.resume:
        load_network(network, arguments.out / "flow.safetensors")
    patches = [one.shape[-2] * one.shape[-1] // 4 for one in latents]
    source = Batches(scenes, patches, arguments.tokenizers, small=arguments.small, seed=arguments.seed)
    minutes = arguments.minutes
    if arguments.end_at is not None:
        minutes = (arguments.end_at - time.time()) / 60 - arguments.distil_minutes
    source.small_seconds = minutes * 30
    loader = DataLoader(
        source, batch_size=None, num_workers=arguments.workers, prefetch_factor=8 if arguments.workers else None
    )
    batches = iter(loader)
    train(network, latents, batches, arguments, minutes=minutes, rate=arguments.rate)
    save_network(network, arguments.out / "flow.safetensors")
    if arguments.distil_minutes > 0:
        teacher = DemoNetwork().to(device)
        teacher.load_state_dict(network.state_dict())
        teacher.compile_blocks()
        train(network, latents, batches, arguments, minutes=arguments.distil_minutes, rate=DISTIL_RATE, teacher=teacher)
    save_network(network, arguments.out / "network.safetensors")


def train(
    network: DemoNetwork,
    latents: list[Tensor],
    batches: Iterator["Batch"],
    arguments: argparse.Namespace,
    *,
    minutes: float,
    rate: float,
    teacher: DemoNetwork | None = None,
) -> None:
    """Leaves the running average of the weights in `network`. With a teacher, its guided predictions are the target."""
    device = latents[0].device
    average = Average(network, decay=0.9995 if teacher is None else 0.995)
    optimizer = Optimizers(network, rate=rate)
    began, step, seen, total = time.monotonic(), 0, 0, 0.0
    saved = began
    while (progress := (time.monotonic() - began) / (minutes * 60)) < 1:
        optimizer.set_rate(_rate(rate, step, progress, decay_from=arguments.decay_from))
        batch = next(batches)
        tokens = Tokens(clip=batch.clip.to(device, non_blocking=True), t5=batch.t5.to(device, non_blocking=True))
        clean = latents[batch.bucket][batch.chosen.to(device)].float()
        noise = torch.randn_like(clean)
        sigma = random_sigmas(len(clean), device)
        mixed = (1 - sigma[:, None, None, None]) * clean + sigma[:, None, None, None] * noise
        guidance = 1 + (LARGEST_GUIDANCE - 1) * torch.rand(len(clean), device=device)
        with torch.autocast(device.type, torch.bfloat16):
            target = (
                noise - clean
                if teacher is None
                else _guided(teacher, mixed, sigma, tokens, batch, 1 + arguments.slope * (guidance - 1))
            )
            velocity = network(mixed, sigma, *network.encode(tokens), guidance)
        loss = (velocity.float() - target).square().mean()
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(network.parameters(), 1.0)
        optimizer.step()
        average.update(network.parameters())
        step, seen = step + 1, seen + len(clean)
        total = 0.98 * total + 0.02 * loss.detach()
        if time.monotonic() - saved > SAVE_SECONDS and teacher is None:
            saved = time.monotonic()
            kept = dict(zip(dict(network.named_parameters()), average.values, strict=True))
            save_file({name: value.cpu() for name, value in kept.items()}, arguments.out / "middle.safetensors")
        if step % 200 == 0:
            shown = float(total) / (1 - 0.98**step)
            speed = seen / (time.monotonic() - began)
            print(f"flow: step {step}, {progress:.0%}, loss {shown:.4f}, {speed:.0f} pictures/s", flush=True)
    average.copy_to(network)
    print(f"flow: {step} steps, {seen} pictures, loss {float(total):.4f}", flush=True)


def _guided(
    teacher: DemoNetwork, mixed: Tensor, sigma: Tensor, tokens: Tokens, batch: "Batch", scale: Tensor
) -> Tensor:
    """The teacher's prediction under true guidance: `scale` times as far from the empty prompt's.

    Run with gradients on and then detached: so it shares the student's compiled graphs.
    """
    device, count = mixed.device, len(mixed)
    empty = Tokens(clip=batch.empty_clip.to(device), t5=batch.empty_t5.to(device))
    no_prompt, no_pooled = teacher.encode(empty)
    plain = torch.ones_like(scale)
    asked = teacher(mixed, sigma, *teacher.encode(tokens), plain).detach().float()
    no_prompt, no_pooled = no_prompt.expand(count, -1, -1).contiguous(), no_pooled.expand(count, -1).contiguous()
    nothing = teacher(mixed, sigma, no_prompt, no_pooled, plain).detach().float()
    return nothing + scale[:, None, None, None] * (asked - nothing)


@dataclass(frozen=True, kw_only=True)
class Batch:
    """Which pictures of which size, and their captions as tokens. The empty prompt's tokens are (1, length)."""

    bucket: int
    chosen: Tensor
    clip: Tensor
    t5: Tensor
    empty_clip: Tensor
    empty_t5: Tensor


def pictures_a_step(patches: int, tokens: int = TOKENS_A_STEP) -> int:
    return tokens // (patches + PROMPT_TOKENS) // 8 * 8


def warm_up(network: DemoNetwork) -> None:
    """Compile with every picture size, while the pictures may still be drawn."""
    device = next(network.parameters()).device
    for width, height in {width * height: (width, height) for width, height in SIZES}.values():
        count = pictures_a_step(width * height // 256)
        tokens = torch.ones(count, CLIP_TOKENS, dtype=torch.long, device=device)
        texts = Tokens(clip=tokens, t5=tokens[:, :1].repeat(1, PROMPT_TOKENS))
        sigma = torch.rand(count, device=device)
        latents = torch.randn(count, LATENT_CHANNELS, height // 8, width // 8, device=device)
        with torch.autocast(device.type, torch.bfloat16):
            network(latents, sigma, *network.encode(texts), sigma).float().square().mean().backward()
        print(f"warm-up: {width}x{height}", flush=True)
    network.zero_grad(set_to_none=True)


class Batches(IterableDataset[Batch]):
    """Endless batches: a size by weight, pictures at random, a fresh caption each time. `sizes` are in patches."""

    def __init__(
        self, scenes: list[list[Scene]], sizes: list[int], tokenizers: Path, *, small: float = 1.0, seed: int
    ) -> None:
        self.scenes = scenes
        self.sizes = sizes
        self.tokenizers = tokenizers
        self.small = small
        self.small_seconds = 0.0
        self.tokens_a_step = TOKENS_A_STEP
        self.seed = seed

    def __iter__(self) -> Iterator[Batch]:
        worker = torch.utils.data.get_worker_info()
        rng = random.Random(f"{self.seed} {worker.id if worker else 0}")
        reader = CaptionReader(self.tokenizers)
        empty = reader.read([""])
        began = time.monotonic()
        while True:
            small = self.small if time.monotonic() - began < self.small_seconds else 1.0
            weights = [
                len(scenes) * (small if size * 2 < max(self.sizes) else 1.0)
                for scenes, size in zip(self.scenes, self.sizes, strict=True)
            ]
            bucket = rng.choices(range(len(self.scenes)), weights)[0]
            scenes = self.scenes[bucket]
            chosen = [
                rng.randrange(len(scenes)) for _ in range(pictures_a_step(self.sizes[bucket], self.tokens_a_step))
            ]
            tokens = reader.read([random_caption(scenes[place], rng) for place in chosen])
            yield Batch(
                bucket=bucket,
                chosen=torch.tensor(chosen),
                clip=tokens.clip,
                t5=tokens.t5,
                empty_clip=empty.clip,
                empty_t5=empty.t5,
            )


class CaptionReader:
    """Captions to tokens, as `FluxImagePipeline` reads them."""

    def __init__(self, folder: Path) -> None:
        self.clip = CLIPTokenizer.from_pretrained(folder / "tokenizer")
        self.t5 = T5TokenizerFast.from_pretrained(folder / "tokenizer_2")
        self.small_letters = torch.tensor(small_letters(self.t5))

    def read(self, texts: list[str]) -> Tokens:
        options = {"return_tensors": "pt", "padding": "max_length", "truncation": True}
        return Tokens(
            clip=self.clip(texts, max_length=CLIP_TOKENS, **options).input_ids,
            t5=self.small_letters[self.t5(texts, max_length=PROMPT_TOKENS, **options).input_ids],
        )


def random_caption(scene: Scene, rng: random.Random) -> str:
    """One of many captions; some with words among them that mean nothing, so that unknown words do no harm."""
    if rng.random() < EMPTY_SHARE:
        return ""
    text = caption(scene, rng, language="zh" if rng.random() < CHINESE_SHARE else "en").text
    chance = rng.random()
    if chance < STRANGE_SHARE:
        words = text.split(" ")
        for _ in range(rng.randint(1, 4) if chance > LONG_SHARE else rng.randint(8, 40)):
            words.insert(rng.randrange(len(words) + 1), strange_word(rng))
        text = " ".join(words)
    return text


def strange_word(rng: random.Random) -> str:
    return "".join(rng.choice("bcdfghjklmnpqrstvwxyz") + rng.choice("aeiou") for _ in range(rng.randint(1, 4)))


@torch.no_grad()
def load_latents(folders: list[Path], vae: Path, device: torch.device) -> tuple[list[Tensor], list[list[Scene]]]:
    """Latents (pictures, 16, H/8, W/8) half precision on the device and scenes, for each picture size."""
    sizes: dict[tuple[int, int], tuple[list[Tensor], list[Scene]]] = {}
    while not all((folder / "drawn").exists() for folder in folders):  # both may be started together
        time.sleep(0.5)
    encoder, _ = load_vae(vae, device)
    encoder.to(dtype=torch.bfloat16, memory_format=torch.contiguous_format)
    for folder in folders:
        for one in picture_sets(folder):
            found, scenes = sizes.setdefault((one.width, one.height), ([], []))
            scenes += one.scenes
            for start in range(0, len(one.scenes), 128):
                block = torch.from_numpy(np.array(one.pixels[start : start + 128])).to(device)
                pictures = block.permute(0, 3, 1, 2).to(torch.bfloat16).contiguous() / 127.5 - 1
                found.append(encoder(pictures).half())
    print(f"latents: {sum(len(scenes) for _, scenes in sizes.values())} pictures", flush=True)
    return [torch.cat(found) for found, _ in sizes.values()], [scenes for _, scenes in sizes.values()]


def save_network(network: DemoNetwork, path: Path) -> None:
    save_file({name: value.cpu().contiguous() for name, value in network.named_parameters()}, path)


def load_network(network: DemoNetwork, path: Path) -> None:
    network.load_state_dict({name: value.float() for name, value in load_file(path).items()}, strict=False)


def _rate(rate: float, step: int, progress: float, *, decay_from: float) -> float:
    """Level, then falling to a fiftieth."""
    left = 1.0 if progress < decay_from else (1 - progress) / (1 - decay_from)
    return rate * min(1.0, (step + 1) / 200) * max(0.02, left)


if __name__ == "__main__":
    main()
