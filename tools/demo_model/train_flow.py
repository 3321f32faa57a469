"""Trains the demo model: rectified flow from captions to latents of drawn pictures, then guidance distilled into it.

Run: python -m tools.demo_model.train_flow --help (under torchrun, on several cards).
Must not know: how the page or the engine run the model.
"""

import argparse
import os
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.data import DataLoader

from darkroom.engine.demo import LATENT_CHANNELS
from tools.demo_model.dataset import SIZES, picture_sets
from tools.demo_model.lessons import TOKENS_A_STEP, Batch, Batches, pictures_a_step
from tools.demo_model.maps import NOTHING
from tools.demo_model.network import CLIP_TOKENS, PROMPT_TOKENS, Average, DemoNetwork, Tokens, random_sigmas
from tools.demo_model.optimizers import Optimizers
from tools.demo_model.reading import PromptReader, Said, reading_loss
from tools.demo_model.scenes import Scene
from tools.demo_model.sight import Sight
from tools.demo_model.team import Team, join_team
from tools.demo_model.train_vae import load_vae

DISTIL_RATE = 3e-4
SAVE_SECONDS = 60
THING_WEIGHT = 3.0
SIGHT_WEIGHT = 0.1
READING_WEIGHT = 0.05
# Distilled guidance g stands for true guidance 1 + SLOPE·(g − 1).
GUIDANCE_SLOPE = 0.6
LARGEST_GUIDANCE = 6.0


def main() -> None:
    arguments = _arguments()
    os.environ["TOKENIZERS_PARALLELISM"] = "false"
    team = join_team()
    torch.manual_seed(arguments.seed + team.rank)
    torch.set_float32_matmul_precision("high")
    torch._dynamo.config.recompile_limit = 128
    torch._dynamo.config.accumulated_recompile_limit = 1024
    torch._dynamo.config.automatic_dynamic_shapes = False
    network = DemoNetwork().to(team.device)
    network.compile_blocks()
    if team.device.type == "cuda":
        warm_up(network, arguments.tokens)
    if arguments.only_warm_up:
        return
    arguments.out.mkdir(parents=True, exist_ok=True)
    pictures = load_latents(arguments.data, arguments.vae, team)
    if arguments.text is not None:
        load_network(network, arguments.text)
    if arguments.resume:
        load_network(network, arguments.out / "flow.safetensors")
    minutes = arguments.minutes
    if arguments.end_at is not None:
        minutes = (arguments.end_at - time.time()) / 60 - arguments.distil_minutes
    source = Batches(
        [one.scenes for one in pictures],
        [one.patches for one in pictures],
        [one.share for one in pictures],
        arguments.tokenizers,
        tokens_a_step=arguments.tokens,
        small_seconds=minutes * 60 * arguments.small_share,
        seed=f"{arguments.seed} {team.rank}",
    )
    loader = DataLoader(
        source, batch_size=None, num_workers=arguments.workers, prefetch_factor=8 if arguments.workers else None
    )
    batches = iter(loader)
    train(network, pictures, batches, arguments, team, minutes=minutes)
    if team.leads:
        save_network(network, arguments.out / "flow.safetensors")
    if arguments.distil_minutes > 0:
        distil(network, pictures, batches, arguments, team)
    if team.leads:
        save_network(network, arguments.out / "network.safetensors")
    team.leave()


def train(
    network: DemoNetwork,
    pictures: list["Latents"],
    batches: Iterator[Batch],
    arguments: argparse.Namespace,
    team: Team,
    *,
    minutes: float,
) -> None:
    """Leaves the running average of the weights in `network`."""
    sight, reader = Sight(), PromptReader()
    whole = nn.ModuleDict({"network": network, "sight": sight, "reader": reader}).to(team.device)
    team.same_for_all(whole.parameters())
    average = Average(network, decay=0.9995)
    optimizer = Optimizers(whole, rate=arguments.rate)
    meter = Meter("flow", team)
    saved = time.monotonic()
    for step, progress in team.clock(minutes):
        optimizer.set_rate(_rate(arguments.rate, step, progress, decay_from=arguments.decay_from))
        batch = next(batches)
        lesson = Lesson.of(batch, pictures[batch.bucket], team.device)
        with torch.autocast(team.device.type, torch.bfloat16):
            prompt, pooled = network.encode(lesson.tokens)
            velocity, halfway = network.thinking_aloud(lesson.mixed, lesson.sigma, prompt, pooled, lesson.guidance)
        flow = lesson.loss(velocity, lesson.noise - lesson.clean)
        seen = sight.loss(halfway, lesson.maps)
        said = Said(*(part.to(team.device, non_blocking=True) for part in batch.said))
        read = reading_loss(reader(prompt.float()), said)
        optimizer.zero_grad()
        (flow + SIGHT_WEIGHT * (1 - progress) * seen + READING_WEIGHT * read).backward()
        team.mean_gradients(whole.parameters())
        nn.utils.clip_grad_norm_(whole.parameters(), 1.0)
        optimizer.step()
        average.update(network.parameters())
        meter.note(progress, len(lesson.clean), flow=flow, sight=seen, reading=read)
        if team.leads and time.monotonic() - saved > SAVE_SECONDS:
            saved = time.monotonic()
            average.save(network, arguments.out / "middle.safetensors")
    average.copy_to(network)


