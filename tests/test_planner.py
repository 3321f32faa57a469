"""What a plan promises, over a grid of cards, sizes and models."""

from dataclasses import replace
from itertools import pairwise, product

import pytest

from darkroom.architecture import FLUX1, Architecture
from darkroom.catalog import DEMO, FLUX1_DEV, ModelEntry
from darkroom.errors import DoesNotFit
from darkroom.footprint import COEFFICIENTS, GB, MIB
from darkroom.layouts import PARTS, Layout, streamed_sets
from darkroom.machine import Card, Machine, Profile
from darkroom.planner import MOST_ROWS, TILES, Plan, make_plan
from darkroom.web.words import load_words
from darkroom.wishes import Wishes

CARDS = (4, 6, 8, 10, 12, 16, 20, 24, 32, 48, 80)
SIZES = ((256, 256), (512, 512), (768, 512), (1024, 1024), (1536, 640), (1536, 1536), (2048, 256), (2048, 2048))
ADA, AMPERE = (8, 9), (8, 6)
# Modulation apart from its blocks, and not.
APART = replace(FLUX1, modulation_apart=True)
WITH_TABLE, WITHOUT = Wishes(), Wishes(modulation_table=False)
each_way = pytest.mark.parametrize(
    ("wishes", "shape"), [(WITH_TABLE, APART), (WITHOUT, FLUX1)], ids=["modulation table", "no table"]
)


def card(gigabytes: float, *, compute: tuple[int, int] = ADA) -> Card:
    size = int(gigabytes * GB)
    return Card(name="a card", total=size, free=size, compute=compute, copy_rate=25e9)


def machine(gigabytes: float, *, ram: float = 64, compute: tuple[int, int] = ADA) -> Machine:
    return with_ram(ram, card(gigabytes, compute=compute))


def with_ram(gigabytes: float, card: Card | None) -> Machine:
    ram = int(gigabytes * GB)
    return Machine(card=card, ram_total=ram, ram_free=ram, pinnable=ram, cores=8)


def plan(
    where: Machine, size: tuple[int, int] = (1024, 1024), wishes: Wishes | None = None, model: ModelEntry = FLUX1_DEV
) -> Plan:
    return make_plan(model, where, wishes or Wishes(), width=size[0], height=size[1])


def plan_or_none(where: Machine, size: tuple[int, int], wishes: Wishes | None = None) -> Plan | None:
    try:
        return plan(where, size, wishes)
    except DoesNotFit:
        return None


def refusal_of(where: Machine, size: tuple[int, int]) -> DoesNotFit | None:
    try:
        plan(where, size)
    except DoesNotFit as refusal:
        return refusal
    return None


def streamed(plan: Plan) -> tuple[int, ...]:
    return tuple(place for place in range(len(FLUX1.transformer_blocks)) if place not in plan.resident)


# --- a plan keeps to the card


@pytest.mark.parametrize("model", [FLUX1_DEV, DEMO], ids=lambda model: model.name)
@pytest.mark.parametrize("compute", [ADA, AMPERE], ids=["float8", "upcast"])
@pytest.mark.parametrize("wishes", [WITH_TABLE, WITHOUT], ids=["modulation table", "no table"])
def test_what_is_promised_fits_on_the_card(model: ModelEntry, compute: tuple[int, int], wishes: Wishes) -> None:
    for gigabytes, size in product(CARDS, SIZES):
        if max(size) <= model.largest_side and (gigabytes > 4 or size != (2048, 2048)):
            made = plan(machine(gigabytes, compute=compute), size, wishes, model=model)
            assert made.promised_vram <= gigabytes * GB - COEFFICIENTS.reserve
            assert made.promised_vram == made.peaks.highest > 0


def test_what_others_hold_of_the_card_is_left_to_them() -> None:
    for taken in (1, 2, 3, 4):
        busy = replace(card(8), free=(8 - taken) * GB)
        assert plan(with_ram(64, busy)).promised_vram <= busy.free


