"""Trains the demo model's VAE on drawn pictures.

Run: python -m tools.demo_model.train_vae --data DIR … --out DIR --minutes N.
Must not know: captions, or the transformer.
"""

import argparse
import functools
import time
from collections.abc import Callable
from pathlib import Path

import torch
from diffsynth.models.flux_vae import ResnetBlock
from PIL import Image
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from torch.nn import functional

from darkroom.engine.demo import LATENT_CHANNELS, DemoVAEDecoder, DemoVAEEncoder
from tools.demo_model.crops import Crops
from tools.demo_model.team import join_team

KL_WEIGHT = 2e-4
EDGE_WEIGHT = 1.0
SQUARE_WEIGHT = 4.0


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, nargs="+", required=True, help="folders of drawn pictures")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--minutes", type=float, default=5.0)
    parser.add_argument("--pictures", type=int, default=12_000)
    parser.add_argument("--resume", action="store_true", help="go on with what is in --out")
    parser.add_argument("--end-at", type=float, help="seconds since 1970 by which it is done, instead of minutes")
    parser.add_argument("--rate", type=float, default=1.2e-3)
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    team = join_team()
    device = team.device
    torch.manual_seed(arguments.seed + team.rank)
    torch.backends.cudnn.benchmark = False
    crops = Crops(arguments.data, arguments.pictures, team, seed=arguments.seed)
    arguments.out.mkdir(parents=True, exist_ok=True)
    if arguments.resume:
        encoder, decoder = load_vae(arguments.out, device)
    else:
        encoder = DemoVAEEncoder().to(device, memory_format=torch.channels_last)
        decoder = DemoVAEDecoder().to(device, memory_format=torch.channels_last)
    if arguments.end_at is not None:
        arguments.minutes = min(arguments.minutes, (arguments.end_at - time.time()) / 60)
    team.same_for_all([*encoder.parameters(), *decoder.parameters()])
    if arguments.minutes > 0:
        train_both(crops, encoder, decoder, minutes=arguments.minutes, rate=arguments.rate)
        if team.leads:
            set_latents_to_unit_scale(encoder, decoder, crops)
            save_vae(arguments.out, encoder, decoder)
            report(encoder, decoder, crops, arguments.out / "restored.png")
        team.same_for_all([*encoder.parameters(), *decoder.parameters()])
    team.leave()


def train_both(
    crops: Crops, encoder: DemoVAEEncoder, decoder: DemoVAEDecoder, *, minutes: float, rate: float = 1e-3
) -> None:
    device = crops.device
    parameters = [*encoder.parameters(), *decoder.parameters()]
    optimizer = torch.optim.AdamW(
        parameters, lr=rate, betas=(0.9, 0.99), weight_decay=1e-3, fused=device.type == "cuda"
    )
    if device.type == "cuda":
        fuse_norms(encoder)
        fuse_norms(decoder)
    for step, progress in crops.team.clock(minutes):
        _set_rate(optimizer, rate * min(1.0, (step + 1) / 200) * max(0.02, 1 - progress))
        pictures, weights = crops.batch()
        with torch.autocast(device.type, torch.bfloat16):
            mean, log_variance = _moments(encoder, pictures)
            latents = mean + torch.exp(0.5 * log_variance) * torch.randn_like(mean)
            restored = decoder((latents - encoder.shift_factor) * encoder.scaling_factor)
        restored, mean, log_variance = restored.float(), mean.float(), log_variance.float()
        kl = 0.5 * (mean.square() + log_variance.exp() - 1 - log_variance).mean()
        loss = pixel_loss(restored, pictures, weights) + KL_WEIGHT * kl
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        crops.team.mean_gradients(parameters)
        nn.utils.clip_grad_norm_(parameters, 1.0)
        optimizer.step()
        if step % 200 == 0:
            error = (restored - pictures).abs().mean().item()
            crops.team.say(f"vae: step {step}, {progress:.1%}, L1 {error:.4f}, KL {kl.item():.2f}")


def fuse_norms(coder: nn.Module) -> None:
    """Norm and activation as one compiled kernel, in the channels-last layout of the convolutions around it."""
    torch._dynamo.config.recompile_limit = 64
    fused = torch.compile(_norm_and_silu, dynamic=False)
    for block in coder.modules():
        if isinstance(block, ResnetBlock):
            block.nonlinearity = nn.Identity()
            for norm in (block.norm1, block.norm2):
                norm.forward = functools.partial(_fused_norm, fused, norm)


def _fused_norm(fused: Callable[..., Tensor], norm: nn.GroupNorm, hidden: Tensor) -> Tensor:
    return fused(hidden, norm.weight, norm.bias, norm.num_groups, norm.eps)


