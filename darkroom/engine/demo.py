"""The shapes of the small FLUX that ships in models/demo, and its registration with DiffSynth's list of models.

Same parts and tensor names as FLUX.1, narrow and few-layered. Must not know: how it was trained, or how it is run.
"""

from typing import Any

import torch
from diffsynth.configs import MODEL_CONFIGS
from diffsynth.models.flux_dit import (
    AdaLayerNormContinuous,
    FluxDiT,
    FluxJointTransformerBlock,
    FluxSingleTransformerBlock,
    RoPEEmbedding,
)
from diffsynth.models.flux_text_encoder_clip import FluxTextEncoderClip
from diffsynth.models.flux_text_encoder_t5 import FluxTextEncoderT5
from diffsynth.models.flux_vae import (
    DownSampler,
    FluxVAEDecoder,
    FluxVAEEncoder,
    ResnetBlock,
    UpSampler,
    VAEAttentionBlock,
)
from diffsynth.models.general_modules import TimestepEmbeddings
from torch import nn
from transformers import T5Config, T5EncoderModel

WIDTH = 256
HEADS = 4
ROPE_AXES = [8, 28, 28]
JOINT_BLOCKS = 3
SINGLE_BLOCKS = 12

T5_WIDTH = 256
T5_VOCABULARY = 2048
CLIP_WIDTH = 128
CLIP_VOCABULARY = 2048

VAE_WIDTHS = (32, 48, 96)
VAE_GROUPS = 8
LATENT_CHANNELS = 16

CONVERTERS = "diffsynth.utils.state_dict_converters"
HERE = "darkroom.engine.demo"

# DiffSynth knows a file by a hash over its tensors' names and shapes; these are the demo files'.
ENTRIES: tuple[dict[str, Any], ...] = (
    {
        "model_hash": "c5af27f8841cd6beb63c2a90d07a3dda",
        "model_name": "flux_dit",
        "model_class": f"{HERE}.DemoFluxDiT",
        "state_dict_converter": f"{CONVERTERS}.flux_dit.FluxDiTStateDictConverter",
    },
    {
        "model_hash": "19cd8b1bdcf58a6b23dd0eb857d2a9a6",
        "model_name": "flux_dit",
        "model_class": f"{HERE}.DemoFluxDiT",
        "extra_kwargs": {"disable_guidance_embedder": True},
        "state_dict_converter": f"{CONVERTERS}.flux_dit.FluxDiTStateDictConverter",
    },
    {
        "model_hash": "16d4f46ec51448ea36cd3b0337d59d35",
        "model_name": "flux_text_encoder_clip",
        "model_class": f"{HERE}.DemoTextEncoderClip",
        "state_dict_converter": f"{CONVERTERS}.flux_text_encoder_clip.FluxTextEncoderClipStateDictConverter",
    },
    {
        "model_hash": "06ecd82f487c49d3911396056744a4af",
        "model_name": "flux_text_encoder_t5",
        "model_class": f"{HERE}.DemoTextEncoderT5",
        "state_dict_converter": f"{CONVERTERS}.flux_text_encoder_t5.FluxTextEncoderT5StateDictConverter",
    },
    {
        "model_hash": "5b6c382b7c2d3bf3be88258b4ce3347b",
        "model_name": "flux_vae_encoder",
        "model_class": f"{HERE}.DemoVAEEncoder",
        "state_dict_converter": f"{CONVERTERS}.flux_vae.FluxVAEEncoderStateDictConverter",
    },
    {
        "model_hash": "5b6c382b7c2d3bf3be88258b4ce3347b",
        "model_name": "flux_vae_decoder",
        "model_class": f"{HERE}.DemoVAEDecoder",
        "state_dict_converter": f"{CONVERTERS}.flux_vae.FluxVAEDecoderStateDictConverter",
    },
)


def register() -> None:
    """Make the demo's files known to DiffSynth. Safe to call again."""
    for entry in ENTRIES:
        if entry not in MODEL_CONFIGS:
            MODEL_CONFIGS.append(entry)


class DemoFluxDiT(FluxDiT):  # type: ignore[misc]
    """FluxDiT with every part at a small size; patches, position ids and names are inherited."""

    def __init__(self, *, disable_guidance_embedder: bool = False) -> None:
        nn.Module.__init__(self)
        self.pos_embedder = RoPEEmbedding(WIDTH, 10000, ROPE_AXES)
        self.time_embedder = TimestepEmbeddings(256, WIDTH)
        self.guidance_embedder = None if disable_guidance_embedder else TimestepEmbeddings(256, WIDTH)
        self.pooled_text_embedder = nn.Sequential(nn.Linear(CLIP_WIDTH, WIDTH), nn.SiLU(), nn.Linear(WIDTH, WIDTH))
        self.context_embedder = nn.Linear(T5_WIDTH, WIDTH)
        self.x_embedder = nn.Linear(LATENT_CHANNELS * 4, WIDTH)
        self.blocks = nn.ModuleList(FluxJointTransformerBlock(WIDTH, HEADS) for _ in range(JOINT_BLOCKS))
        self.single_blocks = nn.ModuleList(FluxSingleTransformerBlock(WIDTH, HEADS) for _ in range(SINGLE_BLOCKS))
        self.final_norm_out = AdaLayerNormContinuous(WIDTH)
        self.final_proj_out = nn.Linear(WIDTH, LATENT_CHANNELS * 4)
        self.input_dim = LATENT_CHANNELS * 4