def test_a_small_change_in_what_others_hold_makes_no_other_plan() -> None:
    free = 6 * GB
    plans = {plan(with_ram(64, replace(card(8), free=free + number * MIB))) for number in range(0, 120, 20)}
    assert len(plans) == 1


@each_way
def test_what_stays_and_what_moves_add_up_to_the_transformer(wishes: Wishes, shape: Architecture) -> None:
    for gigabytes, size in product(CARDS, SIZES[:-1]):
        made = plan(machine(gigabytes), size, wishes)
        resting = sum(shape.transformer_blocks[place] for place in made.resident)
        assert resting + made.streamed_bytes == sum(shape.transformer_blocks)
        assert resting < made.promised_vram
        assert list(made.resident) == sorted(set(made.resident))


@each_way
def test_a_slot_holds_the_largest_unit_that_streams(wishes: Wishes, shape: Architecture) -> None:
    for gigabytes, size in product(CARDS, SIZES[:-1]):
        made = plan(machine(gigabytes), size, wishes)
        moving = [shape.transformer_blocks[place] for place in streamed(made)]
        moving += [] if "text_encoder_2" in made.stays else shape.t5_blocks
        moving += shape.modulation_units
        assert made.slot_bytes == max(moving, default=0)
        assert made.slots in ((2, 3) if moving else (0,))


def test_once_all_joint_blocks_stay_the_slots_are_small() -> None:
    sets = streamed_sets(FLUX1)
    only_single = Layout(streamed=sets[5], stays=(), slots=3)
    assert min(only_single.streamed) >= FLUX1.joint_blocks
    assert only_single.slot_bytes(FLUX1) == max(FLUX1.t5_blocks) < FLUX1.joint_block_bytes


# --- the modulation table


def test_with_a_table_more_stays_less_streams_and_a_step_is_faster() -> None:
    for gigabytes, compute in product(CARDS, (ADA, AMPERE)):
        where = machine(gigabytes, compute=compute)
        table, none = plan(where), plan(where, wishes=WITHOUT)
        assert none.table_rows == 0 < table.table_rows
        assert len(table.resident) >= len(none.resident)
        assert table.streamed_bytes <= none.streamed_bytes * 0.75
        assert table.seconds_per_step < none.seconds_per_step


def test_there_are_rows_for_every_pass_up_to_a_limit_and_room_for_them_is_promised() -> None:
    few, many, too_many = (
        make_plan(FLUX1_DEV, machine(8), Wishes(), width=1024, height=1024, passes=passes) for passes in (4, 50, 200)
    )
    assert (few.table_rows, many.table_rows, too_many.table_rows) == (16, MOST_ROWS, MOST_ROWS)
    assert make_plan(FLUX1_DEV, machine(8), Wishes(), width=1024, height=1024, passes=16) == few
    assert many == too_many
    whole_few, whole_many = (
        make_plan(FLUX1_DEV, machine(24), Wishes(), width=1024, height=1024, passes=passes) for passes in (4, 50)
    )
    rows = (MOST_ROWS - 16) * APART.modulation_row_bytes
    assert whole_many.peaks.decoding - whole_few.peaks.decoding == pytest.approx(rows, abs=2 * MIB)
    assert plan(machine(8)).table_rows >= FLUX1_DEV.default_steps


def test_without_a_card_the_table_is_counted_as_memory() -> None:
    with_table, without = plan(with_ram(64, None)), plan(with_ram(64, None), wishes=WITHOUT)
    assert with_table.table_rows > 0 == without.table_rows
    rows = with_table.table_rows * replace(APART, number_bytes=4).modulation_row_bytes
    assert 0 < rows <= with_table.promised_ram - without.promised_ram <= rows + 16 * MIB


# --- blocks are spread


def test_streamed_blocks_are_spread_evenly_among_their_kind() -> None:
    for places in streamed_sets(FLUX1):
        joint = [place for place in places if place < FLUX1.joint_blocks]
        for kind in (joint, places[len(joint) :]):
            gaps = [later - earlier for earlier, later in pairwise(kind)]
            assert not gaps or max(gaps) - min(gaps) <= 1