def _norm_and_silu(hidden: Tensor, weight: Tensor, bias: Tensor, groups: int, eps: float) -> Tensor:
    count, channels, height, width = hidden.shape
    split = hidden.permute(0, 2, 3, 1).float().reshape(count, height * width, groups, channels // groups)
    mean = split.mean((1, 3), keepdim=True)
    variance = (split - mean).square().mean((1, 3), keepdim=True)
    whole = ((split - mean) * torch.rsqrt(variance + eps)).reshape(count, height, width, channels)
    return functional.silu(whole * weight + bias).to(hidden.dtype).permute(0, 3, 1, 2)


def pixel_loss(restored: Tensor, pictures: Tensor, weights: Tensor) -> Tensor:
    """Absolute and squared difference of pixels and, so that edges stay edges, of their steps to their neighbours.

    Things are small beside the land, and a face is small on a thing: `weights` (batch, 1, H, W) say what counts more.
    """
    weights = weights / weights.mean()
    error = restored - pictures
    plain = (weights * (error.abs() + SQUARE_WEIGHT * error.square())).mean()
    edges = error.new_zeros(())
    for axis in (2, 3):
        between = weights.narrow(axis, 1, weights.shape[axis] - 1)
        edges = edges + (between * (restored.diff(dim=axis) - pictures.diff(dim=axis)).abs()).mean()
    return plain + EDGE_WEIGHT * edges


@torch.no_grad()
def set_latents_to_unit_scale(encoder: DemoVAEEncoder, decoder: DemoVAEDecoder, crops: Crops) -> None:
    """Fold mean 0 and deviation 1 of each latent channel into the convolutions next to the latents."""
    latents = torch.cat([encoder(crops.batch()[0]) for _ in range(20)]).double()
    mean, deviation = latents.mean((0, 2, 3)), latents.std((0, 2, 3))
    print(
        "latents before scaling: mean",
        mean.abs().max().item(),
        "deviation",
        deviation.min().item(),
        deviation.max().item(),
    )
    scale, shift = encoder.scaling_factor, encoder.shift_factor
    # latents = (out - shift) * scale, and (latents - mean) / deviation is wanted
    out = encoder.conv_out
    assert out.bias is not None
    out.weight[:LATENT_CHANNELS] /= deviation.float()[:, None, None, None]
    bias = out.bias[:LATENT_CHANNELS].double()
    out.bias[:LATENT_CHANNELS] = ((bias - shift - mean / scale) / deviation + shift).float()
    # the decoder divides by scale and adds shift, then convolves: undo on its input
    first = decoder.conv_in
    assert first.bias is not None
    offset = (mean / scale + shift - deviation * shift).float()
    first.bias += (first.weight * offset[None, :, None, None]).sum((1, 2, 3))
    first.weight *= deviation.float()[None, :, None, None]


@torch.no_grad()
def report(encoder: DemoVAEEncoder, decoder: DemoVAEDecoder, crops: Crops, file: Path) -> None:
    """Print how near restored pictures are, and put some of them below the drawn ones into a file."""
    noise, in_things, sides = [], [], []
    for _ in range(6):
        pictures, weights = crops.batch(16)
        latents = encoder(pictures)
        restored = decoder(latents).clamp(-1, 1)
        error = ((restored - pictures) / 2).square()
        noise.append(error.mean((1, 2, 3)))
        in_things.append((error.mean(1, keepdim=True) * (weights > 1)).sum() / (weights > 1).sum().clamp(min=1))
        sides.append(torch.cat([pictures[0], restored[0]], dim=1))
    decibels = (-10 * torch.log10(torch.cat(noise))).mean().item()
    things = (-10 * torch.log10(torch.stack(in_things).mean())).item()
    print(
        f"vae: PSNR {decibels:.2f} dB, in things {things:.2f} dB;",
        f"latents mean {latents.mean():.3f}, deviation {latents.std():.3f}",
        flush=True,
    )
    pixels = ((torch.cat(sides, dim=2) + 1) * 127.5).byte().permute(1, 2, 0).cpu().numpy()
    Image.fromarray(pixels).save(file)


def save_vae(folder: Path, encoder: nn.Module, decoder: nn.Module) -> None:
    state = {f"encoder.{name}": value for name, value in encoder.state_dict().items()}
    state |= {f"decoder.{name}": value for name, value in decoder.state_dict().items()}
    whole = folder / "vae.part"
    save_file({name: value.float().cpu().contiguous() for name, value in state.items()}, whole)
    whole.rename(folder / "vae.safetensors")


def load_vae(folder: Path, device: torch.device) -> tuple[DemoVAEEncoder, DemoVAEDecoder]:
    state = load_file(folder / "vae.safetensors")
    encoder, decoder = DemoVAEEncoder(), DemoVAEDecoder()
    for model, name in ((encoder, "encoder."), (decoder, "decoder.")):
        model.load_state_dict({key.removeprefix(name): value for key, value in state.items() if key.startswith(name)})
        model.to(device, memory_format=torch.channels_last).eval()
    return encoder, decoder


def _moments(encoder: DemoVAEEncoder, pictures: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and log variance of the latents' distribution, before FLUX's shift and scale."""
    hidden = encoder.conv_in(pictures)
    for block in encoder.blocks:
        hidden = block(hidden, None, None, None)[0]
    hidden = encoder.conv_out(encoder.conv_act(encoder.conv_norm_out(hidden)))
    mean, log_variance = hidden.chunk(2, dim=1)
    return mean, log_variance.clamp(-20, 4)


def _set_rate(optimizer: torch.optim.Optimizer, rate: float) -> None:
    for group in optimizer.param_groups:
        group["lr"] = rate


if __name__ == "__main__":
    main()
