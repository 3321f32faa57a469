"""What visits the card and what stays there. Without a card, torch's device "meta" stands for it."""

import gc
import weakref
from collections.abc import Iterator

import pytest
import torch
from torch import Tensor

from darkroom.engine.offload import Offload

CARD = torch.device("meta")
CPU = torch.device("cpu")


class Weight:
    """Like a parameter, but one that lets its data move to a device without memory."""

    def __init__(self, data: Tensor) -> None:
        self.data = data


class Model:
    def __init__(self) -> None:
        self.weights = [Weight(torch.ones(2)), Weight(torch.ones(3))]

    def parameters(self) -> Iterator[Weight]:
        return iter(self.weights)

    def buffers(self) -> Iterator[Weight]:
        # Layers may share a tensor.
        return iter(self.weights[:1])

    def devices(self) -> set[str]:
        return {weight.data.device.type for weight in self.weights}


class TooLarge(Tensor):
    def to(self, *_: object, **__: object) -> Tensor:
        raise torch.OutOfMemoryError


def test_a_model_visits_and_its_own_weights_are_back_afterwards() -> None:
    model = Model()
    resting = [weight.data for weight in model.weights]
    offload = Offload(model, CARD, stays=False)
    for _ in range(2):
        offload.visit()
        assert model.devices() == {"meta"}
        offload.rest()
        assert all(weight.data is data for weight, data in zip(model.weights, resting, strict=True))


def test_a_model_that_is_to_stay_stays_and_its_copy_in_memory_goes() -> None:
    model = Model()
    resting = weakref.ref(model.weights[0].data)
    offload = Offload(model, CARD, stays=True)
    offload.rest()
    assert model.devices() == {"cpu"}
    offload.visit()
    arrived = [weight.data for weight in model.weights]
    gc.collect()
    assert resting() is None
    offload.rest()
    offload.visit()
    assert all(weight.data is data for weight, data in zip(model.weights, arrived, strict=True))
    assert model.devices() == {"meta"}


@pytest.mark.parametrize("stays", [False, True])
def test_a_visit_for_which_there_is_no_room_leaves_the_model_as_it_was(stays: bool) -> None:
    model = Model()
    model.weights[1].data = torch.ones(3).as_subclass(TooLarge)
    offload = Offload(model, CARD, stays=stays)
    with pytest.raises(torch.OutOfMemoryError):
        offload.visit()
    offload.rest()
    assert model.devices() == {"cpu"}
    with pytest.raises(torch.OutOfMemoryError):
        offload.visit()


@pytest.mark.parametrize("stays", [False, True])
def test_without_a_card_nothing_moves(stays: bool) -> None:
    model = Model()
    resting = [weight.data for weight in model.weights]
    offload = Offload(model, CPU, stays=stays)
    offload.visit()
    offload.rest()
    assert all(weight.data is data for weight, data in zip(model.weights, resting, strict=True))
