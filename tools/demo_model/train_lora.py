"""Trains the LoRA "ink" for the demo model: another drawing style, in the LoRA layout that most FLUX.1 tools read.

Run: python -m tools.demo_model.train_lora --help. Must not know: how the page or the engine load it.
"""

import argparse
from collections.abc import Iterator
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader

from tools.demo_model.export import METADATA, lora_names, save
from tools.demo_model.lessons import Batch, Batches
from tools.demo_model.network import DemoNetwork
from tools.demo_model.team import Team, join_team
from tools.demo_model.train_flow import Latents, Lesson, Meter, load_latents, load_network

RANK = 8
TOKENS_A_STEP = 20_000
TRIGGER = "ink drawing"


class LoraLinear(nn.Module):
    """A frozen linear layer, and a product of two narrow matrices beside it that learns."""

    def __init__(self, layer: nn.Linear, rank: int) -> None:
        super().__init__()
        self.layer = layer.requires_grad_(False)
        self.down = nn.Parameter(torch.empty(rank, layer.in_features, device=layer.weight.device))
        self.up = nn.Parameter(torch.zeros(layer.out_features, rank, device=layer.weight.device))
        nn.init.kaiming_uniform_(self.down, a=5**0.5)

    def forward(self, inputs: Tensor) -> Tensor:
        result: Tensor = self.layer(inputs)
        return result + inputs @ self.down.T.to(inputs.dtype) @ self.up.T.to(inputs.dtype)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="pictures drawn with --style ink")
    parser.add_argument("--vae", type=Path, required=True)
    parser.add_argument("--tokenizers", type=Path, required=True)
    parser.add_argument("--network", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--minutes", type=float, default=2.0)
    parser.add_argument("--rate", type=float, default=2e-3)
    parser.add_argument("--workers", type=int, default=10)
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    torch.manual_seed(arguments.seed)
    torch.set_float32_matmul_precision("high")
    team = join_team()
    pictures = load_latents([arguments.data], arguments.vae, team)
    network = DemoNetwork().to(team.device)
    load_network(network, arguments.network)
    network.requires_grad_(False)
    layers = add_lora(network.dit, RANK)
    source = Batches(
        [one.scenes for one in pictures],
        [one.patches for one in pictures],
        [one.share for one in pictures],
        arguments.tokenizers,
        tokens_a_step=TOKENS_A_STEP,
        seed=f"lora {arguments.seed}",
    )
    batches = iter(DataLoader(source, batch_size=None, num_workers=arguments.workers))
    train(network, layers, pictures, batches, arguments, team)
    details = {
        "ss_base_model_version": "darkroom demo 1",
        "ss_network_dim": str(RANK),
        "ss_network_alpha": str(RANK),
        "ss_output_name": "ink",
        "modelspec.title": "ink",
        "modelspec.trigger_phrase": TRIGGER,
        "modelspec.license": "MIT",
    }
    save(lora_state(layers), arguments.out, METADATA | details)


def add_lora(transformer: nn.Module, rank: int) -> dict[str, LoraLinear]:
    """Put a LoRA beside every linear layer of the blocks; returns them by the layers' names."""
    layers = {}
    for name in lora_names():
        parent, last = name.rsplit(".", 1)
        holder = transformer.get_submodule(parent)
        layer = getattr(holder, last)
        assert isinstance(layer, nn.Linear)
        layers[name] = LoraLinear(layer, rank)
        setattr(holder, last, layers[name])
    return layers


def lora_state(layers: dict[str, LoraLinear]) -> dict[str, Tensor]:
    names = lora_names()
    state = {}
    for name, layer in layers.items():
        state[f"{names[name]}.lora_down.weight"] = layer.down.detach().bfloat16().cpu().contiguous()
        state[f"{names[name]}.lora_up.weight"] = layer.up.detach().bfloat16().cpu().contiguous()
        state[f"{names[name]}.alpha"] = torch.tensor(float(len(layer.down)))
    return dict(sorted(state.items()))


def train(
    network: DemoNetwork,
    layers: dict[str, LoraLinear],
    pictures: list[Latents],
    batches: Iterator[Batch],
    arguments: argparse.Namespace,
    team: Team,
) -> None:
    parameters = [parameter for layer in layers.values() for parameter in layer.parameters() if parameter.requires_grad]
    optimizer = torch.optim.AdamW(parameters, lr=arguments.rate, betas=(0.9, 0.99), weight_decay=1e-3)
    meter = Meter("lora", team)
    for step, progress in team.clock(arguments.minutes):
        for group in optimizer.param_groups:
            group["lr"] = arguments.rate * min(1.0, (step + 1) / 50) * max(0.02, 1 - progress)
        batch = next(batches)
        lesson = Lesson.of(batch, pictures[batch.bucket], team.device)
        # the base has guidance distilled into it: at 1 it predicts what was drawn
        guidance = torch.ones_like(lesson.guidance)
        with torch.autocast(team.device.type, torch.bfloat16):
            with torch.no_grad():
                prompt, pooled = network.encode(lesson.tokens)
            velocity = network(lesson.mixed, lesson.sigma, prompt, pooled, guidance)
        loss = lesson.loss(velocity, lesson.noise - lesson.clean)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        nn.utils.clip_grad_norm_(parameters, 1.0)
        optimizer.step()
        meter.note(progress, len(lesson.clean), loss=loss)


if __name__ == "__main__":
    main()
