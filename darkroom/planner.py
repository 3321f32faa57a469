"""From a machine, a model and a picture's size to a plan: what stays on the card, what streams, and what it will cost.

Pure arithmetic: the same question has the same answer, and more memory never gives a slower one.
Must not know: torch, or how a plan is carried out.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Literal

from darkroom.architecture import PIXELS_PER_TOKEN, Architecture
from darkroom.cards import FLOAT8_SINCE, speed_of
from darkroom.catalog import ModelEntry
from darkroom.errors import DoesNotFit
from darkroom.footprint import COEFFICIENTS, GB, Coefficients, Footprint, allocated
from darkroom.layouts import PARTS, Layout, Part, streamed_sets
from darkroom.machine import PROFILES, Card, Machine, Profile, profile_for
from darkroom.wishes import Wishes

Weights = Literal["pinned", "mapped", "in_place"]

CARDS_ON_SALE = (4, 6, 8, 10, 12, 16, 20, 24, 32, 48, 80, 96, 141)
SLOTS, FEWEST_SLOTS = 3, 2
# Sides of squares whose area the VAE may work on at once; and the share of a picture above which that saves nothing.
TILES = (512, 384, 256)
WORTHWHILE_TILE = 0.65
# Rows of the modulation table, one for each pass of the transformer: at most, and in steps, so that a few passes more
# make no other plan. A picture of more passes fills the table again on its way.
MOST_ROWS, ROWS_STEP = 64, 16


@dataclass(frozen=True, kw_only=True)
class StagePeaks:
    """Bytes on the card at the height of each stage, the allocator's share included. Its cache is emptied between."""

    encoding: int
    denoising: int
    decoding: int

    @property
    def highest(self) -> int:
        return max(self.encoding, self.denoising, self.decoding)


@dataclass(frozen=True, kw_only=True)
class Plan:
    """How one picture is made.

    `resident` are places of transformer blocks, in running order joint then single, that stay on the card, beside
    the transformer's other parts and the parts in `stays`. The other blocks come through a ring of `slots`. The ring is
    open while T5 streams (it does unless it stays) and while blocks of the transformer do, and closed for decoding.
    "pinned": blocks that stream rest in pinned RAM. "mapped": they rest in a file or in ordinary memory, and go through
    a few pinned buffers. "in_place": the processor computes with them where they are.
    `lent` are resident blocks that leave the card before decoding and come again with the next picture's first step.
    `table_rows` is how many passes of the transformer the modulation table may hold; with 0 there is none, and the
    layers that fill it belong to their blocks. With one they come through the ring before the blocks.
    A tile of None means whole. `promised_vram` is the most that torch will have reserved.
    """

    profile: Profile
    device: Literal["cuda", "cpu"]
    weights: Weights
    resident: tuple[int, ...]
    lent: tuple[int, ...]
    stays: tuple[Part, ...]
    slots: int
    slot_bytes: int
    float8_matmul: bool
    table_rows: int
    decode_tile: int | None
    encode_tile: int | None
    promised_vram: int
    promised_ram: int
    seconds_per_step: float
    streamed_bytes: int
    peaks: StagePeaks


def make_plan(
    model: ModelEntry,
    machine: Machine,
    wishes: Wishes,
    *,
    width: int,
    height: int,
    passes: int | None = None,
    low_rank_bytes: int = 0,
    prompt_tokens: int | None = None,
    step_cache: bool = False,
    coefficients: Coefficients = COEFFICIENTS,
) -> Plan:
    """The fastest plan that fits, for so many `passes` of the transformer (by default the model's default steps).

    `low_rank_bytes` is what LoRAs take where it computes, in all stages. `prompt_tokens` are by default as many as the
    model reads; `step_cache`: some passes may take over what others made. Raises DoesNotFit, which names what would.
    """
    card = None if wishes.profile == "cpu" else machine.card
    number_bytes = 2 if card else machine.number_bytes
    apart = wishes.modulation_table
    task = _Task(
        model=model,
        architecture=replace(model.architecture, number_bytes=number_bytes, modulation_apart=apart),
        machine=replace(machine, card=card),
        wishes=wishes,
        width=width,
        height=height,
        passes=model.default_steps if passes is None else passes,
        low_rank_bytes=low_rank_bytes,
        prompt_tokens=model.prompt_tokens if prompt_tokens is None else prompt_tokens,
        step_cache=step_cache,
        coefficients=coefficients,
    )
    found = _find(task)
    if isinstance(found, Plan):
        return found
    largest = _largest_that_fits(task)
    raise DoesNotFit(found.where, model=model.title, wanted=(width, height), largest=largest, gigabytes=found.gigabytes)