def test_where_both_kinds_stream_no_part_of_a_step_streams_much_more_than_the_other() -> None:
    for places in streamed_sets(FLUX1):
        joint = sum(place < FLUX1.joint_blocks for place in places)
        single = len(places) - joint
        if joint and single < FLUX1.single_blocks:
            each = joint * FLUX1.joint_block_bytes / FLUX1.joint_blocks
            other = single * FLUX1.single_block_bytes / FLUX1.single_blocks
            assert abs(each - other) <= FLUX1.joint_block_bytes / FLUX1.joint_blocks


def test_there_is_a_set_for_none_and_for_all_and_each_streams_more_than_the_one_before() -> None:
    sets = streamed_sets(FLUX1)
    assert sets[0] == ()
    assert sets[-1] == tuple(range(len(FLUX1.transformer_blocks)))
    sizes = [Layout(streamed=places, stays=(), slots=3).streamed_bytes(FLUX1) for places in sets]
    assert sizes == sorted(sizes)


# --- more memory is never worse


@pytest.mark.parametrize("size", SIZES, ids=str)
def test_more_memory_on_the_card_never_means_slower_or_more_streaming(size: tuple[int, int]) -> None:
    cards = [3 + number / 8 for number in range(0, 8 * 24)]
    made = [plan_or_none(machine(gigabytes), size) for gigabytes in cards]
    fitting = [each for each in made if each]
    assert made[-len(fitting) :] == fitting
    for less, more in pairwise(fitting):
        assert more.seconds_per_step <= less.seconds_per_step
        assert more.streamed_bytes <= less.streamed_bytes
        assert len(more.stays) >= len(less.stays)
        assert not less.slots > more.slots > 0


def test_more_ram_never_means_slower() -> None:
    for gigabytes in (4, 8, 24):
        made = [plan(machine(gigabytes, ram=ram)) for ram in range(4, 65, 2)]
        assert all(more.seconds_per_step <= less.seconds_per_step for less, more in pairwise(made))


def test_a_large_card_keeps_everything_and_a_small_one_lets_even_t5_stream() -> None:
    for wishes, slots in ((WITHOUT, 0), (WITH_TABLE, 3)):
        large = plan(machine(80), wishes=wishes)
        assert (large.stays, large.streamed_bytes, large.slots) == (PARTS, 0, slots)
    small = plan(machine(6))
    assert small.stays == ()
    assert 0 < len(small.resident) < len(FLUX1.transformer_blocks)


# --- sizes


@pytest.mark.parametrize("gigabytes", [2.5, 4])
def test_every_size_gives_a_plan_or_the_name_of_a_size_and_a_card_that_do(gigabytes: float) -> None:
    sides = range(FLUX1_DEV.smallest_side, FLUX1_DEV.largest_side + 1, 16)
    for size in [(side, side) for side in sides] + [(side, 2304 - side) for side in sides]:
        refusal = refusal_of(machine(gigabytes), size)
        if refusal:
            assert refusal.where == "card"
            assert refusal.largest is None or plan(machine(gigabytes), refusal.largest)
            assert plan(machine(refusal.gigabytes), size)


def test_the_size_that_is_named_is_of_the_same_shape_and_the_largest_that_fits() -> None:
    with pytest.raises(DoesNotFit) as refused:
        plan(machine(2.5), (2048, 1024))
    assert refused.value.largest is not None
    width, height = refused.value.largest
    assert width / height == pytest.approx(2, rel=0.05)
    assert plan_or_none(machine(2.5), (width + 32, height + 16)) is None
    assert str(refused.value).startswith("2048 × 1024 pixels do not fit on this card. ")
    assert refused.value.code == "does_not_fit_card_size"


def test_where_no_size_fits_the_card_that_would_do_is_named() -> None:
    with pytest.raises(DoesNotFit) as refused:
        plan(machine(1))
    assert refused.value.largest is None
    assert str(refused.value) == (
        "FLUX.1 [dev] does not fit on this card at any size. It takes a card with 4 GB of free memory."
    )


