"""Which kernel computes attention: tried once for a card and class of size, kept, and never at the cost of memory."""

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch.nn.attention import SDPBackend, _cur_sdpa_kernel_backends

from darkroom.catalog import DEMO
from darkroom.engine.attention import (
    BEFORE_HOPPER,
    FILE,
    KERNELS,
    SECONDS_TO_TRY,
    SINCE_HOPPER,
    Attention,
    Card,
    Kernel,
    Shape,
    attention_on,
    room_on,
    seconds_on_card,
    using,
)
from darkroom.engine.flux import load_pipeline, make_picture
from darkroom.engine.watcher import Watcher
from darkroom.request import parse_request

FLUX_1024 = Shape(heads=24, head_width=128, tokens=4608, dtype=torch.bfloat16)
PLENTY = 1 << 40
MODELS = Path(__file__).parents[2] / "models"
CPU, CUDA = torch.device("cpu"), torch.device("cuda")
needs_card = pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA card")


class FakeCard:
    """Tells how long each kernel takes, and how often it was asked. None: it cannot. Time passes as it says."""

    def __init__(self, seconds: Mapping[Kernel, float | None], *, preparing: float = 0.01) -> None:
        self.seconds, self.asked, self.now = dict(seconds), list[tuple[Kernel, int]](), 0.0
        self._preparing = preparing

    def time(self, kernel: Kernel, shape: Shape) -> float | None:
        self.asked.append((kernel, shape.tokens))
        self.now += self._preparing
        return self.seconds[kernel]

    def attention(self, folder: Path | None = None, *, since_hopper: bool = True, name: str = "a card") -> Attention:
        card = Card(name=name, since_hopper=since_hopper, timer=self.time)
        return Attention(card, folder, clock=lambda: self.now)


def test_the_fastest_comes_first_and_the_others_follow_in_the_usual_order() -> None:
    card = FakeCard({"cudnn": 0.003, "flash": 0.002, "efficient": 0.001})
    assert card.attention().order(FLUX_1024, room=PLENTY) == ("efficient", "cudnn", "flash", "math")
    assert card.attention(since_hopper=False).order(FLUX_1024, room=PLENTY) == ("efficient", "flash", "cudnn", "math")


def test_a_kernel_that_is_hardly_faster_takes_no_place() -> None:
    card = FakeCard({"cudnn": 0.00200, "flash": 0.00195, "efficient": 0.00192})
    assert card.attention().order(FLUX_1024, room=PLENTY) == SINCE_HOPPER


def test_what_cannot_is_passed_over_and_the_one_that_always_can_is_never_tried() -> None:
    card = FakeCard({"cudnn": None, "flash": None, "efficient": 0.5})
    assert card.attention().order(FLUX_1024, room=PLENTY)[0] == "efficient"
    nothing = FakeCard({"cudnn": None, "flash": None, "efficient": None})
    assert nothing.attention().order(FLUX_1024, room=PLENTY)[0] == "math"
    assert [kernel for kernel, _ in nothing.asked] == ["cudnn", "flash", "efficient"]


def test_no_kernel_is_begun_when_the_time_is_up() -> None:
    slow = FakeCard({"cudnn": 0.003, "flash": 0.002, "efficient": 0.001}, preparing=SECONDS_TO_TRY)
    assert slow.attention().order(FLUX_1024, room=PLENTY)[0] == "flash"
    assert [kernel for kernel, _ in slow.asked] == ["cudnn", "flash"]


def test_a_choice_holds_for_its_class_of_size_and_shape_alone() -> None:
    card = FakeCard({"cudnn": 0.003, "flash": 0.002, "efficient": 0.001})
    attention = card.attention()
    for tokens in (4608, 4352, 8192, 4097):
        attention.order(replace(FLUX_1024, tokens=tokens), room=PLENTY)
    assert {tokens for _, tokens in card.asked} == {4608}
    for other in (replace(FLUX_1024, tokens=4096), replace(FLUX_1024, heads=4), replace(FLUX_1024, dtype=torch.half)):
        card.asked.clear()
        attention.order(other, room=PLENTY)
        assert len(card.asked) == 3


def test_a_choice_is_kept_for_the_next_start_but_not_for_another_card(tmp_path: Path) -> None:
    folder = tmp_path / "cache"
    first = FakeCard({"cudnn": 0.003, "flash": 0.001, "efficient": 0.002})
    chosen = first.attention(folder).order(FLUX_1024, room=PLENTY)
    again = FakeCard({})
    assert again.attention(folder).order(FLUX_1024, room=0) == chosen
    assert again.asked == []
    other = FakeCard({"cudnn": 0.001, "flash": 0.002, "efficient": 0.002})
    assert other.attention(folder, name="another card").order(FLUX_1024, room=PLENTY)[0] == "cudnn"
    assert len(json.loads((folder / FILE).read_text("utf-8"))) == 2


