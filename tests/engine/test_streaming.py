"""Blocks of the demo model that visit the card through a ring of slots: the same bits as without, in bounded memory.

A CPU stands for the card, by the same code; the tests at the end need a real one.
"""

import gc
import threading
from collections.abc import Callable, Iterator
from itertools import chain, repeat
from pathlib import Path

import pytest
import torch
from diffsynth.pipelines.flux_image import model_fn_flux_image
from torch import Tensor, nn
from torch.multiprocessing.reductions import StorageWeakRef

from darkroom.catalog import DEMO
from darkroom.engine import demo
from darkroom.engine.loading import load_models
from darkroom.engine.resting import Unit
from darkroom.engine.staging import Lane
from darkroom.engine.streaming import BlockStream
from darkroom.engine.watcher import StopAsked

MODELS = Path(__file__).parents[2] / "models"
CPU, CUDA = torch.device("cpu"), torch.device("cuda")
needs_card = pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA card")
ABOUT_A_SECOND = 1_500_000_000  # of a card's clock


class Card:
    """What streams have taken of the card and someone still holds: now, and at most."""

    def __init__(self) -> None:
        self.most = 0
        self._taken: list[tuple[StorageWeakRef, int]] = []

    @property
    def bytes(self) -> int:
        return sum(size for storage, size in self._taken if not storage.expired())

    def take(self, buffer: Tensor) -> Tensor:
        self._taken.append((StorageWeakRef(buffer.untyped_storage()), buffer.nbytes))
        self.most = max(self.most, self.bytes)
        return buffer


@pytest.fixture
def card(monkeypatch: pytest.MonkeyPatch) -> Card:
    card, buffer = Card(), Lane.buffer
    monkeypatch.setattr(Lane, "buffer", lambda lane, size: card.take(buffer(lane, size)))
    return card


class Small:
    """The demo model's T5 and transformer. A picture is a few tokens of each, for two steps; blocks are units."""

    def __init__(self, *, settled: bool, device: torch.device = CPU) -> None:
        demo.register()

        def load(path: Path) -> nn.Module:
            return next(iter(load_models(path, dtype=torch.float32, read=lambda _: None).values()))

        self.t5 = load(MODELS / DEMO.files.text_encoder_2)
        self.dit = load(MODELS / DEMO.files.transformer)
        t5_blocks = list(self.t5.get_submodule("encoder.block").children())
        self.blocks = [*self.dit.get_submodule("blocks"), *self.dit.get_submodule("single_blocks")]
        self.units = [Unit(block) for block in (*t5_blocks, *self.blocks)]
        if settled:
            for unit in self.units:
                unit.settle(pin=True)
        self.homes = self.addresses()
        self.device = device
        for part, blocks in ((self.t5, t5_blocks), (self.dit, self.blocks)):
            rest = Unit(part, without=blocks)
            rest.settle(pin=False)
            assert rest.flat is not None
            rest.point_at(rest.flat.to(device))
        self.t5_places = range(len(t5_blocks))
        self.dit_places = range(len(t5_blocks), len(self.units))
        self.slot_bytes = max(unit.bytes for unit in self.units)

    def addresses(self) -> list[int]:
        return [tensor.data_ptr() for unit in self.units for tensor in unit.tensors]

    def itinerary(self) -> Iterator[int]:
        return chain(self.t5_places, chain.from_iterable(repeat(self.dit_places, 2)))

    @torch.no_grad()
    def picture(self, after_step: Callable[[int], None] = lambda _: None) -> Tensor:
        """Latents of a given start. `after_step` may raise."""
        start = torch.Generator().manual_seed(5)
        words = torch.randint(2, 2000, (1, 6), generator=start).to(self.device)
        latents = torch.randn(1, 16, 8, 8, generator=start).to(self.device)
        prompt: Tensor = self.t5(words)
        for step in range(2):
            latents = latents - 0.5 * model_fn_flux_image(
                dit=self.dit,
                latents=latents,
                timestep=torch.tensor([900.0 - 400 * step], device=self.device),
                prompt_emb=prompt,
                pooled_prompt_emb=torch.ones(1, 128, device=self.device),
                guidance=torch.tensor([3.5], device=self.device),
                text_ids=torch.zeros(1, 6, 3, device=self.device),
            )
            after_step(step)
        return latents


@pytest.fixture(scope="module")
def settled() -> Small:
    return Small(settled=True)


@pytest.fixture(scope="module")
def mapped() -> Small:
    """Weights stay where loading left them, and pass through staging."""
    return Small(settled=False)


@pytest.fixture(scope="module")
def expected(settled: Small) -> Tensor:
    return settled.picture()


def streamed(small: Small, **options: int) -> BlockStream:
    return BlockStream(small.units, small.device, **options)


def spread(small: Small, every: int) -> set[int]:
    return set(small.dit_places[::every])