def distil(
    network: DemoNetwork, pictures: list["Latents"], batches: Iterator[Batch], arguments: argparse.Namespace, team: Team
) -> None:
    """Teach the network to give at once what true guidance gives in two passes."""
    teacher = DemoNetwork().to(team.device)
    teacher.load_state_dict(network.state_dict())
    teacher.compile_blocks()
    average = Average(network, decay=0.995)
    optimizer = Optimizers(network, rate=DISTIL_RATE)
    meter = Meter("distil", team)
    for step, progress in team.clock(arguments.distil_minutes):
        optimizer.set_rate(_rate(DISTIL_RATE, step, progress, decay_from=0.3))
        batch = next(batches)
        lesson = Lesson.of(batch, pictures[batch.bucket], team.device)
        with torch.autocast(team.device.type, torch.bfloat16):
            target = _guided(teacher, lesson, batch, 1 + arguments.slope * (lesson.guidance - 1))
            prompt, pooled = network.encode(lesson.tokens)
            velocity = network(lesson.mixed, lesson.sigma, prompt, pooled, lesson.guidance)
        loss = lesson.loss(velocity, target)
        optimizer.zero_grad()
        loss.backward()
        team.mean_gradients(network.parameters())
        nn.utils.clip_grad_norm_(network.parameters(), 1.0)
        optimizer.step()
        average.update(network.parameters())
        meter.note(progress, len(lesson.clean), loss=loss)
    average.copy_to(network)


def _guided(teacher: DemoNetwork, lesson: "Lesson", batch: Batch, scale: Tensor) -> Tensor:
    """The teacher's prediction under true guidance: `scale` times as far from the empty prompt's.

    Run with gradients on and then detached: so it shares the student's compiled graphs.
    """
    device, count = lesson.mixed.device, len(lesson.mixed)
    empty = Tokens(clip=batch.empty_clip.to(device), t5=batch.empty_t5.to(device))
    no_prompt, no_pooled = teacher.encode(empty)
    plain = torch.ones_like(scale)
    asked = teacher(lesson.mixed, lesson.sigma, *teacher.encode(lesson.tokens), plain).detach().float()
    no_prompt, no_pooled = no_prompt.expand(count, -1, -1).contiguous(), no_pooled.expand(count, -1).contiguous()
    nothing = teacher(lesson.mixed, lesson.sigma, no_prompt, no_pooled, plain).detach().float()
    guided: Tensor = nothing + scale[:, None, None, None] * (asked - nothing)
    return guided


@dataclass(frozen=True, kw_only=True)
class Latents:
    """All pictures of one size that this member has: (pictures, 16, H/8, W/8) half precision, maps, and scenes."""

    values: Tensor
    maps: Tensor
    scenes: list[Scene]
    share: float

    @property
    def patches(self) -> int:
        return self.maps.shape[-2] * self.maps.shape[-1]


@dataclass(frozen=True, kw_only=True)
class Lesson:
    """One batch on the device: pictures mixed with noise, and how much each latent counts."""

    tokens: Tokens
    clean: Tensor
    noise: Tensor
    mixed: Tensor
    sigma: Tensor
    guidance: Tensor
    maps: Tensor
    weights: Tensor

    @classmethod
    def of(cls, batch: Batch, latents: Latents, device: torch.device) -> "Lesson":
        chosen = batch.chosen.to(device, non_blocking=True)
        clean, maps = latents.values[chosen].float(), latents.maps[chosen]
        noise = torch.randn_like(clean)
        sigma = random_sigmas(len(clean), device)
        level = sigma[:, None, None, None]
        weights = 1 + (THING_WEIGHT - 1) * (maps != NOTHING).float()[:, None]
        return cls(
            tokens=Tokens(clip=batch.clip.to(device, non_blocking=True), t5=batch.t5.to(device, non_blocking=True)),
            clean=clean,
            noise=noise,
            mixed=(1 - level) * clean + level * noise,
            sigma=sigma,
            guidance=1 + (LARGEST_GUIDANCE - 1) * torch.rand(len(clean), device=device),
            maps=maps,
            weights=functional.interpolate(weights / weights.mean(), scale_factor=2, mode="nearest"),
        )

    def loss(self, velocity: Tensor, target: Tensor) -> Tensor:
        return (self.weights * (velocity.float() - target).square()).mean()


