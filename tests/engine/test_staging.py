"""From RAM to a card: slots, staging, and the moment at which each copy starts. A CPU stands for the card."""

import gc
import math
import random
import threading
from collections.abc import Iterator
from itertools import cycle, islice
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.multiprocessing.reductions import StorageWeakRef

from darkroom.engine.resting import Unit
from darkroom.engine.staging import STAGING_BUFFERS, Lane, Slot, Staging
from darkroom.engine.streaming import BlockStream

CPU = torch.device("cpu")
HIDDEN = torch.randn(2, 8)


class Slow(Unit):
    """Gathers a piece only when it may."""

    def __init__(self, module: nn.Module) -> None:
        super().__init__(module)
        self.asked = threading.Event()
        self.may = threading.Semaphore(0)

    def gather(self, low: int, high: int, into: Tensor) -> None:
        self.asked.set()
        assert self.may.acquire(timeout=60)
        super().gather(low, high, into)


class Unreadable(Unit):
    """Its file is gone."""

    def gather(self, low: int, high: int, into: Tensor) -> None:
        raise OSError(f"the file is gone: no bytes {low} to {high} for {into.shape}")


@pytest.fixture
def lane() -> Lane:
    return Lane(CPU)


@pytest.fixture
def staging(lane: Lane) -> Iterator[Staging]:
    staging = Staging(lane, size=512)
    yield staging
    staging.release()


def linear() -> nn.Linear:
    return nn.Linear(24, 24)


def threads() -> list[str]:
    return [thread.name for thread in threading.enumerate() if thread.name.startswith("staging")]


@pytest.mark.parametrize("inference", [False, True])
@pytest.mark.parametrize("settled", [False, True])
def test_a_unit_in_a_slot_computes_the_same_bits(lane: Lane, staging: Staging, settled: bool, inference: bool) -> None:
    unit, hidden = Unit(linear()), torch.randn(3, 24)
    if settled:
        unit.settle(pin=False)
    expected = unit.module(hidden)
    with torch.inference_mode(inference):
        slot = Slot(lane, unit.bytes + 100)
        slot.fill(0, unit, staging)
        slot.show(unit)
        assert unit.module.weight.data_ptr() == slot.buffer.data_ptr()
        assert torch.equal(unit.module(hidden), expected)
    assert torch.equal(unit.module(hidden), expected)
    assert bool(threads()) != settled


def test_a_slot_holds_one_unit_after_the_other(lane: Lane, staging: Staging) -> None:
    units = [Unit(linear()) for _ in range(3)]
    hidden = torch.randn(3, 24)
    expected = [unit.module(hidden) for unit in units]
    slot = Slot(lane, max(unit.bytes for unit in units))
    for place in (0, 1, 2, 0, 2, 1):
        slot.fill(place, units[place], staging)
        slot.show(units[place])
        assert torch.equal(units[place].module(hidden), expected[place])


def test_what_a_slot_holds_is_not_copied_again_until_the_unit_is_refreshed(lane: Lane, staging: Staging) -> None:
    unit = Unit(linear())
    slot = Slot(lane, unit.bytes)
    slot.fill(0, unit, staging)
    slot.show(unit)
    slot.buffer.zero_()
    slot.fill(0, unit, staging)
    slot.show(unit)
    assert not unit.module.weight.any()
    unit.refresh()
    slot.fill(0, unit, staging)
    slot.show(unit)
    assert unit.module.weight.any()


def test_an_error_of_the_thread_reaches_whoever_shows_the_unit(lane: Lane, staging: Staging) -> None:
    lost, found = Unreadable(linear()), Unit(linear())
    slot = Slot(lane, lost.bytes)
    for _ in range(2):
        slot.fill(0, lost, staging)
        with pytest.raises(OSError, match="the file is gone"):
            slot.show(lost)
        assert slot.held is None
    slot.fill(1, found, staging)
    slot.show(found)
    assert found.module.weight.data_ptr() == slot.buffer.data_ptr()