class DemoTextEncoderClip(FluxTextEncoderClip):  # type: ignore[misc]
    """The CLIP text encoder, two layers deep. Gives the pooled prompt (batch, 128)."""

    def __init__(self) -> None:
        super().__init__(
            embed_dim=CLIP_WIDTH, vocab_size=CLIP_VOCABULARY, num_encoder_layers=2, encoder_intermediate_size=512
        )


class DemoTextEncoderT5(FluxTextEncoderT5):  # type: ignore[misc]
    """The T5 encoder, three layers deep. Gives the prompt (batch, tokens, 256)."""

    def __init__(self) -> None:
        config = T5Config(
            vocab_size=T5_VOCABULARY,
            d_model=T5_WIDTH,
            d_kv=64,
            d_ff=512,
            num_heads=4,
            num_layers=3,
            feed_forward_proj="gated-gelu",
            dense_act_fn="gelu_new",
            dropout_rate=0.0,
            is_encoder_decoder=False,
            use_cache=False,
            tie_word_embeddings=False,
        )
        T5EncoderModel.__init__(self, config)


class DemoVAEEncoder(FluxVAEEncoder):  # type: ignore[misc]
    """Pictures (batch, 3, H, W) in −1…1 to latents (batch, 16, H/8, W/8)."""

    def __init__(self) -> None:
        nn.Module.__init__(self)
        narrow, middle, wide = VAE_WIDTHS
        self.scaling_factor = 0.3611
        self.shift_factor = 0.1159
        self.conv_in = nn.Conv2d(3, narrow, kernel_size=3, padding=1)
        self.blocks = nn.ModuleList(
            [
                _resnet(narrow, narrow),
                _resnet(narrow, narrow),
                DownSampler(narrow, padding=0, extra_padding=True),
                _resnet(narrow, middle),
                _resnet(middle, middle),
                DownSampler(middle, padding=0, extra_padding=True),
                _resnet(middle, wide),
                _resnet(wide, wide),
                DownSampler(wide, padding=0, extra_padding=True),
                _resnet(wide, wide),
                _resnet(wide, wide),
                _resnet(wide, wide),
                VAEAttentionBlock(1, wide, wide, 1, norm_num_groups=VAE_GROUPS, eps=1e-6),
                _resnet(wide, wide),
            ]
        )
        self.conv_norm_out = nn.GroupNorm(VAE_GROUPS, wide, eps=1e-6)
        self.conv_act = nn.SiLU()
        self.conv_out = nn.Conv2d(wide, 2 * LATENT_CHANNELS, kernel_size=3, padding=1)


class DemoVAEDecoder(FluxVAEDecoder):  # type: ignore[misc]
    """Latents (batch, 16, H/8, W/8) to pictures (batch, 3, H, W) in −1…1."""

    def __init__(self) -> None:
        nn.Module.__init__(self)
        narrow, middle, wide = VAE_WIDTHS
        self.scaling_factor = 0.3611
        self.shift_factor = 0.1159
        self.conv_in = nn.Conv2d(LATENT_CHANNELS, wide, kernel_size=3, padding=1)
        self.blocks = nn.ModuleList(
            [
                _resnet(wide, wide),
                VAEAttentionBlock(1, wide, wide, 1, norm_num_groups=VAE_GROUPS, eps=1e-6),
                _resnet(wide, wide),
                *(_resnet(wide, wide) for _ in range(3)),
                UpSampler(wide),
                *(_resnet(wide, wide) for _ in range(3)),
                UpSampler(wide),
                _resnet(wide, middle),
                _resnet(middle, middle),
                _resnet(middle, middle),
                UpSampler(middle),
                _resnet(middle, narrow),
                _resnet(narrow, narrow),
                _resnet(narrow, narrow),
            ]
        )
        self.conv_norm_out = nn.GroupNorm(VAE_GROUPS, narrow, eps=1e-6)
        self.conv_act = nn.SiLU()
        self.conv_out = nn.Conv2d(narrow, 3, kernel_size=3, padding=1)


def _resnet(channels_in: int, channels_out: int) -> torch.nn.Module:
    block: torch.nn.Module = ResnetBlock(channels_in, channels_out, groups=VAE_GROUPS, eps=1e-6)
    return block
