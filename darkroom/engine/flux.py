"""FLUX.1 from a request to pixels: `make_picture` is the numbered path inside the engine.

Everything runs through DiffSynth's FluxImagePipeline; this file loads it, watches it and keeps its memory small.
Must not know: processes, pipes, rows or files of history.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path, PurePosixPath
from typing import Any

import torch
from diffsynth.pipelines.flux_image import FluxImagePipeline, FluxImageUnit_PromptEmbedder
from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle
from transformers import CLIPTokenizer, T5TokenizerFast

from darkroom.catalog import ModelEntry
from darkroom.engine import demo
from darkroom.engine.attention import Order as AttentionOrder
from darkroom.engine.attention import Shape, attention_on, room_on, using
from darkroom.engine.checkpoint import identity_of, stamps_of, unpack
from darkroom.engine.compilation import Compilation
from darkroom.engine.course import Course
from darkroom.engine.devices import device_name, ended_by
from darkroom.engine.float8 import use_float8_matmul
from darkroom.engine.lora import Loras, low_rank_bytes
from darkroom.engine.lora_shelf import LoraShelf
from darkroom.engine.machine import look_at_machine
from darkroom.engine.modulation import Pass, Schedule
from darkroom.engine.parts import Part, load_parts, part_files
from darkroom.engine.preview import LatentColours
from darkroom.engine.prompt_cache import PromptCache
from darkroom.engine.record import Record
from darkroom.engine.reports import Reports
from darkroom.engine.residence import PARTS, Residence
from darkroom.engine.room import plan_with_room, size_of
from darkroom.engine.rotations import Rotations
from darkroom.engine.stations import PictureDecoder, PromptReader
from darkroom.engine.step_cache import StepCache, curve_of, step_cache_for
from darkroom.engine.tracing import Size
from darkroom.engine.watcher import Watcher
from darkroom.errors import ModelUnusable
from darkroom.jobs.messages import Stage
from darkroom.loras.folders import lora_folders
from darkroom.planner import Plan, make_plan
from darkroom.request import GenerationRequest, LoraUse
from darkroom.wishes import Wishes

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
    pipeline: "WatchedPipeline",
    request: GenerationRequest,
    watcher: Watcher,
    plan: Plan | None = None,
    checkpoint: bytes | None = None,
) -> MadePicture:
    """Make one picture, by the plan that suits this machine if none is given. Memory is clean afterwards.

    With a checkpoint of the same picture, only the steps after it are made, and the pixels are the same.
    Raises what the watcher raises, DoesNotFit, LoraUnusable, and torch.OutOfMemoryError.
    """
    plan = plan or pipeline.plan(request, Wishes())
    record = Record(pipeline.device, plan)
    pipeline.watcher, pipeline.record, pipeline.current_plan = watcher, record, plan
    pipeline.reports = Reports(watcher)
    course = pipeline.course = pipeline.course_of(request, checkpoint)
    # 6. Drop every copy on the card that is not to stay and give the memory back, however it ended.
    with ended_by(pipeline.leave):
        watcher.planned(plan.seconds_per_step)
        # 1. Say what is to be done. The random start is drawn on the CPU, so a seed means the same on every card.
        order: dict[str, Any] = {
            "prompt": request.prompt,
            "negative_prompt": request.negative_prompt,
            "cfg_scale": request.cfg_scale,
            "embedded_guidance": request.guidance,
            "t5_sequence_length": pipeline.prompt_tokens(request),
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
        cache = pipeline.step_cache
    facts = {**pipeline.facts, **record.facts(), **pipeline.compilation.facts(), **course.facts()}
    if pipeline.attention_order:
        facts["attention"] = pipeline.attention_order[0]
    if request.step_cache:
        facts["steps_computed"] = len(cache.computed) if cache else course.done
    if request.prompt_tokens:
        facts["prompt_tokens"] = order["t5_sequence_length"]
    return MadePicture(width=picture.width, height=picture.height, pixels=picture.tobytes(), facts=facts)


def load_pipeline(
    model: ModelEntry,
    folder: Path,
    device: torch.device,
    watcher: Watcher,
    *,
    convert: bool = False,
    cache: Path | None = None,
    kept: Mapping[str, Part] | None = None,
) -> "WatchedPipeline":
    """Read the model's files below `folder` into RAM. Raises ModelUnusable, StopAsked.

    With `convert`, those that gain by it become files of ours first, once: beside themselves, or else in `cache`.
    `kept` are parts of the model before: those that this one has too are not read again.
    """
    if device.type == "cuda" and not torch.cuda.is_available():
        raise RuntimeError("engine.device is cuda, but no CUDA card is found; set it to auto or cpu")
    demo.register()
    dtype = computation_type(device)
    parts = load_parts(part_files(model, folder), watcher, dtype=dtype, convert=convert, cache=cache, kept=kept)
    models = {name: each for part in parts.values() for name, each in part.models.items()}
    return WatchedPipeline(model, models, device, dtype, folder, parts)


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
        parts: Mapping[str, Part] | None = None,
    ) -> None:
        super().__init__(device=device, torch_dtype=dtype)
        self.model = model
        files = model.files
        paths = (files.text_encoder_1, files.text_encoder_2, files.transformer, files.vae)
        self._stamps = stamps_of(folder / path for path in paths)
        self.watcher = Watcher()
        self.reports = Reports(self.watcher)
        self.course = Course(self.watcher)
        self.record: Record | None = None
        self.current_plan: Plan | None = None
        self.step_cache: StepCache | None = None
        self.curve = curve_of(model.architecture)
        self.attention = attention_on(device)
        self.attention_order: AttentionOrder = ()
        self.prompts = PromptCache(PROMPT_CACHE_BYTES)
        self.facts: dict[str, str | int | float] = {
            "device": device_name(device),
            "precision": str(dtype).removeprefix("torch."),
            "torch": str(torch.__version__),
        }
        for name in PARTS:
            setattr(self, name, models[name])
        self._parts = parts or {}
        units = {module: unit for part in self._parts.values() for module, unit in part.units.items()}
        self.residence = Residence(models, device, units=units, loading=self._tell_of_loading)
        self._bytes, self._read = sum(part.bytes for part in self._parts.values()) or self.residence.bytes, 0.0
        self.compilation = Compilation(models["dit"], device, dtype)
        self.rotations = Rotations(self.dit.pos_embedder)
        self.loras = Loras(models["dit"], dtype)
        self._shelf = LoraShelf(lora_folders(folder, model), models["dit"])
        self.vae_decoder = PictureDecoder(self, models["vae_decoder"])
        self.tokenizer_1 = CLIPTokenizer.from_pretrained(_tokenizer(folder, model.files.tokenizer_1))
        self.tokenizer_2 = T5TokenizerFast.from_pretrained(_tokenizer(folder, model.files.tokenizer_2))
        self._colours = LatentColours.of(folder, model.files.latent_colours)
        for place, unit in enumerate(self.units):
            if isinstance(unit, FluxImageUnit_PromptEmbedder):
                self.units[place] = PromptReader()
        self._hooks = self._tell_of_blocks(self.text_encoder_2.encoder.block)
        for block in (*self.dit.blocks, *self.dit.single_blocks):
            block.register_forward_pre_hook(lambda *_block: self.watcher.passing())

    def plan(self, request: GenerationRequest, wishes: Wishes) -> Plan:
        """Leaves room on the card for compiling beside the picture, if it can. Raises DoesNotFit, LoraUnusable."""
        plan_on = partial(
            make_plan,
            self.model,
            wishes=wishes,
            width=request.width,
            height=request.height,
            passes=request.steps * len(_texts(request)),
            low_rank_bytes=low_rank_bytes(self._shelf.take(request.loras), self.torch_dtype),
            prompt_tokens=self.prompt_tokens(request),
            step_cache=request.step_cache > 0,
        )
        size, low_ranks = size_of(request, self.prompt_tokens(request)), bool(request.loras)
        room = self.compilation.room(size, rows=wishes.modulation_table, low_ranks=low_ranks)
        return plan_with_room(plan_on, look_at_machine(self.device, number_bytes=self.torch_dtype.itemsize), room)

    def prompt_tokens(self, request: GenerationRequest) -> int:
        """How much the second text encoder reads of each prompt: less than it can where that is asked for and fits."""
        longest = self.model.prompt_tokens
        if not 0 < request.prompt_tokens < longest:
            return longest
        fit = all(len(self.tokenizer_2(text).input_ids) <= request.prompt_tokens for text in _texts(request))
        return request.prompt_tokens if fit else longest

    def course_of(self, request: GenerationRequest, checkpoint: bytes | None) -> Course:
        """Which steps are to be made: those after the checkpoint, if it is one of this very picture."""
        identity = identity_of(request, self.model.name, self._stamps, self.device.type, self.torch_dtype)
        start = unpack(checkpoint, identity=identity, steps=request.steps) if checkpoint else None
        return Course(self.watcher, identity, start)

    def set_stage(self, request: GenerationRequest) -> None:
        assert self.current_plan is not None
        texts, prompt_tokens = _texts(request), self.prompt_tokens(request)
        unread = sum((self.model.name, text, prompt_tokens) not in self.prompts for text in texts)
        use_float8_matmul(self.dit, self.current_plan.float8_matmul)
        self._attach(request.loras)
        size = size_of(request, prompt_tokens)
        rows, promised = self.current_plan.table_rows > 0, self.current_plan.promised_vram
        self._choose_attention(size, promised)
        label = (texts, request.guidance, request.steps, self.loras.modulation)
        passes = (request.steps - self.course.begins) * len(texts)
        self.residence.begin(self.current_plan, prompts=unread, passes=passes, label=label)
        self.compilation.begin(size, rows=rows, promised=promised, waiting=self._tell_of_waiting)
        self.step_cache = step_cache_for(
            request.step_cache, steps=request.steps, curve=self.curve, at_rest=self.residence.first_block_at_rest
        )
        self.course.take_up(self.step_cache, self.compilation, self.device)

    def _choose_attention(self, size: Size, promised: int) -> None:
        """Of the transformer, also where it is compiled."""
        model = self.model.architecture
        shape = Shape(
            heads=model.heads, head_width=model.head_width, tokens=size.text + size.image, dtype=self.torch_dtype
        )
        self.attention_order = self.attention.order(shape, room=room_on(self.device, promised=promised))
        self.compilation.attention = self.attention_order

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
            self.reports.flush()
            self._enter("decoding")
            self.compilation.leave()
            self.rotations.forget()
        self.residence.enter(tuple(model_names))

    def leave(self) -> None:
        """The picture is made, or will not be."""
        self.watcher, self.reports, self.course = Watcher(), Reports(Watcher()), Course(Watcher())
        self.step_cache = None
        self.compilation.leave()
        self.rotations.forget()
        self.residence.leave()

    def known_prompt(self, prompt: str, prompt_tokens: int) -> dict[str, Tensor] | None:
        return self.prompts.get(self.model.name, prompt, prompt_tokens, self.device)

    @property
    def is_outdated(self) -> bool:
        return any(part.is_outdated for part in self._parts.values())

    def give_up(self) -> dict[str, Part]:
        """This is not used any more. Its parts but for the transformer, which other models may have too."""
        self.compilation.stop()
        parts = {name: part for name, part in self._parts.items() if "dit" not in part.models}
        units = self.residence.release([model for part in parts.values() for model in part.models])
        for hook in self._hooks:
            hook.remove()
        return {name: part.with_its_own(units) for name, part in parts.items()}

    def _tell_of_loading(self, part: str) -> None:
        """What lies in its final form in a file is read only when it is needed."""
        unread = self.residence.unread
        read = 1 - unread / self._bytes
        if unread and read > self._read:
            self._read = read
            self.watcher.loading(part, read)
        else:
            self.watcher.passing()

    def _tell_of_blocks(self, blocks: nn.ModuleList) -> list[RemovableHandle]:
        """Reading a prompt takes seconds where there is no card."""

        def tell(done: float) -> Callable[..., None]:
            return lambda *_block: self.watcher.entered("encoding", done)

        return [block.register_forward_hook(tell(number / len(blocks))) for number, block in enumerate(blocks, 1)]

    def enter_encoding(self) -> None:
        self._enter("encoding")

    def _tell_of_waiting(self) -> None:
        self.watcher.entered("encoding")

    def _enter(self, stage: Stage) -> None:
        if self.record is not None:
            self.record.enter(stage)
        self.watcher.entered(stage)

    def denoising(self, timesteps: Tensor) -> Iterator[Tensor]:
        """DiffSynth's progress bar: the loop over steps runs through it."""
        self._enter("denoising")
        # Moved at once: DiffSynth moves each by itself, and the host would wait for the card in every step.
        yield from self.course.places(iter(timesteps.to(device=self.device, dtype=self.torch_dtype)))

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
        if self.course.made_elsewhere(inputs_others["progress_id"]):
            return self.course.restored(inputs_shared["latents"])
        if inputs_others["progress_id"] == self.course.begins:
            sides = (inputs_posi,) if cfg_scale == 1 else (inputs_posi, inputs_nega)
            pooled = tuple(side["pooled_prompt_emb"] for side in sides)
            self.residence.expect(
                Schedule(timesteps=self.scheduler.timesteps, pooled=pooled, guidance=inputs_shared["guidance"])
            )

        def in_turn(*, progress_id: int, pooled_prompt_emb: Tensor, guidance: Tensor, **inputs: Any) -> Tensor:
            same = {"progress_id": progress_id, "pooled_prompt_emb": pooled_prompt_emb, "guidance": guidance}
            self.compilation.turn(pooled_prompt_emb)
            turn = Pass(step=progress_id, pooled=pooled_prompt_emb, guidance=guidance)
            with using(self.attention_order), self.residence.turn(turn):
                return self._unless_skipped(model_fn, **same, **inputs)

        noise: Tensor = super().cfg_guided_model_fn(
            in_turn, cfg_scale, inputs_shared, inputs_posi, inputs_nega, **inputs_others
        )
        return noise

    def _unless_skipped(self, model_fn: Callable[..., Tensor], **inputs: Any) -> Tensor:
        cache = self.step_cache
        if cache is None:
            return model_fn(**inputs)
        cache.turn(inputs["progress_id"])
        noise = model_fn(**inputs, tea_cache=cache)
        if cache.skipped:
            self.residence.skip()
        return noise

    def step(self, scheduler: Any, latents: Tensor, progress_id: int, noise_pred: Tensor, **rest: Any) -> Tensor:
        if self.course.made_elsewhere(progress_id):
            return self.course.restored(latents)
        after: Tensor = super().step(scheduler, latents=latents, progress_id=progress_id, noise_pred=noise_pred, **rest)
        # Where this step points: the picture if there were no more noise to take away.
        estimate = latents.float() - float(scheduler.sigmas[progress_id]) * noise_pred.float()
        of = len(scheduler.timesteps)
        self.reports.step(progress_id + 1, of, self._colours.pixels(estimate))
        return self.course.after(progress_id, of, after, estimate, self.step_cache, self.compilation)


def _texts(request: GenerationRequest) -> tuple[str, ...]:
    """The prompts that count. The transformer makes a pass for each, in every step."""
    return (request.prompt,) if request.cfg_scale == 1 else (request.prompt, request.negative_prompt)


def _tokenizer(folder: Path, path: PurePosixPath) -> str:
    if not (folder / path / "tokenizer.json").is_file():
        raise ModelUnusable("missing", str(path / "tokenizer.json"))
    return str(folder / path)