def test_after_a_delivery_is_cancelled_none_of_it_arrives(lane: Lane, staging: Staging) -> None:
    slow, other = Slow(linear()), Unit(linear())
    other.settle(pin=False)
    slot = Slot(lane, slow.bytes)
    slot.fill(0, slow, staging)
    assert slow.asked.wait(60)
    slot.cancel()
    assert slot.held is None
    slot.fill(1, other, staging)
    slow.may.release(100)
    staging.stop()
    slot.show(other)
    assert torch.equal(slot.buffer, other.flat)


def test_a_delivery_cancelled_half_way_is_not_taken_for_a_whole_one(lane: Lane, staging: Staging) -> None:
    slow = Slow(linear())
    slot = Slot(lane, slow.bytes)
    slot.fill(0, slow, staging)
    slow.may.release(2)
    slot.cancel()
    slow.may.release(100)
    slot.fill(0, slow, staging)
    slot.show(slow)
    expected = torch.zeros(slow.bytes, dtype=torch.uint8)
    slow.gather(0, slow.bytes, expected)
    for view, same in zip(slow.layout.views(slot.buffer), slow.layout.views(expected), strict=True):
        assert torch.equal(view, same)


def test_the_thread_ends_and_the_buffers_stay_until_they_are_released(lane: Lane, staging: Staging) -> None:
    unit = Unit(linear())
    slot = Slot(lane, unit.bytes)
    for _ in range(2):
        slot.fill(0, unit, staging)
        slot.show(unit)
        slot.held = None
        assert len(threads()) == 1
        staging.stop()
        assert threads() == []
        assert staging.ram_bytes == STAGING_BUFFERS * 512
    staging.release()
    assert staging.ram_bytes == 0


def test_a_released_slot_gives_its_memory_back_even_to_those_who_still_name_it(lane: Lane, staging: Staging) -> None:
    unit = Unit(linear())
    slot = Slot(lane, unit.bytes)
    memory = StorageWeakRef(slot.buffer.untyped_storage())
    slot.fill(0, unit, staging)
    slot.show(unit)
    unit.go_home()
    slot.release()
    gc.collect()
    assert memory.expired()
    assert slot.buffer.nbytes == 0


class Card:
    """Writes down what a stream takes of the card and copies there. It has room for `full_after` more buffers."""

    def __init__(self) -> None:
        self.full_after, self.most = math.inf, 0
        self.copied_from: list[int] = []
        self._taken: list[tuple[StorageWeakRef, int]] = []

    @property
    def bytes(self) -> int:
        """What is still held by anyone."""
        return sum(size for storage, size in self._taken if not storage.expired())

    def take(self, buffer: Tensor) -> Tensor:
        self.full_after -= bool(buffer.nbytes)
        if self.full_after < 0 and buffer.nbytes:
            raise torch.OutOfMemoryError("the card is full")
        self._taken.append((StorageWeakRef(buffer.untyped_storage()), buffer.nbytes))
        self.most = max(self.most, self.bytes)
        return buffer


@pytest.fixture
def card(monkeypatch: pytest.MonkeyPatch) -> Card:
    card, buffer, copy_to = Card(), Lane.buffer, Lane.copy

    def copy(lane: Lane, source: Tensor, target: Tensor, *, after: object) -> None:
        copy_to(lane, source, target, after=after)
        card.copied_from.append(source.data_ptr())

    monkeypatch.setattr(Lane, "buffer", lambda lane, size: card.take(buffer(lane, size)))
    monkeypatch.setattr(Lane, "copy", copy)
    return card