@pytest.mark.parametrize("content", [b"", b"[1]", b"{", b"\xff", b'{"a card": 5}', b'{"a": "math"}', b"[" * 5000])
def test_a_file_that_says_nothing_is_replaced(tmp_path: Path, content: bytes) -> None:
    (tmp_path / FILE).write_bytes(content)
    card = FakeCard({"cudnn": 0.003, "flash": 0.001, "efficient": 0.002})
    assert card.attention(tmp_path).order(FLUX_1024, room=PLENTY)[0] == "flash"
    assert "flash" in json.loads((tmp_path / FILE).read_text("utf-8")).values()


def test_a_folder_that_cannot_be_written_to_is_done_without(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    card = FakeCard({"cudnn": 0.003, "flash": 0.001, "efficient": 0.002})
    attention = card.attention(tmp_path / "file" / "cache")
    for _ in range(2):
        assert attention.order(FLUX_1024, room=PLENTY)[0] == "flash"
    assert len(card.asked) == 3


def test_without_room_nothing_is_tried_and_the_next_picture_asks_again() -> None:
    card = FakeCard({"cudnn": 0.003, "flash": 0.001, "efficient": 0.002})
    attention, before = card.attention(), card.attention(since_hopper=False)
    assert attention.order(FLUX_1024, room=FLUX_1024.bytes - 1) == SINCE_HOPPER
    assert before.order(FLUX_1024, room=0) == BEFORE_HOPPER
    assert card.asked == []
    assert attention.order(FLUX_1024, room=FLUX_1024.bytes)[0] == "flash"


def test_room_that_runs_out_in_the_trial_is_no_fault() -> None:
    def no_room(_kernel: Kernel, _shape: Shape) -> float | None:
        raise torch.OutOfMemoryError("no room")

    attention = Attention(Card(name="a card", since_hopper=True, timer=no_room))
    assert attention.order(FLUX_1024, room=PLENTY) == SINCE_HOPPER


def test_inside_torch_has_this_order_and_outside_its_own() -> None:
    before = _cur_sdpa_kernel_backends(with_priority=True)
    with using(("efficient", "cudnn", "flash", "math")):
        inside = _cur_sdpa_kernel_backends(with_priority=True)
    assert inside[0] == SDPBackend.EFFICIENT_ATTENTION
    assert _cur_sdpa_kernel_backends(with_priority=True) == before
    with using(()):
        assert _cur_sdpa_kernel_backends(with_priority=True) == before


def test_without_a_card_torch_chooses_and_a_picture_says_nothing_of_it(monkeypatch: pytest.MonkeyPatch) -> None:
    assert attention_on(CPU).order(FLUX_1024, room=PLENTY) == ()
    assert room_on(CPU, promised=PLENTY) == 0
    pipeline = load_pipeline(DEMO, MODELS, CPU, Watcher())
    values = {"prompt": "a house", "seed": 1, "steps": 1, "guidance": 3.5, "width": 256, "height": 256, "model": "demo"}
    plain = make_picture(pipeline, parse_request(values), Watcher())
    assert "attention" not in plain.facts
    # With a card, what is chosen is used in the steps and for the graphs to come, and told.
    used: list[object] = []
    hook = pipeline.dit.blocks[0].register_forward_hook(
        lambda *_: used.append(_cur_sdpa_kernel_backends(with_priority=True)[0])
    )
    card = FakeCard({"cudnn": 0.003, "flash": 0.002, "efficient": 0.001})
    pipeline.attention = card.attention()
    monkeypatch.setattr("darkroom.engine.flux.room_on", lambda _device, *, promised: PLENTY + promised)
    picture = make_picture(pipeline, parse_request(values), Watcher())
    hook.remove()
    assert card.asked[0] == ("cudnn", DEMO.prompt_tokens + 256)
    assert used == [SDPBackend.EFFICIENT_ATTENTION]
    assert pipeline.compilation.attention[0] == picture.facts["attention"] == "efficient"


@pytest.mark.gpu
@needs_card
def test_on_a_card_the_trial_takes_no_more_than_it_said_and_leaves_nothing(tmp_path: Path) -> None:
    torch.zeros(1, device=CUDA)
    torch.cuda.empty_cache()
    before, attention = torch.cuda.memory_reserved(), attention_on(CUDA)
    attention.folder = tmp_path
    torch.cuda.reset_peak_memory_stats()
    # Libraries are loaded once.
    for kernel in KERNELS:
        seconds_on_card(kernel, replace(FLUX_1024, tokens=256), CUDA)
    order = attention.order(FLUX_1024, room=room_on(CUDA, promised=PLENTY))
    assert set(order) == set(KERNELS)
    assert torch.cuda.max_memory_reserved() - before <= FLUX_1024.bytes + (64 << 20)
    assert torch.cuda.memory_reserved() <= before + (64 << 20)
    times = {kernel: seconds_on_card(kernel, FLUX_1024, CUDA) for kernel in order[:-1]}
    known = {kernel: seconds for kernel, seconds in times.items() if seconds is not None}
    assert known[order[0]] <= 1.2 * min(known.values())
