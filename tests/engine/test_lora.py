"""LoRAs: every layout read alike, attached without a trace, and right in both ways of computing."""

import gc
import json
import math
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch
from diffsynth.utils.lora.flux import FluxLoRALoader
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from torch._dynamo.testing import CompileCounterWithBackend

from darkroom.catalog import DEMO
from darkroom.engine import demo
from darkroom.engine.float8 import Float8Linear, use_float8_matmul
from darkroom.engine.flux import WatchedPipeline, load_pipeline, make_picture
from darkroom.engine.loading import load_models
from darkroom.engine.lora import Factors, Lora, Loras, Wanted, linear_layers, low_rank_bytes, read_lora
from darkroom.engine.modulation import ModulationTable
from darkroom.engine.watcher import Watcher
from darkroom.errors import LoraUnusable
from darkroom.planner import Plan
from darkroom.request import GenerationRequest, parse_request
from darkroom.wishes import Wishes
from tests.engine.plans import streaming_plan
from tools.demo_model.export import transformer_names

MODELS = Path(__file__).parents[2] / "models"
INK = MODELS / "demo" / "loras" / "ink.safetensors"
CPU, ROUNDING = torch.device("cpu"), 0.04

# diffusers' names of a joint and of a single block's layers; q, k, v and what else we have as one layer are apart.
DIFFUSERS = {
    "norm1_a.linear": ("norm1.linear",),
    "norm1_b.linear": ("norm1_context.linear",),
    "attn.a_to_qkv": ("attn.to_q", "attn.to_k", "attn.to_v"),
    "attn.b_to_qkv": ("attn.add_q_proj", "attn.add_k_proj", "attn.add_v_proj"),
    "attn.a_to_out": ("attn.to_out.0",),
    "attn.b_to_out": ("attn.to_add_out",),
    "ff_a.0": ("ff.net.0.proj",),
    "ff_a.2": ("ff.net.2",),
    "ff_b.0": ("ff_context.net.0.proj",),
    "ff_b.2": ("ff_context.net.2",),
    "norm.linear": ("norm.linear",),
    "to_qkv_mlp": ("attn.to_q", "attn.to_k", "attn.to_v", "proj_mlp"),
    "proj_out": ("proj_out",),
}


@pytest.fixture(scope="module")
def transformer() -> nn.Module:
    demo.register()
    return load_models(MODELS / DEMO.files.transformer, dtype=torch.float32, read=lambda _: None)["flux_dit"]


@pytest.fixture(scope="module")
def pipeline() -> WatchedPipeline:
    return load_pipeline(DEMO, MODELS, CPU, Watcher())


@pytest.fixture
def ink(transformer: nn.Module) -> Lora:
    return read_lora(INK, transformer)


def as_diffusers(name: str) -> tuple[str, ...]:
    kind, number, layer = name.split(".", 2)
    prefix = "transformer_blocks" if kind == "blocks" else "single_transformer_blocks"
    return tuple(f"{prefix}.{number}.{theirs}" for theirs in DIFFUSERS[layer])


def split(ink: Lora, down: str, up: str, *, before: str = "", alpha: bool = False) -> Iterator[tuple[str, Tensor]]:
    """In diffusers' names: each part with the whole `down`, as tools that cut fused layers write them."""
    for name, factors in ink.layers.items():
        inputs, start, parts = factors.down.shape[1], 0, as_diffusers(name)
        for part in parts:
            rows = len(factors.up) - start if part == parts[-1] else inputs
            yield f"{before}{part}{down}", factors.down.clone()
            yield f"{before}{part}{up}", factors.up[start : start + rows].clone()
            if alpha:
                yield f"{before}{part}.alpha", torch.tensor(float(factors.rank))
            start += rows


def in_bfl_names(ink: Lora, before: str, down: str, up: str) -> Iterator[tuple[str, Tensor]]:
    names = transformer_names()
    for name, factors in ink.layers.items():
        theirs = names[f"{name}.weight"].removesuffix(".weight")
        yield f"{before}{theirs}{down}", factors.down.clone()
        yield f"{before}{theirs}{up}", factors.up.clone()


def underscored(tensors: Iterator[tuple[str, Tensor]], before: str) -> Iterator[tuple[str, Tensor]]:
    for name, tensor in tensors:
        layer = name.removesuffix(".alpha").split(".lora_")[0]
        yield before + layer.replace(".", "_") + name.removeprefix(layer), tensor