def test_every_refusal_is_said_in_both_languages() -> None:
    for words in load_words().values():
        for code, sentence in DoesNotFit.SENTENCES.items():
            holes = {name for name in ("model", "wanted", "largest", "gigabytes") if f"{{{name}}}" in sentence}
            said = words.say(f"refused.{code}", **{name: f"<{name}>" for name in holes})
            assert all(f"<{name}>" in said for name in holes)


# --- tiles


def test_pictures_are_decoded_whole_where_that_fits_and_in_tiles_where_it_does_not() -> None:
    assert plan(machine(8), (1024, 1024)).decode_tile is None
    assert plan(machine(24), (1536, 1536)).decode_tile is None
    tile = plan(machine(8), (2048, 2048)).decode_tile
    assert tile in TILES


def test_blocks_make_room_for_the_vae_and_come_again() -> None:
    made = plan(machine(8), (1024, 1024))
    assert made.lent
    assert set(made.lent) < set(made.resident)
    # Without them, fewer blocks could have stayed through all the steps.
    assert made.peaks.denoising > 8 * GB - COEFFICIENTS.reserve - 256 * MIB
    assert made.promised_vram <= 8 * GB - COEFFICIENTS.reserve
    assert plan(machine(24), (1024, 1024)).lent == ()


def test_a_wish_for_tiles_is_followed() -> None:
    assert plan(machine(24), wishes=Wishes(vae_tile=512)).decode_tile == 512
    assert plan(machine(24), (512, 512), Wishes(vae_tile=512)).decode_tile is None
    assert plan(machine(6), (1536, 1536)).decode_tile is not None
    whole = plan(machine(12), (1536, 1536), Wishes(vae_tile="off"))
    assert whole.decode_tile is None
    assert whole.promised_vram <= 12 * GB - COEFFICIENTS.reserve
    assert plan_or_none(machine(6), (2048, 2048), Wishes(vae_tile="off")) is None


# --- wishes and profiles


@pytest.mark.parametrize(("profile", "size"), [("24", 24), ("16", 16), ("12", 12), ("8", 8), ("6", 6), ("4", 4)])
def test_a_profile_and_a_limit_make_a_large_card_the_same_as_a_small_one(profile: Profile, size: int) -> None:
    small = plan(machine(size))
    assert plan(machine(80), wishes=Wishes(profile=profile)) == small
    assert plan(machine(80), wishes=Wishes(vram_limit=size * GB)) == small
    assert plan(machine(80), wishes=Wishes(vram_limit=size * GB, profile="24")) == small


def test_without_offload_everything_stays_or_the_picture_is_refused() -> None:
    wishes = Wishes(offload=False)
    whole = plan(machine(24), wishes=wishes)
    assert (whole.stays, whole.streamed_bytes) == (PARTS, 0)
    assert plan(machine(24), wishes=replace(wishes, modulation_table=False)).slots == 0
    for table, too_small, enough in ((True, 12, 16), (False, 16, 20)):
        wishes = Wishes(offload=False, modulation_table=table)
        with pytest.raises(DoesNotFit) as refused:
            plan(machine(too_small), wishes=wishes)
        assert refused.value.gigabytes == enough
        assert plan(machine(enough), wishes=wishes)


def test_a_wish_to_keep_parts_on_the_card_is_followed_as_far_as_they_fit() -> None:
    wishes = Wishes(keep_in_vram=True)
    assert plan(machine(16)).stays != PARTS
    assert plan(machine(16), wishes=wishes).stays == PARTS
    assert plan(machine(4), wishes=wishes).promised_vram <= 4 * GB - COEFFICIENTS.reserve


def test_float8_is_multiplied_only_by_cards_that_can() -> None:
    generations = ((12, 0), (9, 0), ADA, AMPERE, (8, 0), (7, 5))
    can = [compute for compute in generations if plan(machine(12, compute=compute)).float8_matmul]
    assert can == [(12, 0), (9, 0), ADA]


# --- RAM


