"""FLUX.1 from a request to pixels: `make_picture` is the numbered path inside the engine.

Everything runs through DiffSynth's FluxImagePipeline; this file loads it, watches it and keeps its memory small.
Must not know: processes, pipes, rows or files of history.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

import torch
from diffsynth.pipelines.flux_image import FluxImagePipeline, FluxImageUnit_PromptEmbedder
from torch import Tensor, nn
from transformers import CLIPTokenizer, T5TokenizerFast

from darkroom.catalog import ModelEntry
from darkroom.engine import demo
from darkroom.engine.compilation import Compilation
from darkroom.engine.conversion import find_weights
from darkroom.engine.decoding import decode
from darkroom.engine.float8 import use_float8_matmul
from darkroom.engine.lora import Loras, low_rank_bytes
from darkroom.engine.lora_shelf import LoraShelf
from darkroom.engine.machine import look_at_machine
from darkroom.engine.modulation import Pass, Schedule
from darkroom.engine.preview import LatentColours
from darkroom.engine.prompt_cache import PromptCache
from darkroom.engine.record import Record
from darkroom.engine.residence import PARTS, Residence
from darkroom.engine.tracing import Size
from darkroom.engine.watcher import Watcher
from darkroom.errors import ModelUnusable
from darkroom.jobs.messages import Stage
from darkroom.planner import Plan, Wishes, make_plan
from darkroom.request import GenerationRequest, LoraUse

CLIP_TOKENS = 77
# About sixty prompts of FLUX.1.
PROMPT_CACHE_BYTES = 256 << 20


@dataclass(frozen=True, kw_only=True)
class MadePicture:
    """`pixels` are width × height × 3 bytes, RGB. `facts` say what it took and on what."""

    width: int
    height: int
    pixels: bytes
    facts: dict[str, str | int | float]


def make_picture(
    pipeline: "WatchedPipeline", request: GenerationRequest, watcher: Watcher, plan: Plan | None = None
) -> MadePicture:
    """Make one picture, by the plan that suits this machine if none is given. Memory is clean afterwards.

    Raises what the watcher raises, DoesNotFit, LoraUnusable, and torch.OutOfMemoryError.
    """
    plan = plan or pipeline.plan(request, Wishes())
    record = Record(pipeline.device, plan)
    pipeline.watcher, pipeline.record, pipeline.current_plan = watcher, record, plan
    try:
        # 1. Say what is to be done. The random start is drawn on the CPU, so a seed means the same on every card.
        order: dict[str, Any] = {
            "prompt": request.prompt,
            "negative_prompt": request.negative_prompt,
            "cfg_scale": request.cfg_scale,
            "embedded_guidance": request.guidance,
            "t5_sequence_length": pipeline.model.prompt_tokens,
            "width": request.width,
            "height": request.height,
            "seed": request.seed,
            "rand_device": "cpu",
            "num_inference_steps": request.steps,
        }
        # 2. Set the stage: LoRAs are attached, what stays on the card comes, the ring opens, the first blocks set out.
        pipeline.set_stage(request)
        # 3. Read the prompt, if it was not read before: both text encoders visit    (PromptReader.process)
        # 4. Denoise: the transformer's blocks visit in turn, one event a step       (pipeline.step)
        # 5. Decode, whole or in tiles                                               (PictureDecoder.forward)
        picture = pipeline(**order, progress_bar_cmd=pipeline.denoising)
    finally:
        # 6. Drop every copy on the card that is not to stay and give the memory back, however it ended.
        pipeline.watcher = Watcher()
        pipeline.compilation.leave()
        pipeline.residence.leave()
    facts = {**pipeline.facts, **record.facts(), **pipeline.compilation.facts()}
    return MadePicture(width=picture.width, height=picture.height, pixels=picture.tobytes(), facts=facts)


def load_pipeline(
    model: ModelEntry,
    folder: Path,
    device: torch.device,
    watcher: Watcher,
    *,
    convert: bool = False,
    cache: Path | None = None,
) -> "WatchedPipeline":
    """Read the model's files below `folder` into RAM. Raises ModelUnusable, StopAsked.

    With `convert`, those that gain by it become files of ours first, once: beside themselves, or else in `cache`.
    """
    if device.type == "cuda" and not torch.cuda.is_available():
        raise RuntimeError("engine.device is cuda, but no CUDA card is found; set it to auto or cpu")
    demo.register()
    dtype = computation_type(device)
    files = {
        "text_encoder_1": model.files.text_encoder_1,
        "text_encoder_2": model.files.text_encoder_2,
        "transformer": model.files.transformer,
        "vae": model.files.vae,
    }
    sources = {part: _existing(folder, path) for part, path in files.items()}
    weights = {part: find_weights(path, dtype=dtype, cache=cache, convert=convert) for part, path in sources.items()}
    total, done = sum(each.bytes for each in weights.values()), 0
    models: dict[str, nn.Module] = {}
    for part, each in weights.items():

        def read(count: int, part: str = part) -> None:
            nonlocal done
            done += count
            watcher.loading(part, min(1.0, done / total))

        watcher.loading(part, done / total)
        models |= _named_for_pipeline(each.load(read=read))
    return WatchedPipeline(model, models, device, dtype, folder)


def computation_type(device: torch.device) -> torch.dtype:
    """bf16 on a card and on processors that compute in it; float32 on others, where bf16 would be emulated."""
    if device.type == "cuda" or torch.ops.mkldnn._is_mkldnn_bf16_supported():
        return torch.bfloat16
    return torch.float32


class WatchedPipeline(FluxImagePipeline):  # type: ignore[misc]
    """FluxImagePipeline that tells a watcher what it does, and whose weights are where a plan wants them."""

    def __init__(
        self,
        model: ModelEntry,
        models: dict[str, nn.Module],
        device: torch.device,
        dtype: torch.dtype,
        folder: Path,
    ) -> None:
        super().__init__(device=device, torch_dtype=dtype)
        self.model = model
        self.watcher = Watcher()
        self.record: Record | None = None
        self.current_plan: Plan | None = None
        self.prompts = PromptCache(PROMPT_CACHE_BYTES)
        self.facts: dict[str, str | int | float] = {
            "device": device_name(device),
            "precision": str(dtype).removeprefix("torch."),
            "torch": str(torch.__version__),
        }
        for name in PARTS:
            setattr(self, name, models[name])
        self.residence = Residence(models, device)
        self.compilation = Compilation(models["dit"], device, dtype)
        self.loras = Loras(models["dit"], dtype)
        self._shelf = LoraShelf((folder / model.files.transformer.parent / "loras", folder / "loras"), models["dit"])
        self.vae_decoder = PictureDecoder(self, models["vae_decoder"])
        self.tokenizer_1 = CLIPTokenizer.from_pretrained(_tokenizer(folder, model.files.tokenizer_1))
        self.tokenizer_2 = T5TokenizerFast.from_pretrained(_tokenizer(folder, model.files.tokenizer_2))
        self._colours = LatentColours.read(folder / model.files.latent_colours)
        for place, unit in enumerate(self.units):
            if isinstance(unit, FluxImageUnit_PromptEmbedder):
                self.units[place] = PromptReader()
        self._tell_of_blocks(self.text_encoder_2.encoder.block)

    def plan(self, request: GenerationRequest, wishes: Wishes) -> Plan:
        """Raises DoesNotFit, LoraUnusable."""
        return make_plan(
            self.model,
            look_at_machine(self.device, number_bytes=self.torch_dtype.itemsize),
            wishes,
            width=request.width,
            height=request.height,
            passes=request.steps * len(_texts(request)),
            low_rank_bytes=low_rank_bytes(self._shelf.take(request.loras), self.torch_dtype),
        )

    def set_stage(self, request: GenerationRequest) -> None:
        assert self.current_plan is not None
        texts = _texts(request)
        unread = sum((self.model.name, text, self.model.prompt_tokens) not in self.prompts for text in texts)
        use_float8_matmul(self.dit, self.current_plan.float8_matmul)
        self._attach(request.loras)
        size = Size(text=self.model.prompt_tokens, image=request.width // 16 * (request.height // 16))
        rows, promised = self.current_plan.table_rows > 0, self.current_plan.promised_vram
        self.compilation.begin(size, rows=rows, promised=promised, waiting=lambda: self.watcher.entered("encoding"))
        label = (texts, request.guidance, request.steps, self.loras.modulation)
        self.residence.begin(self.current_plan, prompts=unread, passes=request.steps * len(texts), label=label)

    def _attach(self, uses: Sequence[LoraUse]) -> None:
        """These LoRAs and no others. Nothing is done where they are attached already."""
        wanted, before = self._shelf.take(uses), self.loras.modulation
        if low_rank_bytes(wanted, self.torch_dtype) > self.loras.bytes:
            # What stayed on the card by an earlier plan may be in the room that this one has left for them.
            self.residence.drop()
        self.loras.use(wanted, self.device)
        if self.loras.modulation != before:
            self.residence.table.forget()

    def load_models_to_device(self, model_names: tuple[str, ...] | list[str]) -> None:
        """Called by DiffSynth between stages, with what the next one needs."""
        if tuple(model_names) == ("vae_decoder",):
            self._enter("decoding")
        self.residence.enter(tuple(model_names))

    def known_prompt(self, prompt: str, prompt_tokens: int) -> dict[str, Tensor] | None:
        return self.prompts.get(self.model.name, prompt, prompt_tokens, self.device)

    def _tell_of_blocks(self, blocks: nn.ModuleList) -> None:
        """Reading a prompt takes seconds where there is no card."""

        def tell(done: float) -> Callable[..., None]:
            return lambda *_block: self.watcher.entered("encoding", done)

        for number, block in enumerate(blocks, 1):
            block.register_forward_hook(tell(number / len(blocks)))

    def enter_encoding(self) -> None:
        self._enter("encoding")

    def _enter(self, stage: Stage) -> None:
        if self.record is not None:
            self.record.enter(stage)
        self.watcher.entered(stage)

    def denoising(self, timesteps: Tensor) -> Iterator[Tensor]:
        """DiffSynth's progress bar: the loop over steps runs through it."""
        self._enter("denoising")
        # Moved at once: DiffSynth moves each by itself, and the host would wait for the card in every step.
        yield from timesteps.to(device=self.device, dtype=self.torch_dtype)

    def cfg_guided_model_fn(
        self,
        model_fn: Callable[..., Tensor],
        cfg_scale: float,
        inputs_shared: Mapping[str, Any],
        inputs_posi: Mapping[str, Any],
        inputs_nega: Mapping[str, Any],
        **inputs_others: Any,
    ) -> Tensor:
        """Called by DiffSynth for each step: it runs the transformer, for each prompt in turn if there are two."""
        if inputs_others["progress_id"] == 0:
            sides = (inputs_posi,) if cfg_scale == 1 else (inputs_posi, inputs_nega)
            pooled = tuple(side["pooled_prompt_emb"] for side in sides)
            self.residence.expect(
                Schedule(timesteps=self.scheduler.timesteps, pooled=pooled, guidance=inputs_shared["guidance"])
            )

        def in_turn(*, progress_id: int, pooled_prompt_emb: Tensor, guidance: Tensor, **inputs: Any) -> Tensor:
            same = {"progress_id": progress_id, "pooled_prompt_emb": pooled_prompt_emb, "guidance": guidance}
            self.compilation.turn(pooled_prompt_emb)
            with self.residence.turn(Pass(step=progress_id, pooled=pooled_prompt_emb, guidance=guidance)):
                return model_fn(**same, **inputs)

        noise: Tensor = super().cfg_guided_model_fn(
            in_turn, cfg_scale, inputs_shared, inputs_posi, inputs_nega, **inputs_others
        )
        return noise

    def step(self, scheduler: Any, latents: Tensor, progress_id: int, noise_pred: Tensor, **rest: Any) -> Tensor:
        after: Tensor = super().step(scheduler, latents=latents, progress_id=progress_id, noise_pred=noise_pred, **rest)
        sigma = float(scheduler.sigmas[progress_id])
        self.watcher.step(
            progress_id + 1,
            len(scheduler.timesteps),
            # Where this step points: the picture if there were no more noise to take away.
            lambda: self._colours.jpeg(latents.float() - sigma * noise_pred.float()),
        )
        return after