A, B, DOWN, UP = ".lora_A.weight", ".lora_B.weight", ".lora_down.weight", ".lora_up.weight"
LAYOUTS: dict[str, Callable[[Lora], Iterator[tuple[str, Tensor]]]] = {
    "kohya": lambda _: iter(load_file(INK).items()),
    "diffusers": lambda ink: split(ink, A, B, before="transformer."),
    "PEFT": lambda ink: split(ink, ".lora_A.default.weight", ".lora_B.default.weight", before="base_model.model."),
    "older diffusers": lambda ink: split(ink, ".lora.down.weight", ".lora.up.weight", before="transformer."),
    "ai-toolkit": lambda ink: split(ink, A, B, before="transformer.", alpha=True),
    "OneTrainer": lambda ink: underscored(split(ink, DOWN, UP, alpha=True), "lora_transformer_"),
    "BFL": lambda ink: in_bfl_names(ink, "", A, B),
    "ComfyUI": lambda ink: in_bfl_names(ink, "diffusion_model.", A, B),
    "DiffSynth": lambda ink: (
        (f"{name}.lora_{side}.default.weight", factor.clone())
        for name, factors in ink.layers.items()
        for side, factor in (("A", factors.down), ("B", factors.up))
    ),
}


def written(tensors: dict[str, Tensor], path: Path, metadata: dict[str, str] | None = None) -> Path:
    save_file({name: tensor.contiguous() for name, tensor in tensors.items()}, path, metadata)
    return path


def change(lora: Lora, name: str) -> Tensor:
    factors = lora.layers[name]
    return factors.scale * factors.up.double() @ factors.down.double()


@pytest.mark.parametrize("layout", LAYOUTS)
def test_every_layout_gives_the_same_tensors(layout: str, ink: Lora, transformer: nn.Module, tmp_path: Path) -> None:
    lora = read_lora(written(dict(LAYOUTS[layout](ink)), tmp_path / "a.safetensors"), transformer)
    assert lora.layers.keys() == ink.layers.keys() == set(linear_layers(transformer)) & set(ink.layers)
    assert len(lora.layers) == 66
    for name, factors in ink.layers.items():
        assert torch.equal(lora.layers[name].down, factors.down), name
        assert torch.equal(lora.layers[name].up, factors.up), name
        assert lora.layers[name].scale == factors.scale == 1


@pytest.mark.parametrize("layout", ["kohya", "diffusers"])
def test_diffsynth_makes_the_same_change_of_the_layouts_that_it_reads(
    layout: str, ink: Lora, transformer: nn.Module, tmp_path: Path
) -> None:
    tensors = dict(LAYOUTS[layout](ink))
    lora = read_lora(written(tensors, tmp_path / "a.safetensors"), transformer)
    theirs = FluxLoRALoader().convert_state_dict({name: tensor.float() for name, tensor in tensors.items()})
    for name in ink.layers:
        down, up = (theirs[f"{name}.lora_{side}.weight"].double() for side in "AB")
        assert torch.allclose(change(lora, name), up @ down, atol=1e-6), name


def test_parts_of_their_own_are_put_side_by_side(transformer: nn.Module, tmp_path: Path) -> None:
    q, v = (torch.randn(4, 256), torch.randn(256, 4)), (torch.randn(6, 256), torch.randn(256, 6))
    layer = "transformer.single_transformer_blocks.2.attn"
    tensors = {f"{layer}.to_q{A}": q[0], f"{layer}.to_q{B}": q[1], f"{layer}.to_v{A}": v[0], f"{layer}.to_v{B}": v[1]}
    tensors[f"{layer}.to_v.alpha"] = torch.tensor(3.0)
    lora = read_lora(written(tensors, tmp_path / "a.safetensors"), transformer)
    (name,) = lora.layers
    expected = torch.zeros(7 * 256, 256).double()
    expected[:256] = q[1].double() @ q[0].double()
    expected[512:768] = 0.5 * v[1].double() @ v[0].double()
    assert (name, lora.layers[name].rank) == ("single_blocks.2.to_qkv_mlp", 10)
    assert torch.allclose(change(lora, name), expected, atol=1e-4)


def test_alpha_is_each_layers_own_and_counts_by_rank(ink: Lora, transformer: nn.Module, tmp_path: Path) -> None:
    tensors = load_file(INK)
    names = sorted(name for name in tensors if name.endswith(".alpha"))
    for number, name in enumerate(names):
        tensors[name] = torch.tensor(float(number))
    lora = read_lora(written(tensors, tmp_path / "a.safetensors"), transformer)
    assert {factors.scale for factors in lora.layers.values()} == {number / 8 for number in range(len(names))}
    name = "blocks.0.attn.a_to_out"
    assert names.index("lora_unet_double_blocks_0_img_attn_proj.alpha") == 0
    assert torch.equal(change(lora, name), torch.zeros_like(change(ink, name)))


