"""The modulation table and the layers that stand in: no pass gets another's row, and none is computed twice."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch._dynamo.testing import CompileCounter
from torch.nn import functional

from darkroom.engine.float8 import Float8Linear, quantize
from darkroom.engine.modulation import BlockModulation, ModulationRow, ModulationTable, Pass, Schedule

CPU = torch.device("cpu")


def test_many_rows_are_not_multiplied_in_float8() -> None:
    layer = Float8Linear(*quantize(torch.randn(6 * 64, 64)), bias=torch.randn(6 * 64))
    transformer = tiny(lambda: layer)
    table = ModulationTable(transformer)
    layer.float8_matmul = True
    schedule = schedule_of(steps=50)
    table.expect(schedule, most_rows=64)
    first = Pass(step=0, pooled=schedule.pooled[0], guidance=schedule.guidance)
    table.fill(first)
    assert (table.rows, table.complete, layer.float8_matmul) == (50, True, False)


def tiny(layer: Callable[[], nn.Module]) -> nn.Module:
    """A transformer of one block, as far as the table looks at it. Nothing but its pooled prompt counts."""

    class Embedder(nn.Module):
        def forward(self, number: Tensor, dtype: torch.dtype) -> Tensor:
            return number[:, None].expand(1, 64).to(dtype)

    norm = nn.Module()
    norm.linear = layer()
    block = nn.Module()
    block.norm = norm
    transformer = nn.Module()
    transformer.blocks, transformer.single_blocks = nn.ModuleList([block]), nn.ModuleList()
    transformer.time_embedder = transformer.guidance_embedder = Embedder()
    transformer.pooled_text_embedder = nn.Identity()
    return transformer


def schedule_of(*, steps: int, sides: int = 1) -> Schedule:
    pooled = tuple(torch.full((1, 64), float(side)) for side in range(sides))
    return Schedule(timesteps=torch.linspace(1000, 10, steps), pooled=pooled, guidance=torch.tensor([3.5]))


def test_a_pass_of_another_prompt_step_or_guidance_is_shown_no_row() -> None:
    transformer: Any = tiny(lambda: nn.Linear(64, 192))
    table, norm = ModulationTable(transformer), transformer.blocks[0].norm
    schedule = schedule_of(steps=4, sides=2)
    table.expect(schedule, most_rows=4)
    known = Pass(step=2, pooled=schedule.pooled[1], guidance=schedule.guidance)
    table.fill(known)
    hidden = torch.randn(1, 64)
    ordinary = norm.linear.layer(hidden)
    others: tuple[dict[str, Any], ...] = (
        {"step": 4},
        {"step": -1},
        {"pooled": schedule.pooled[1].clone()},
        {"guidance": schedule.guidance.clone()},
        # In the schedule, and before the rows that are held.
        {"step": 0},
    )
    for other in others:
        with table.showing(replace(known, **other)):
            assert torch.equal(norm.linear(hidden), ordinary)
    with table.showing(known):
        assert not torch.allclose(norm.linear(hidden), ordinary)
        # Two at once are no pass of ours.
        assert torch.equal(norm.linear(hidden.expand(2, 64))[:1], norm.linear.layer(hidden.expand(2, 64))[:1])
    assert torch.equal(norm.linear(hidden), ordinary)
    assert table.lacks(replace(known, step=0))
    assert not table.lacks(replace(known, step=4))


def test_each_side_of_each_step_gets_its_own_row() -> None:
    transformer: Any = tiny(lambda: nn.Linear(64, 192))
    table, norm = ModulationTable(transformer), transformer.blocks[0].norm
    schedule = schedule_of(steps=4, sides=2)
    table.expect(schedule, most_rows=64)
    places = set()
    for step in range(4):
        for pooled in schedule.pooled:
            turn = Pass(step=step, pooled=pooled, guidance=schedule.guidance)
            if table.lacks(turn):
                assert (step, table.passes_from(turn)) == (0, 8)
                table.fill(turn)
            condition = schedule.timesteps[step] + pooled + 3500
            with table.showing(turn):
                said = norm.linear(torch.full((1, 64), torch.nan))
                places.add(said.data_ptr())
                torch.testing.assert_close(said, norm.linear.layer(functional.silu(condition)), rtol=1e-4, atol=1e-2)
    # Always at the same place, for whoever has compiled the blocks.
    assert len(places) == 1
    assert table.card_bytes == (8 + 1) * 192 * 4
    table.drop()
    assert table.card_bytes == 0


def test_a_row_is_hidden_when_the_pipeline_goes_on_with_another_pooled_prompt() -> None:
    transformer: Any = tiny(lambda: nn.Linear(64, 192))
    table, norm = ModulationTable(transformer), transformer.blocks[0].norm
    schedule = schedule_of(steps=2)
    table.expect(schedule, most_rows=64)
    turn = Pass(step=0, pooled=schedule.pooled[0], guidance=schedule.guidance)
    table.fill(turn)
    with table.showing(turn):
        transformer.pooled_text_embedder(schedule.pooled[0])
        assert norm.linear.row is not None
        transformer.pooled_text_embedder(torch.ones(1, 64))
        assert norm.linear.row is None


# --- the layers that stand in


def test_without_a_table_a_layer_answers_from_wherever_its_weights_are() -> None:
    row = ModulationRow(nn.Linear(8, 24)).to("meta")
    row.layer.to_empty(device=CPU)
    assert row(torch.empty(1, 8, device="meta")).device.type == "meta"
    assert next(row.layer.parameters()).device == CPU


def test_a_block_that_was_compiled_is_not_compiled_again_for_the_next_row() -> None:
    norm: Any = nn.Module()
    norm.linear = nn.Linear(8, 24)
    block: Any = nn.Module()
    block.norm = norm
    (row,) = BlockModulation(block).stands_in
    current = torch.zeros(24)
    row.row = current[None]
    counter = CompileCounter()
    compiled = torch.compile(lambda hidden: norm.linear(functional.silu(hidden)) + 1, backend=counter, fullgraph=True)
    hidden = torch.zeros(1, 8)
    for number in range(3):
        current.fill_(number)
        # Hidden between two passes, shown by a new view of the same memory.
        row.row = None
        row.row = current[None]
        assert torch.equal(compiled(hidden), torch.full((1, 24), number + 1.0))
    assert counter.frame_count == 1


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA card")
def test_on_a_card_the_host_waits_for_nothing_between_passes() -> None:
    transformer: Any = tiny(lambda: nn.Linear(64, 192)).to("cuda")
    table, norm = ModulationTable(transformer), transformer.blocks[0].norm
    said = schedule_of(steps=4, sides=2)
    schedule = replace(said, pooled=tuple(pooled.cuda() for pooled in said.pooled), guidance=said.guidance.cuda())
    table.expect(schedule, most_rows=64)
    turn = Pass(step=0, pooled=schedule.pooled[0], guidance=schedule.guidance)
    table.fill(turn)
    torch.cuda.set_sync_debug_mode("error")
    try:
        for step in range(4):
            with table.showing(replace(turn, step=step)):
                assert norm.linear(torch.zeros(1, 64, device="cuda")).device.type == "cuda"
    finally:
        torch.cuda.set_sync_debug_mode("default")