@dataclass(frozen=True, kw_only=True)
class _Lack:
    """What is too small, and what size of it would do."""

    where: Literal["card", "memory"]
    gigabytes: int


@dataclass(frozen=True, kw_only=True)
class _Task:
    """One question to the planner."""

    model: ModelEntry
    architecture: Architecture
    machine: Machine
    wishes: Wishes
    width: int
    height: int
    passes: int
    low_rank_bytes: int
    prompt_tokens: int
    step_cache: bool
    coefficients: Coefficients

    @property
    def table_rows(self) -> int:
        return min(-(-self.passes // ROWS_STEP) * ROWS_STEP, MOST_ROWS) if self.architecture.modulation_apart else 0

    @property
    def table_bytes(self) -> int:
        """All rows, and the one whose turn it is."""
        row = self.architecture.modulation_row_bytes
        return allocated(self.table_rows * row) + allocated(row) if self.table_rows else 0

    @property
    def beside_weights(self) -> int:
        """What is where it computes through all stages, and belongs to no part of the model."""
        return self.table_bytes + self.low_rank_bytes

    @property
    def step_cache_bytes(self) -> int:
        """What the first block was given, and what it is compared with or what the blocks made of it."""
        row = self.architecture.width * self.architecture.number_bytes
        return 2 * allocated(self.architecture.image_tokens(self.width, self.height) * row) if self.step_cache else 0

    @property
    def modulating(self) -> int:
        return self.footprint.modulating(self.table_rows) if self.table_rows else 0

    @cached_property
    def footprint(self) -> Footprint:
        card = self.machine.card
        return Footprint(
            architecture=self.architecture,
            prompt_tokens=self.prompt_tokens,
            width=self.width,
            height=self.height,
            float8_matmul=card is not None and card.compute >= FLOAT8_SINCE,
            coefficients=self.coefficients,
        )

    @property
    def ram(self) -> int:
        return min(self.machine.ram_free, self.wishes.ram_limit or self.machine.ram_free)

    @property
    def tiles(self) -> tuple[int | None, ...]:
        """Sides of tiles that the wishes allow, the largest first. None, for the whole picture, is the largest."""
        area, wish = self.width * self.height, self.wishes.vae_tile
        if wish == "off":
            return (None,)
        if wish != "auto":
            return (wish if wish**2 < area else None,)
        return (None, *(side for side in TILES if side**2 <= WORTHWHILE_TILE * area))


def _find(task: _Task) -> Plan | _Lack:
    return _on_card(task, task.machine.card) if task.machine.card else _without_card(task)


def _on_card(task: _Task, card: Card) -> Plan | _Lack:
    c = task.coefficients
    sizes = [card.total, task.wishes.vram_limit or card.total]
    sizes += [size * GB for name, size in PROFILES if name == task.wishes.profile]
    seen = replace(card, total=min(sizes))
    # In steps, so that a small change in what other programs hold does not make another plan.
    free = card.free // c.free_step * c.free_step
    budget = min(seen.total - c.reserve, free - c.headroom)
    layouts = list(_layouts(task))
    needed = min(_peaks(task, layouts[-1], tile).highest for tile in task.tiles)
    if needed > budget:
        return _Lack(where="card", gigabytes=_card_for(needed + c.reserve))
    layout, tile = _best(task, layouts, budget)
    if task.wishes.vram_share < 1:
        budget = max(needed, int(_peaks(task, layout, tile).highest * task.wishes.vram_share))
        layout, tile = _best(task, layouts, budget)
    resting = layout.resting_bytes(task.architecture) + task.beside_weights
    room = budget - resting - allocated(task.architecture.vae_encoder_bytes)
    encode_tile = next((side for side in task.tiles if task.footprint.encoding(side) <= room), tile)
    weights, rate, ram = _rest_in_ram(task, layout, card.copy_rate)
    if ram > task.ram:
        return _Lack(where="memory", gigabytes=-(-ram // GB))
    streamed, slot_bytes = layout.streamed_bytes(task.architecture), layout.slot_bytes(task.architecture)
    peaks, speed = _peaks(task, layout, tile), speed_of(card.name, card.compute)
    return Plan(
        profile=profile_for(seen),
        device="cuda",
        weights=weights,
        resident=layout.resident(task.architecture),
        lent=layout.lent,
        stays=layout.stays,
        slots=layout.slots if slot_bytes else 0,
        slot_bytes=slot_bytes,
        float8_matmul=task.footprint.float8_matmul,
        table_rows=task.table_rows,
        decode_tile=tile,
        encode_tile=encode_tile,
        promised_vram=peaks.highest,
        promised_ram=ram,
        seconds_per_step=task.footprint.seconds(speed, copied=streamed, copy_rate=rate),
        streamed_bytes=streamed,
        peaks=peaks,
    )


def _best(task: _Task, layouts: Sequence[Layout], budget: int) -> tuple[Layout, int | None]:
    """The first that fits, and the tile beside it. The last layout fits with one of the tiles."""
    # Blocks make room for the largest tile that fits at all; beside parts that are wished to stay, it may be smaller.
    tiles = tuple(tile for tile in task.tiles if _peaks(task, layouts[-1], tile).decoding <= budget)
    if task.wishes.offload and not task.wishes.keep_in_vram:
        tiles = tiles[:1]
    made = (_made_to_fit(task, layout, tile, budget) for layout in layouts for tile in tiles)
    return next(each for each in made if each is not None)


def _without_card(task: _Task) -> Plan | _Lack:
    model, c, footprint = task.architecture, task.coefficients, task.footprint
    base = c.process_ram + c.pixel_ram * task.width * task.height + model.stored_bytes + task.beside_weights

    def ram(tile: int | None) -> int:
        denoising = max(footprint.denoising + task.step_cache_bytes, task.modulating)
        return base + max(denoising, footprint.prompt_reading, footprint.decoding(tile))

    tile = next((tile for tile in task.tiles if ram(tile) <= task.ram), task.tiles[-1])
    mapped = task.wishes.from_disk or ram(tile) > task.ram
    promised = ram(tile) - model.unit_bytes if mapped else ram(tile)
    if promised > task.ram:
        return _Lack(where="memory", gigabytes=-(-promised // GB))
    from_disk = sum(model.transformer_blocks) if mapped else 0
    return Plan(
        profile="cpu",
        device="cpu",
        weights="mapped" if mapped else "in_place",
        resident=(),
        lent=(),
        stays=(),
        slots=0,
        slot_bytes=0,
        float8_matmul=False,
        table_rows=task.table_rows,
        decode_tile=tile,
        encode_tile=tile,
        promised_vram=0,
        promised_ram=promised,
        seconds_per_step=footprint.seconds_without_card(task.machine.cores, copied=from_disk),
        streamed_bytes=0,
        peaks=StagePeaks(encoding=0, denoising=0, decoding=0),
    )


def _layouts(task: _Task) -> Iterator[Layout]:
    """Ways to use a card: the best first, the one that needs least last.

    Fewer streamed bytes are always better; a ring of fewer slots is what is tried in the end.
    """
    if not task.wishes.offload:
        yield Layout(streamed=(), stays=PARTS, slots=0)
        return
    for staying in range(len(PARTS), -1, -1):
        for streamed in streamed_sets(task.architecture):
            if task.wishes.keep_in_vram or not staying or not streamed:
                layout = Layout(streamed=streamed, stays=PARTS[:staying], slots=SLOTS)
                yield layout
    yield replace(layout, slots=FEWEST_SLOTS)


def _made_to_fit(task: _Task, layout: Layout, tile: int | None, budget: int) -> "tuple[Layout, int | None] | None":
    """With as many blocks lent to the VAE as it needs. None: it does not fit all the same."""
    peaks = _peaks(task, layout, tile)
    if max(peaks.encoding, peaks.denoising) > budget:
        return None
    if peaks.decoding > budget:
        # Beside parts that stay for speed alone, blocks need not come again for each picture.
        if layout.stays and not task.wishes.keep_in_vram:
            return None
        lending = layout.lending(task.architecture, peaks.decoding - budget)
        return None if lending is None or not task.wishes.offload else (lending, tile)
    return layout, tile


def _peaks(task: _Task, layout: Layout, tile: int | None) -> StagePeaks:
    model, footprint = task.architecture, task.footprint
    # The table is kept for the next picture.
    resting = layout.resting_bytes(model) + task.beside_weights
    ring = layout.slots * allocated(layout.slot_bytes(model))
    clip = 0 if "text_encoder_1" in layout.stays else allocated(model.clip_bytes)
    t5 = 0 if "text_encoder_2" in layout.stays else allocated(model.t5_norm_bytes)
    decoder = 0 if "vae" in layout.stays else allocated(model.vae_decoder_bytes)
    denoising = footprint.denoising + task.step_cache_bytes
    return StagePeaks(
        # CLIP leaves before T5 comes.
        encoding=resting + ring + max(clip + task.coefficients.standing, t5 + footprint.prompt_reading),
        # Blocks run when the table is done.
        denoising=resting + max((ring if layout.streamed else 0) + denoising, ring + task.modulating),
        decoding=resting - layout.lent_bytes(model) + decoder + footprint.decoding(tile),
    )


def _rest_in_ram(task: _Task, layout: Layout, copy_rate: float) -> tuple[Weights, float, int]:
    """How weights rest, the rate at which they come to the card, and the most RAM the process will hold."""
    model, c = task.architecture, task.coefficients
    blocks = model.unit_bytes
    others = c.process_ram + c.pixel_ram * task.width * task.height + model.stored_bytes - blocks
    moving = layout.streamed_bytes(model) + layout.lent_bytes(model) + sum(model.modulation_units)
    moving += 0 if "text_encoder_2" in layout.stays else sum(model.t5_blocks)
    may_rest = not task.wishes.from_disk
    if may_rest and others + blocks <= task.ram and moving <= task.machine.pinnable:
        return "pinned", copy_rate, others + blocks
    if may_rest and others + blocks + c.staging <= task.ram:
        return "mapped", min(copy_rate, c.gather_rate), others + blocks + c.staging
    return "mapped", min(copy_rate, c.disk_rate), others + c.staging


def _card_for(size: int) -> int:
    """The smallest card on sale, in GB, that has this many bytes."""
    return next((each for each in CARDS_ON_SALE if each * GB >= size), -(-size // GB))


def _largest_that_fits(task: _Task) -> tuple[int, int] | None:
    """The largest picture of about the same shape that the same machine can make."""
    longest = max(task.width, task.height)
    for side in range(longest - PIXELS_PER_TOKEN, task.model.smallest_side - 1, -PIXELS_PER_TOKEN):
        width, height = (
            max(task.model.smallest_side, round(each * side / longest / PIXELS_PER_TOKEN) * PIXELS_PER_TOKEN)
            for each in (task.width, task.height)
        )
        if isinstance(_find(replace(task, width=width, height=height)), Plan):
            return width, height
    return None