@pytest.mark.parametrize(("settings", "scale"), [({"use_rslora": True}, 4 / math.sqrt(8)), ({}, 0.5)])
def test_alpha_may_stand_in_the_header(
    settings: dict[str, object], scale: float, ink: Lora, transformer: nn.Module, tmp_path: Path
) -> None:
    settings |= {"lora_alpha": 4, "r": 8, "alpha_pattern": {"single_transformer_blocks.3.proj_out": 16}}
    text = json.dumps({f"transformer.{name}": value for name, value in settings.items()})
    path = written(dict(LAYOUTS["diffusers"](ink)), tmp_path / "a.safetensors", {"lora_adapter_metadata": text})
    lora = read_lora(path, transformer)
    assert lora.layers["blocks.0.ff_a.0"].scale == pytest.approx(scale)
    assert lora.layers["single_blocks.3.proj_out"].scale == pytest.approx(4 * scale)


@pytest.mark.parametrize("theirs", ["proj_out", "norm_out.linear"])
def test_layers_outside_the_blocks_change_too(theirs: str, transformer: nn.Module, tmp_path: Path) -> None:
    ours = f"final_{theirs}"
    layer = transformer.get_submodule(ours)
    assert isinstance(layer, nn.Linear)
    down, up = torch.randn(4, layer.in_features), torch.randn(layer.out_features, 4)
    path = written({f"transformer.{theirs}{A}": down, f"transformer.{theirs}{B}": up}, tmp_path / "a.safetensors")
    loras, hidden = Loras(transformer, torch.float32), torch.randn(2, 3, layer.in_features)
    before = layer(hidden)
    assert loras.use([(read_lora(path, transformer), 0.5)], CPU) == {ours}
    # diffusers has scale before shift.
    up = up if theirs == "proj_out" else torch.cat(up.chunk(2)[::-1])
    assert torch.allclose(layer(hidden), before + 0.5 * hidden @ down.T @ up.T, atol=1e-3)
    assert loras.use([], CPU) == {ours}
    assert torch.equal(layer(hidden), before)
    assert not layer._forward_hooks


def test_layers_of_text_encoders_are_left_out_and_said(ink: Lora, transformer: nn.Module, tmp_path: Path) -> None:
    extra = pair("lora_te1_text_model_encoder_layers_0_mlp_fc1", (2, 2), (2, 2))
    lora = read_lora(written(load_file(INK) | extra, tmp_path / "a.safetensors"), transformer)
    assert lora.left_out == ("lora_te1_text_model_encoder_layers_0_mlp_fc1",)
    assert lora.layers.keys() == ink.layers.keys()


def pair(name: str, down: tuple[int, ...], up: tuple[int, ...], value: float = 1.0) -> dict[str, Tensor]:
    return {f"{name}{DOWN}": torch.full(down, value), f"{name}{UP}": torch.full(up, value)}