class PromptReader(FluxImageUnit_PromptEmbedder):  # type: ignore[misc]
    """Reads a prompt with one text encoder after the other, unless it was read before."""

    def process(self, pipe: WatchedPipeline, prompt: str, t5_sequence_length: int, positive: bool) -> dict[str, Tensor]:  # noqa: ARG002
        known = pipe.known_prompt(prompt, t5_sequence_length)
        if known is not None:
            return known
        pipe.enter_encoding()
        pipe.load_models_to_device(("text_encoder_1",))
        pooled = self.encode_prompt_using_clip(prompt, pipe.text_encoder_1, pipe.tokenizer_1, CLIP_TOKENS, pipe.device)
        pipe.watcher.entered("encoding")
        pipe.load_models_to_device(("text_encoder_2",))
        words = self.encode_prompt_using_t5(
            prompt, pipe.text_encoder_2, pipe.tokenizer_2, t5_sequence_length, pipe.device
        )
        places = torch.zeros(*words.shape[:2], 3, device=pipe.device, dtype=words.dtype)
        read = {"prompt_emb": words, "pooled_prompt_emb": pooled, "text_ids": places}
        pipe.prompts.put(pipe.model.name, prompt, t5_sequence_length, read)
        return read


class PictureDecoder(nn.Module):
    """Stands where DiffSynth expects the VAE's decoder, and decodes in the tiles the plan allows."""

    def __init__(self, pipeline: WatchedPipeline, decoder: nn.Module) -> None:
        super().__init__()
        self.decoder = decoder
        # Not as a part of this one: the pipeline holds it.
        self._pipeline = (pipeline,)

    def forward(self, latents: Tensor, **_diffsynths_own_tiles: object) -> Tensor:
        (pipeline,) = self._pipeline
        tile = pipeline.current_plan.decode_tile if pipeline.current_plan else None
        return decode(self.decoder, latents, tile=tile, between=lambda done: pipeline.watcher.entered("decoding", done))