class Layers:
    """Small layers, each a unit, with what each gives for HIDDEN when it is at home."""

    def __init__(self, card: Card, count: int = 6) -> None:
        self.card = card
        self.units = [Unit(nn.Linear(8, 8)) for _ in range(count)]
        for unit in self.units:
            unit.settle(pin=False)
        self.stream = BlockStream(self.units, CPU)
        self._expected = [unit.module(HIDDEN) for unit in self.units]
        self._place_of = {flat.data_ptr(): place for place, flat in enumerate(unit.flat for unit in self.units)}

    def open(self, slots: int) -> BlockStream:
        self.stream.open(slots=slots, slot_bytes=self.units[0].bytes)
        return self.stream

    def run(self, *places: int) -> None:
        for place in places:
            unit = self.units[place]
            assert torch.equal(unit.module(HIDDEN), self._expected[place])
            assert self.stream.card_bytes == self.card.bytes

    def copies(self) -> list[int]:
        """The places copied since this was last asked."""
        places = [self._place_of[address] for address in self.card.copied_from]
        self.card.copied_from.clear()
        return places


@pytest.fixture
def layers(card: Card) -> Layers:
    return Layers(card)


# What is expected, and what is copied then; what runs, and what is copied then. Slots, and what stays.
SCHEDULES = {
    "copies run ahead as slots allow and on into the next step": (
        (3, []),
        ([0, 1, 2, 3, 0, 1, 2, 3], [0, 1, 2]),
        ([0], [3]),
        ([1], [0]),
        ([2, 3, 0, 1, 2, 3], [1, 2, 3]),
    ),
    "with one slot each copy starts when the last unit is done": ((1, []), ([4, 2, 5], [4]), ([4], [2]), ([2], [5])),
    "units that stay are copied once and in their turn": (
        (2, [1, 3]),
        ([0, 1, 2, 3, 4, 5] * 2, [0, 1, 2, 3]),
        ([0, 1, 2, 3, 4, 5], [4, 5, 0, 2]),
        ([0, 1, 2, 3, 4, 5], [4, 5]),
    ),
    "a unit that stays and was not expected is copied when it runs": ((0, [2]), ([], []), ([2, 2], [2])),
    "units that all stay need no ring": ((0, range(6)), (range(6), [*range(6)]), ([*range(6)] * 2, [])),
    "as many units as slots are copied once": ((3, []), ([0, 1, 2] * 4, [0, 1, 2]), ([0, 1, 2] * 4, [])),
    "without an itinerary each unit is fetched when it runs": ((2, []), ([], []), ([3, 1, 1, 5, 0], [3, 1, 5, 0])),
    "after units left out the itinerary goes on": ((3, []), (range(6), [0, 1, 2]), ([1], [3, 4]), ([5], [5])),
    "after a unit not expected the itinerary goes on": (
        (2, []),
        (range(4), [0, 1]),
        ([0], [2]),
        ([5], [5, 2]),
        ([1, 2, 3], [3]),
    ),
}


@pytest.mark.parametrize("schedule", SCHEDULES.values(), ids=SCHEDULES.keys())
def test_each_copy_starts_at_its_moment(layers: Layers, schedule: tuple[tuple[Any, Any], ...]) -> None:
    (slots, stays), (expected, first_copies), *turns = schedule
    layers.stream.keep(stays)
    layers.open(slots).expect(expected)
    assert layers.copies() == first_copies
    for runs, copies in turns:
        layers.run(*runs)
        assert layers.copies() == copies


def test_what_the_slots_hold_is_kept_when_the_itinerary_is_told_anew(layers: Layers) -> None:
    stream = layers.open(3)
    stream.expect([0, 1, 2, 3])
    stream.expect([0, 1, 4])
    assert layers.copies() == [0, 1, 2, 4]
    layers.run(0, 1, 4)
    assert layers.copies() == []