@pytest.mark.parametrize("slots", [1, 2, 3])
@pytest.mark.parametrize("every", [0, 3, 1])
def test_a_picture_has_the_same_bits_whatever_stays_and_never_takes_more(
    settled: Small, expected: Tensor, card: Card, slots: int, every: int
) -> None:
    stream = streamed(settled)
    stays = spread(settled, every) if every else set()
    stream.keep(stays)
    stream.open(slots=slots, slot_bytes=settled.slot_bytes)
    planned = slots * settled.slot_bytes + sum(settled.units[place].bytes for place in stays)
    stream.expect(settled.itinerary())
    for _ in range(2):
        assert torch.equal(settled.picture(), expected)
        assert stream.card_bytes == card.bytes == card.most == planned
    stream.close()
    assert not any(unit.module._forward_hooks or unit.module._forward_pre_hooks for unit in settled.units)
    assert settled.addresses() == settled.homes
    stream.drop()
    assert card.bytes == 0


@pytest.mark.parametrize("slots", [1, 3])
@pytest.mark.parametrize("staging_bytes", [100_000, 32 << 20])
def test_weights_that_are_not_pinned_give_the_same_bits_through_staging(
    mapped: Small, expected: Tensor, card: Card, slots: int, staging_bytes: int
) -> None:
    stream = streamed(mapped, staging_bytes=staging_bytes)
    stream.keep(spread(mapped, 4))
    stream.open(slots=slots, slot_bytes=mapped.slot_bytes)
    for _ in range(2):
        stream.expect(mapped.itinerary())
        assert torch.equal(mapped.picture(), expected)
    assert stream.card_bytes == card.bytes == card.most
    stream.close()
    assert mapped.addresses() == mapped.homes
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("staging")]
    stream.drop()


@pytest.mark.parametrize("kind", ["settled", "mapped"])
def test_after_a_stop_or_a_fault_in_the_middle_the_next_picture_is_the_same(
    kind: str, request: pytest.FixtureRequest, expected: Tensor, card: Card
) -> None:
    small: Small = request.getfixturevalue(kind)
    stream = streamed(small)
    stream.keep(spread(small, 4))
    resting = card.bytes

    def stop(_step: int) -> None:
        raise StopAsked

    def fail(_module: nn.Module, _inputs: object) -> None:
        raise torch.OutOfMemoryError("no room for activations")

    for _ in range(2):
        stream.open(slots=2, slot_bytes=small.slot_bytes)
        stream.expect(small.itinerary())
        with pytest.raises(StopAsked):
            small.picture(stop)
        stream.close()
        assert small.addresses() == small.homes
        assert card.bytes == resting
        stream.open(slots=2, slot_bytes=small.slot_bytes)
        stream.expect(small.itinerary())
        fault = small.blocks[7].register_forward_pre_hook(fail)
        with pytest.raises(torch.OutOfMemoryError):
            small.picture()
        fault.remove()
        # Told anew without a close, it goes on all the same.
        stream.expect(small.itinerary())
        assert torch.equal(small.picture(), expected)
        stream.close()
    stream.drop()


def test_twenty_pictures_leave_nothing_behind(settled: Small, mapped: Small, expected: Tensor, card: Card) -> None:
    counts: list[tuple[int, int, int]] = []
    streams = [(small, streamed(small)) for small in (settled, mapped)]
    for small, stream in streams:
        stream.keep(spread(small, 5))
    for number in range(10):
        for small, stream in streams:
            stream.open(slots=1 + number % 3, slot_bytes=small.slot_bytes)
            stream.expect(small.itinerary())
            assert torch.equal(small.picture(), expected)
            stream.close()
        if number in (1, 9):
            gc.collect()
            tensors = sum(issubclass(type(each), Tensor) for each in gc.get_objects())
            counts.append((tensors, card.bytes, threading.active_count()))
    assert counts[0] == counts[1]
    for _, stream in streams:
        stream.drop()
    assert card.bytes == 0


class Moment:
    """An event on a card whose copies are as late as they may be: it waits for those asked for before it."""

    def __init__(self, run_copies: Callable[[int], None]) -> None:
        self.copies = self.works = 0
        self.synchronize = lambda: run_copies(self.copies)