class Meter:
    """Says now and then how it goes, without making the card wait in between."""

    def __init__(self, name: str, team: Team) -> None:
        self.name = name
        self.team = team
        self.steps = 0
        self.pictures = 0
        self.began = time.monotonic()
        self.means: dict[str, Tensor] = {}

    def note(self, progress: float, pictures: int, **losses: Tensor) -> None:
        self.steps += 1
        self.pictures += pictures * self.team.size
        for name, loss in losses.items():
            now = loss.detach()
            self.means[name] = self.means[name].lerp(now, 0.02) if name in self.means else now
        if self.steps % 200 == 0:
            speed = self.pictures / (time.monotonic() - self.began)
            means = ", ".join(f"{name} {float(mean):.4f}" for name, mean in self.means.items())
            self.team.say(
                f"{self.name}: step {self.steps}, {progress:.0%}, {means}; {self.pictures} pictures, {speed:.0f}/s"
            )


def warm_up(network: DemoNetwork, tokens_a_step: int) -> None:
    """Compile for every picture size; what is compiled stays on disk for those who come after."""
    device = next(network.parameters()).device
    for width, height in {width * height: (width, height) for width, height in SIZES}.values():
        count = pictures_a_step(width * height // 256, tokens_a_step)
        tokens = torch.ones(count, CLIP_TOKENS, dtype=torch.long, device=device)
        texts = Tokens(clip=tokens, t5=tokens[:, :1].repeat(1, PROMPT_TOKENS))
        sigma = torch.rand(count, device=device)
        latents = torch.randn(count, LATENT_CHANNELS, height // 8, width // 8, device=device)
        with torch.autocast(device.type, torch.bfloat16):
            network(latents, sigma, *network.encode(texts), sigma).float().square().mean().backward()
        print(f"warm-up: {width}x{height}", flush=True)
    network.zero_grad(set_to_none=True)


@torch.no_grad()
def load_latents(folders: list[Path], vae: Path, team: Team) -> list[Latents]:
    """This member's share of the pictures, encoded, for each picture size."""
    found: dict[tuple[int, int], tuple[list[Tensor], list[Tensor], list[Scene]]] = {}
    while not all((folder / "drawn").exists() for folder in folders):  # both may be started together
        time.sleep(0.5)
    encoder, _ = load_vae(vae, team.device)
    encoder.to(dtype=torch.bfloat16, memory_format=torch.contiguous_format)
    for folder in folders:
        for one in picture_sets(folder):
            values, maps, scenes = found.setdefault((one.width, one.height), ([], [], []))
            mine = range(team.rank, len(one.scenes), team.size)
            scenes += [one.scenes[place] for place in mine]
            maps.append(torch.from_numpy(np.array(one.maps[mine.start : mine.stop : mine.step])).to(team.device))
            for start in range(mine.start, mine.stop, 128 * team.size):
                drawn = np.array(one.pixels[start : start + 128 * team.size : team.size])
                block = torch.from_numpy(drawn).to(team.device)
                values.append(encoder(block.permute(0, 3, 1, 2).to(torch.bfloat16).contiguous() / 127.5 - 1).half())
    team.say(f"latents: {team.size} × {sum(len(scenes) for _, _, scenes in found.values())} pictures")
    return [
        Latents(values=torch.cat(values), maps=torch.cat(maps), scenes=scenes, share=SIZES[size])
        for size, (values, maps, scenes) in found.items()
    ]


def save_network(network: DemoNetwork, path: Path) -> None:
    save_file({name: value.cpu().contiguous() for name, value in network.named_parameters()}, path)


def load_network(network: DemoNetwork, path: Path) -> None:
    """All of the network, or the part of it that the file holds."""
    network.load_state_dict({name: value.float() for name, value in load_file(path).items()}, strict=False)


def _rate(rate: float, step: int, progress: float, *, decay_from: float) -> float:
    """Level, then falling to a fiftieth."""
    left = 1.0 if progress < decay_from else (1 - progress) / (1 - decay_from)
    return rate * min(1.0, (step + 1) / 200) * max(0.02, left)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, nargs="+", default=[])
    parser.add_argument("--vae", type=Path)
    parser.add_argument("--tokenizers", type=Path)
    parser.add_argument("--text", type=Path, help="text encoders that can read already, from train_text")
    parser.add_argument("--out", type=Path)
    parser.add_argument("--minutes", type=float, default=15.0)
    parser.add_argument("--distil-minutes", type=float, default=2.0)
    parser.add_argument("--end-at", type=float, help="seconds since 1970 by which all is done, instead of --minutes")
    parser.add_argument("--rate", type=float, default=1.2e-3)
    parser.add_argument("--decay-from", type=float, default=0.5, help="where the rate begins to fall, 0 to 1")
    parser.add_argument("--small-share", type=float, default=0.55, help="of the time, for the smallest pictures alone")
    parser.add_argument("--tokens", type=int, default=TOKENS_A_STEP, help="in one step, for each card")
    parser.add_argument("--resume", action="store_true", help="begin with the flow.safetensors in --out")
    parser.add_argument("--only-warm-up", action="store_true", help="compile what training will use, and end")
    parser.add_argument("--slope", type=float, default=GUIDANCE_SLOPE)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--workers", type=int, default=10)
    return parser.parse_args()


if __name__ == "__main__":
    main()