@pytest.mark.parametrize("slots", [1, 2, 3])
def test_any_order_whatever_was_expected_gives_the_right_weights(layers: Layers, slots: int) -> None:
    choose = random.Random(slots)
    stream = layers.stream
    for _ in range(30):
        stream.keep(choose.sample(range(6), choose.randrange(4)))
        layers.open(slots)
        for _ in range(3):
            stream.expect(choose.choices(range(6), k=12))
            with pytest.raises(RuntimeError, match="shapes"):
                layers.units[choose.randrange(6)].module(HIDDEN[:, :3])
            layers.run(*choose.choices(range(6), k=12))
        stream.close()


def test_an_itinerary_is_read_only_as_far_as_needed_and_may_have_no_end(layers: Layers) -> None:
    read: list[int] = []

    def endless() -> Iterator[int]:
        for place in cycle(range(6)):
            read.append(place)
            yield place

    layers.stream.keep([5])
    layers.open(2).expect(endless())
    assert read == [0, 1, 2]
    layers.run(*islice(cycle(range(6)), 60))
    assert len(read) < 70
    layers.stream.close()
    layers.stream.keep(range(6))
    layers.open(0).expect(endless())
    layers.run(*range(6))


def test_those_that_leave_go_before_those_that_stay_instead_come(layers: Layers, card: Card) -> None:
    stream, each = layers.stream, layers.units[0].bytes
    for places in ([0, 1, 2], [2, 3, 4], [5, 0, 1], [5], [0, 5], [], [0, 1, 2]):
        stream.keep(places)
        assert stream.kept == set(places)
        assert stream.card_bytes == card.bytes == len(places) * each
        layers.open(2).expect(range(6))
        layers.run(*range(6))
        stream.close()
    assert card.most == 5 * each
    stream.drop()
    assert stream.card_bytes == card.bytes == 0


def test_what_has_no_room_does_not_stay_and_the_stream_goes_on(layers: Layers, card: Card) -> None:
    stream, each = layers.stream, layers.units[0].bytes
    stream.keep([0])
    card.full_after = 2
    with pytest.raises(torch.OutOfMemoryError):
        stream.keep([0, 1, 2, 3])
    assert stream.kept == {0}
    card.full_after = 1
    with pytest.raises(torch.OutOfMemoryError):
        layers.open(2)
    card.full_after = math.inf
    gc.collect()
    assert stream.card_bytes == card.bytes == each
    layers.open(2).expect(range(6))
    layers.run(*range(6))


def test_a_unit_changed_between_pictures_comes_anew(layers: Layers) -> None:
    stream, unit = layers.stream, layers.units[1]
    stream.keep([1, 2])
    layers.open(2)
    layers.run(0, 1, 2)
    stream.close()
    unit.module.weight.data.add_(1)
    unit.refresh()
    expected = unit.module(HIDDEN)
    stream.open(slots=2, slot_bytes=unit.bytes)
    assert torch.equal(unit.module(HIDDEN), expected)
    stream.close()
    unit.module.weight = nn.Parameter(torch.randn(32, 8))
    unit.module.bias = None
    unit.refresh()
    expected = unit.module(HIDDEN)
    stream.keep([1, 2])
    stream.open(slots=1, slot_bytes=unit.bytes)
    assert torch.equal(unit.module(HIDDEN), expected)
    assert stream.card_bytes == 2 * unit.bytes + layers.units[2].bytes


def test_what_cannot_be_is_refused(layers: Layers) -> None:
    stream, each = layers.stream, layers.units[0].bytes
    with pytest.raises(ValueError, match="there are 6 units"):
        stream.keep([6])
    with pytest.raises(RuntimeError, match="not open"):
        stream.expect([0])
    with pytest.raises(ValueError, match="a slot has"):
        stream.open(slots=2, slot_bytes=each - 1)
    layers.open(0)
    with pytest.raises(RuntimeError, match="there is no slot for it"):
        layers.units[0].module(HIDDEN)
    with pytest.raises(RuntimeError, match="open already"):
        layers.open(1)
    with pytest.raises(ValueError, match="share a tensor"):
        BlockStream([layers.units[0], Unit(layers.units[0].module)], CPU)