class Late:
    """Puts the two clocks of a card into a Lane: each copy is put off until something waits for it."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, units: list[Unit]) -> None:
        self.copies: list[Callable[[], object]] = []
        self.one_at_a_time = threading.Lock()
        self.done = self.works = 0
        self.last_work: dict[int, int] = {}
        monkeypatch.setattr(Lane, "event", lambda _lane: Moment(self.run_copies))
        monkeypatch.setattr(Lane, "copy", self.copy)
        monkeypatch.setattr(Lane, "mark_copied", lambda _lane, moment: setattr(moment, "copies", len(self.copies)))
        monkeypatch.setattr(Lane, "mark_used", lambda _lane, moment: setattr(moment, "works", self.works))
        monkeypatch.setattr(Lane, "work_after", lambda _lane, moment: self.run_copies(moment.copies))
        self._hooks = [unit.module.register_forward_hook(self.work) for unit in units]

    def copy(self, source: Tensor, target: Tensor, *, after: Moment) -> None:
        assert after.works >= self.last_work.get(target.untyped_storage().data_ptr(), 0)
        self.copies.append(lambda: target.copy_(source))

    def run_copies(self, until: int) -> None:
        with self.one_at_a_time:
            for copy in self.copies[self.done : until]:
                copy()
            self.done = max(self.done, until)

    def work(self, module: nn.Module, _inputs: object, _outputs: object) -> None:
        self.works += 1
        self.last_work[next(chain(module.parameters(), module.buffers())).untyped_storage().data_ptr()] = self.works

    def end(self) -> None:
        for hook in self._hooks:
            hook.remove()


@pytest.mark.parametrize("kind", ["settled", "mapped"])
@pytest.mark.parametrize("slots", [1, 2, 3])
def test_work_waits_for_copies_however_late_and_copies_for_work(
    kind: str, slots: int, request: pytest.FixtureRequest, expected: Tensor, monkeypatch: pytest.MonkeyPatch
) -> None:
    small: Small = request.getfixturevalue(kind)
    late = Late(monkeypatch, small.units)
    stream = streamed(small, staging_bytes=200_000)
    stream.keep(spread(small, 4))
    for _ in range(2):
        stream.open(slots=slots, slot_bytes=small.slot_bytes)
        stream.expect(small.itinerary())
        # The second picture is one that no one expects.
        assert torch.equal(small.picture(), expected)
        assert torch.equal(small.picture(), expected)
        stream.close()
    stream.drop()
    late.end()


@pytest.mark.gpu
@needs_card
@pytest.mark.parametrize("pinned", [True, False])
def test_on_a_card_a_picture_has_the_same_bits_whatever_stays(pinned: bool) -> None:
    small = Small(settled=pinned, device=CUDA)
    stream = streamed(small, staging_bytes=500_000)
    pictures: list[Tensor] = []
    for slots, stays in ((0, range(len(small.units))), (3, spread(small, 3)), (2, spread(small, 5)), (1, set())):
        stream.keep(stays)
        stream.open(slots=slots, slot_bytes=small.slot_bytes)
        for _ in range(2):
            stream.expect(small.itinerary())
            pictures.append(small.picture())
        stream.close()
    stream.drop()
    assert all(torch.equal(picture, pictures[0]) for picture in pictures)


class OnCard:
    """Layers that rest in RAM and a stream to the card, with what each gives for `hidden` there."""

    def __init__(self, *, pinned: bool) -> None:
        self.units = [Unit(nn.Linear(512, 512)) for _ in range(6)]
        self.hidden = torch.randn(64, 512, device=CUDA)
        weights = [(unit.module.weight.to(CUDA), unit.module.bias.to(CUDA)) for unit in self.units]
        self.expected = [nn.functional.linear(self.hidden, weight, bias) for weight, bias in weights]
        if pinned:
            for unit in self.units:
                unit.settle(pin=True)
        self.stream = BlockStream(self.units, CUDA, staging_bytes=300_000)

    def run(self, *places: int) -> None:
        """Nothing is compared before all of it has been asked for: comparing waits for the card."""
        results = [self.units[place].module(self.hidden) for place in places]
        for place, result in zip(places, results, strict=True):
            assert torch.equal(result, self.expected[place])


@pytest.mark.gpu
@needs_card
@pytest.mark.parametrize("pinned", [True, False])
@pytest.mark.parametrize("slots", [1, 2, 3])
def test_on_a_card_the_results_are_the_same_and_its_memory_comes_back(pinned: bool, slots: int) -> None:
    layers = OnCard(pinned=pinned)
    stream, each = layers.stream, layers.units[0].bytes
    before = torch.cuda.memory_allocated()
    stream.keep([4])
    for _ in range(5):
        stream.open(slots=slots, slot_bytes=each)
        assert torch.cuda.memory_allocated() - before >= stream.card_bytes == (slots + 1) * each
        stream.expect(list(range(6)) * 3)
        layers.run(*list(range(6)) * 3)
        layers.run(3, 0, 5)
        stream.close()
    stream.drop()
    assert torch.cuda.memory_allocated() == before


@pytest.mark.gpu
@needs_card
def test_copies_run_while_the_card_works_but_never_into_a_slot_at_work() -> None:
    layers = OnCard(pinned=True)
    stream, units = layers.stream, layers.units
    assert all(unit.pinned for unit in units)
    stream.open(slots=2, slot_bytes=units[0].bytes)
    # The first use of a matrix multiplication may wait for the card.
    units[5].module(layers.hidden)
    torch.cuda.synchronize()
    torch.cuda.set_sync_debug_mode("error")
    try:
        torch.cuda._sleep(ABOUT_A_SECOND)
        busy = torch.cuda.Event()
        busy.record()
        stream.expect([0, 1, 2])
        first, second = stream._ahead
        first.copied.synchronize()
        second.copied.synchronize()
        assert not busy.query()
        result = units[0].module(layers.hidden)
        # Now unit 2 is on its way into the slot of unit 0, whose work waits behind the sleep.
        assert not first.copied.query() or busy.query()
        results = [result, units[1].module(layers.hidden), units[2].module(layers.hidden)]
    finally:
        torch.cuda.set_sync_debug_mode("default")
    assert all(torch.equal(result, layers.expected[place]) for place, result in enumerate(results))
    stream.drop()