QKV = "lora_unet_double_blocks_0_img_attn_qkv"
ONE = pair(QKV, (4, 256), (768, 4))
REFUSED: dict[str, tuple[dict[str, Tensor], str, str]] = {
    "SDXL": (pair("lora_unet_down_blocks_1_attentions_0_proj_in", (4, 4), (4, 4)), "other_model", "no layer"),
    "a block it has not": (pair(QKV.replace("0", "3"), (4, 256), (768, 4)), "other_model", "no layer"),
    "a wider model": (pair(QKV, (4, 3072), (9216, 4)), "other_model", "size"),
    "fewer rows": (pair(QKV, (4, 256), (256, 4)), "other_model", "size"),
    "DoRA": (ONE | {f"{QKV}.dora_scale": torch.ones(768)}, "kind", "kind"),
    "LoHa": ({f"{QKV}.hada_w1_a": torch.ones(4, 4)}, "kind", "kind"),
    "text encoders alone": (pair("lora_te_text_model_x", (2, 2), (2, 2)), "other_model", "no layers"),
    "nothing": ({}, "other_model", "no layers"),
    "half": ({f"{QKV}{DOWN}": torch.ones(4, 256)}, "damaged", "complete"),
    "no matrix": (pair(QKV, (4, 256), (768,)), "damaged", "complete"),
    "two ranks": (pair(QKV, (4, 256), (768, 5)), "damaged", "together"),
    "no numbers": (pair(QKV, (4, 256), (768, 4), math.nan), "damaged", "numbers"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_is_not_for_this_model_is_refused(case: str, transformer: nn.Module, tmp_path: Path) -> None:
    tensors, reason, why = REFUSED[case]
    with pytest.raises(LoraUnusable) as raised:
        read_lora(written(tensors, tmp_path / "a.safetensors"), transformer)
    assert (raised.value.reason, raised.value.file) == (reason, "a.safetensors")
    assert why in raised.value.__notes__[0]


def another(ink: Lora, *, rank: int = 20) -> Lora:
    """Of the same layers and another rank."""
    torch.manual_seed(5)
    layers = {
        name: Factors(down=torch.randn(rank, f.down.shape[1]), up=torch.randn(len(f.up), rank) * 0.01, scale=0.25)
        for name, f in ink.layers.items()
    }
    return Lora(name="another", layers=layers, left_out=())


@pytest.mark.parametrize("float8_matmul", [False, True], ids=["upcast", "float8 matmul"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=str)
@torch.no_grad()
def test_two_at_once_compute_what_changed_weights_would(ink: Lora, float8_matmul: bool, dtype: torch.dtype) -> None:
    model = load_models(MODELS / DEMO.files.transformer, dtype=dtype, read=lambda _: None)["flux_dit"]
    other = another(ink)
    Loras(model, dtype).use([(ink, 1.0), (other, -0.7)], CPU)
    use_float8_matmul(model, float8_matmul)
    for name, layer in linear_layers(model).items():
        if not isinstance(layer, Float8Linear):
            continue
        weight = layer.stored.double() * layer.scale + change(ink, name) - 0.7 * change(other, name)
        hidden = torch.randn(1, 40, layer.in_features).to(dtype)
        expected = hidden.double() @ weight.T + (0 if layer.bias is None else layer.bias)
        off = float((layer(hidden).double() - expected).norm() / expected.norm())
        assert off < (ROUNDING if float8_matmul else 0.01 if dtype == torch.bfloat16 else 1e-5), name


def test_a_layer_has_one_pair_however_many_loras_and_its_rank_is_filled_up(ink: Lora, transformer: nn.Module) -> None:
    loras, wanted = Loras(transformer, torch.bfloat16), [(ink, 1.0), (another(ink), 0.5), (ink, 0.1)]
    loras.use(wanted, CPU)
    layer = linear_layers(transformer)["blocks.1.ff_a.2"]
    assert isinstance(layer, Float8Linear)
    assert layer.low_rank is not None
    assert layer.low_rank.down.shape == (48, 1024)
    assert loras.bytes == low_rank_bytes(wanted, torch.bfloat16) > 0
    loras.use((), CPU)
    assert (loras.bytes, low_rank_bytes((), torch.bfloat16), layer.low_rank) == (0, 0, None)


def test_only_layers_that_compute_something_else_are_touched(ink: Lora, transformer: nn.Module) -> None:
    some = Lora(
        name="some", layers={name: ink.layers[name] for name in ("blocks.0.ff_a.0", "blocks.0.ff_b.0")}, left_out=()
    )
    loras = Loras(transformer, torch.float32)
    assert loras.use([(ink, 1.0)], CPU) == loras.layers == ink.layers.keys()
    assert loras.use([(ink, 1.0)], CPU) == frozenset()
    label = loras.modulation
    assert loras.use([(ink, 1.0), (some, 1.0)], CPU) == some.layers.keys()
    assert loras.modulation == label
    assert loras.use([(ink, 0.9), (some, 1.0)], CPU) == ink.layers.keys()
    assert loras.modulation != label
    assert loras.use([(ink, 0.0), (some, 0.0)], CPU) == ink.layers.keys()
    assert loras.layers == frozenset()


def test_what_failed_in_the_middle_is_undone_by_the_next_use(ink: Lora, transformer: nn.Module) -> None:
    broken = dict(reversed(ink.layers.items())) | {"blocks.1.ff_b.2": another(ink).layers["blocks.0.ff_b.0"]}
    loras = Loras(transformer, torch.float32)
    loras.use([(ink, 1.0)], CPU)
    with pytest.raises(RuntimeError):
        loras.use([(Lora(name="broken", layers=broken, left_out=()), 1.0)], CPU)
    assert loras.use([], CPU) == ink.layers.keys()
    assert not any(getattr(layer, "low_rank", None) for layer in linear_layers(transformer).values())


def test_layers_of_the_modulation_are_named_and_found_behind_a_table(ink: Lora) -> None:
    model = load_models(MODELS / DEMO.files.transformer, dtype=torch.float32, read=lambda _: None)["flux_dit"]
    assert {"blocks.0.norm1_a.linear", "blocks.2.norm1_b.linear", "single_blocks.11.norm.linear"} <= ink.modulation
    assert len(ink.modulation) == 18
    ModulationTable(model)
    lora = read_lora(INK, model)
    assert lora.modulation == ink.modulation
    norm = model.get_submodule("blocks.0.norm1_a.linear")
    hidden = torch.randn(1, 256)
    before = norm(hidden)
    loras = Loras(model, torch.float32)
    loras.use([(lora, 1.0)], CPU)
    expected = before + (hidden.double() @ change(ink, "blocks.0.norm1_a.linear").T).float()
    assert torch.allclose(norm(hidden), expected, atol=1e-5)
    assert not torch.equal(norm(hidden), before)


def test_fifty_swaps_leave_no_growth(ink: Lora, transformer: nn.Module) -> None:
    loras, other = Loras(transformer, torch.float32), another(ink)

    def held_after(rounds: int) -> tuple[int, int]:
        for _ in range(rounds):
            for wanted in ([(ink, 1.0)], [(ink, 0.3), (other, 1.0)], [(other, 0.8)], []):
                loras.use(wanted, CPU)
        gc.collect()
        tensors = [found for found in gc.get_objects() if type(found) in (Tensor, nn.Parameter)]
        return len(tensors), sum(tensor.nbytes for tensor in tensors)

    assert held_after(1) == held_after(12)


@pytest.mark.parametrize("float8_matmul", [False, True], ids=["upcast", "float8 matmul"])
def test_a_weight_or_a_lora_of_the_same_rank_is_not_compiled_anew(
    float8_matmul: bool, ink: Lora, transformer: nn.Module
) -> None:
    torch._dynamo.reset()
    counter = CompileCounterWithBackend("aot_eager")
    layer = linear_layers(transformer)["blocks.0.attn.a_to_qkv"]
    use_float8_matmul(transformer, float8_matmul)
    compiled = torch.compile(layer, backend=counter, fullgraph=True, dynamic=False)
    loras, hidden, other = Loras(transformer, torch.float32), torch.randn(1, 40, 256), another(ink, rank=8)
    with torch.no_grad():
        for wanted in ([], [(ink, 1.0)], [(ink, 0.5)], [(other, 1.0)], [], [(ink, 1.0), (other, -1.0)], []):
            loras.use(wanted, CPU)
            assert torch.allclose(compiled(hidden), layer(hidden), atol=1e-5)
    assert counter.frame_count == 2
    use_float8_matmul(transformer, False)


def order(**changes: object) -> GenerationRequest:
    values = {"prompt": "a red house by a lake, ink drawing", "seed": 3, "steps": 4, "guidance": 3.5, "model": "demo"}
    return parse_request(values | {"width": 256, "height": 256} | changes)


def content(model: nn.Module) -> dict[str, bytes]:
    return {name: tensor.reshape(-1).view(torch.uint8).numpy().tobytes() for name, tensor in model.state_dict().items()}


def picture(pipeline: WatchedPipeline, loras: Loras, wanted: Wanted, plan: Plan | None = None) -> bytes:
    label = loras.modulation
    loras.use(wanted, CPU)
    if loras.modulation != label:
        pipeline.residence.table.forget()
    return make_picture(pipeline, order(), Watcher(), plan or pipeline.plan(order(), Wishes())).pixels


def test_a_picture_changes_with_a_lora_and_is_as_before_without(pipeline: WatchedPipeline) -> None:
    loras = Loras(pipeline.dit, pipeline.torch_dtype)
    ink = read_lora(INK, pipeline.dit)
    before = content(pipeline.dit)
    plain = picture(pipeline, loras, [])
    pictures = {weight: picture(pipeline, loras, [(ink, weight)]) for weight in (1.0, 0.5, -1.0, 0.0)}
    assert pictures[0.0] == plain
    assert len({plain, *pictures.values()}) == 4
    assert picture(pipeline, loras, [(ink, 1.0)]) == pictures[1.0]
    assert picture(pipeline, loras, []) == plain
    assert content(pipeline.dit) == before


def test_a_lora_is_the_same_whether_blocks_stream_or_not(pipeline: WatchedPipeline) -> None:
    loras = Loras(pipeline.dit, pipeline.torch_dtype)
    ink = read_lora(INK, pipeline.dit)
    streaming = streaming_plan(resident=(1, 4), number_bytes=pipeline.torch_dtype.itemsize)
    in_place = picture(pipeline, loras, [(ink, 1.0)])
    assert picture(pipeline, loras, [(ink, 1.0)], streaming) == in_place
    plain = picture(pipeline, loras, [], streaming)
    assert plain != in_place
    assert picture(pipeline, loras, []) == plain