def device_name(device: torch.device) -> str:
    """ "cpu", or the card's name."""
    return torch.cuda.get_device_name(device) if device.type == "cuda" and torch.cuda.is_available() else device.type


def choose_device(wish: str) -> torch.device:
    """ "auto" takes the card if there is one."""
    if wish == "cuda" or (wish == "auto" and torch.cuda.is_available()):
        return torch.device("cuda")
    return torch.device("cpu")


def _texts(request: GenerationRequest) -> tuple[str, ...]:
    """The prompts that count. The transformer makes a pass for each, in every step."""
    return (request.prompt,) if request.cfg_scale == 1 else (request.prompt, request.negative_prompt)


def _named_for_pipeline(models: dict[str, nn.Module]) -> dict[str, nn.Module]:
    names = {
        "flux_text_encoder_clip": "text_encoder_1",
        "flux_text_encoder_t5": "text_encoder_2",
        "flux_dit": "dit",
        "flux_vae_encoder": "vae_encoder",
        "flux_vae_decoder": "vae_decoder",
    }
    return {names[name]: model for name, model in models.items()}


def _existing(folder: Path, path: PurePosixPath) -> Path:
    """Named as a person would look for it."""
    if not (folder / path).exists():
        raise ModelUnusable("missing", str(path))
    return folder / path


def _tokenizer(folder: Path, path: PurePosixPath) -> str:
    if not (folder / path / "tokenizer.json").is_file():
        raise ModelUnusable("missing", str(path / "tokenizer.json"))
    return str(folder / path)