def test_weights_are_pinned_where_ram_allows_it_and_mapped_where_it_does_not() -> None:
    assert plan(machine(8, ram=32)).weights == "pinned"
    unpinnable = replace(machine(8, ram=32), pinnable=GB)
    assert plan(unpinnable).weights == "mapped"
    assert plan(machine(8, ram=12)).weights == "mapped"
    slow, slower = plan(unpinnable).seconds_per_step, plan(machine(8, ram=12)).seconds_per_step
    assert plan(machine(8, ram=32)).seconds_per_step <= slow <= slower


def test_only_what_streams_need_be_pinned() -> None:
    assert plan(replace(machine(24, ram=32), pinnable=0), wishes=WITHOUT).weights == "pinned"
    assert plan(replace(machine(24, ram=32), pinnable=0)).weights == "mapped"
    assert plan(replace(machine(24, ram=32), pinnable=4 * GB)).weights == "pinned"
    assert plan(replace(machine(8, ram=32), pinnable=13 * GB)).weights == "pinned"


def test_the_promise_of_ram_is_kept_to_what_is_free_or_wished() -> None:
    for gigabytes, ram in product((4, 8, 16, 24), (4, 8, 16, 18, 20, 32, 64)):
        assert plan(machine(gigabytes, ram=ram)).promised_ram <= ram * GB
        limited = plan(machine(gigabytes), wishes=Wishes(ram_limit=ram * GB))
        assert limited == plan(machine(gigabytes, ram=ram))
    assert plan(machine(8)).promised_ram <= FLUX1.stored_bytes + 3 * GB


def test_without_ram_the_picture_is_refused_and_what_it_takes_is_named() -> None:
    with pytest.raises(DoesNotFit) as refused:
        plan(machine(8, ram=0))
    assert (refused.value.where, refused.value.code) == ("memory", "does_not_fit_memory")
    assert plan(machine(8, ram=refused.value.gigabytes))


# --- without a card


@pytest.mark.parametrize("where", [with_ram(64, None), machine(24)], ids=["no card", "by wish"])
def test_without_a_card_the_processor_computes_with_weights_where_they_are(where: Machine) -> None:
    made = plan(where, wishes=Wishes(profile="cpu"))
    assert (made.profile, made.device, made.weights) == ("cpu", "cpu", "in_place")
    assert (made.resident, made.stays, made.slots, made.promised_vram) == ((), (), 0, 0)
    assert FLUX1.stored_bytes < made.promised_ram <= where.ram_free
    assert made.seconds_per_step > 60


def test_the_demo_needs_neither_a_card_nor_much_memory() -> None:
    made = plan(with_ram(4, None), (512, 512), model=DEMO)
    assert (made.device, made.weights, made.decode_tile) == ("cpu", "in_place", None)
    assert made.promised_ram < 3 * GB
    assert made.seconds_per_step < 2


def test_a_processor_with_little_memory_decodes_in_tiles_then_maps_its_weights_then_gives_up() -> None:
    needed = plan(with_ram(64, None), (2048, 2048)).promised_ram
    tiled = plan(with_ram((needed - 2 * GB) / GB, None), (2048, 2048))
    assert (tiled.weights, tiled.decode_tile is None) == ("in_place", False)
    assert plan(with_ram(12, None), (1024, 1024)).weights == "mapped"
    with pytest.raises(DoesNotFit) as refused:
        plan(with_ram(1, None))
    assert plan(with_ram(refused.value.gigabytes, None))


def test_numbers_of_four_bytes_take_more_memory_than_numbers_of_two() -> None:
    wide = with_ram(64, None)
    assert plan(wide).promised_ram > plan(replace(wide, number_bytes=2)).promised_ram + GB
    assert plan(machine(8)) == plan(replace(machine(8), number_bytes=2))


def test_equal_questions_have_equal_answers() -> None:
    assert plan(machine(8)) == plan(machine(8))
    assert plan(machine(8)).promised_vram % 512 == 0
    assert plan(machine(8)).peaks.decoding > 100 * MIB
