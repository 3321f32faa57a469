"""What the stages of a picture need on a card beside resting weights, and how long a step takes. Pure arithmetic.

Must not know: which weights rest where, or what a machine has.
"""

from dataclasses import dataclass
from functools import cached_property

from darkroom.architecture import Architecture
from darkroom.cards import Speed

MIB = 2**20
GB = 2**30


@dataclass(frozen=True, kw_only=True)
class Coefficients:
    """Every figure of the planner that does not follow from dimensions.

    Derived from the forward passes of DiffSynth's modules and of Float8Linear, and held to them by a test that counts
    what is alive ("rows" are tokens × width numbers): all down to `encode_copies`, but for `t5_bias_copies`, of which
    one is derived and one assumed for the attention kernel. The others were measured on one H100 (docs/benchmarks.md).
    """

    # Alive at once in a single block while it rotates q and k in float32; and beside its last layer's input and output.
    single_rows: float = 23
    single_output_rows: float = 7
    # The same in a joint block; and beside its modulation layers, which see one row and always upcast.
    joint_rows: float = 22
    modulation_rows: float = 1.5
    # What each row of the modulation table is computed from.
    condition_rows: float = 1
    # A layer that upcasts holds its weight and its input again, this many times; one that multiplies float8, its input.
    upcast_copies: float = 1
    scaled_copies: float = 1
    quantised_copies: float = 1.5
    # T5: rows of the prompt, rows of the feed-forward, and the table of position biases (heads × tokens²).
    t5_rows: float = 4
    t5_feed_forward_rows: float = 5
    t5_bias_copies: float = 2
    # The VAE at full size holds this many times `middle` (decoding) or `narrow` (encoding) channels; a convolution
    # works on a copy of its input and output in another layout.
    decode_copies: float = 3
    encode_copies: float = 3
    convolution_workspace: float = 1
    # In strips, of a layer that works on one: its input widened, its output, and what lies between.
    decode_strip_copies: float = 3.5
    encode_strip_copies: float = 5.2
    # Workspaces of the matrix libraries, embeddings, latents, and the allocator's pages that are used in part.
    standing: int = 224 * MIB
    # What the allocator holds beyond what is alive, as a share of a stage's activations.
    fragmentation: float = 0.1
    # Of a whole card: what its driver, the context and the desktop take. Of its free memory: kernels yet to be loaded.
    reserve: int = int(0.7 * GB)
    headroom: int = int(0.2 * GB)
    free_step: int = 128 * MIB
    # Python with torch, CUDA and DiffSynth, and a picture on its way to a file (bytes a pixel).
    process_ram: int = int(2.4 * GB)
    pixel_ram: int = 40
    # Pinned buffers that blocks go through where they are not pinned themselves.
    staging: int = 96 * MIB
    # Bytes a second: gathering a block that is not pinned, reading one that is not in RAM.
    gather_rate: float = 6.6e9
    disk_rate: float = 2e9
    # Shares of the published rates; passes of elementwise work over the rows of a block, at the memory's full rate.
    matrix_share: float = 0.75
    attention_share: float = 0.6
    elementwise_passes: float = 135
    quantising_passes: float = 65
    # Of each step, whatever its size: what the host needs to set the card to work.
    launching: float = 0.013
    # Memory traffic of a weight that is upcast, in bytes.
    upcast_traffic: float = 9
    # Of copies that run beside the arithmetic, or arithmetic beside copies: the share that shows all the same.
    exposed: float = 0.03
    # A processor core's multiplications and additions a second.
    core_rate: float = 2e10


COEFFICIENTS = Coefficients()


def allocated(size: int) -> int:
    """What torch's allocator takes for a tensor: steps of 512 bytes, of 2 MiB from 1 MiB on."""
    step = 512 if size <= MIB else 2 * MIB
    return -(-size // step) * step


@dataclass(frozen=True, kw_only=True)
class Footprint:
    """One picture of one model. Each stage's bytes are what the allocator holds for it, weights not counted.

    All results grow with the picture. On a processor, `float8_matmul` is False.
    """

    architecture: Architecture
    prompt_tokens: int
    width: int
    height: int
    float8_matmul: bool
    coefficients: Coefficients

    @property
    def tokens(self) -> int:
        return self.prompt_tokens + self.architecture.image_tokens(self.width, self.height)

    @cached_property
    def denoising(self) -> int:
        model, c = self.architecture, self.coefficients
        square = model.width**2 * model.number_bytes
        row = self.tokens * model.width * model.number_bytes
        # A single block's first layer maps width to 7 × width and its last 5 × width to width; modulation of a joint
        # block, where it is not apart, maps width to 6 × width.
        copies = c.quantised_copies if self.float8_matmul else c.scaled_copies
        weight = 0 if self.float8_matmul else c.upcast_copies * square
        first = (2 + copies + 7) * row + 7 * weight
        last = (c.single_output_rows + 5 + 5 * copies + 1) * row + 5 * weight
        modulation = 0 if model.modulation_apart else c.modulation_rows * row + c.upcast_copies * 6 * square
        # Through all of a step: the prompt, and the tokens' places as rotations in float32.
        beside = self.prompt_tokens * model.width * model.number_bytes + self.tokens * model.head_width // 2 * 4 * 4
        return self._held(max(c.single_rows * row, c.joint_rows * row, first, last, modulation) + beside)

    def modulating(self, rows: int) -> int:
        """For so many passes at once: what each depends on, and one layer's weight and answer beside the table."""
        model, c = self.architecture, self.coefficients
        row = rows * model.width * model.number_bytes
        weight = c.upcast_copies * 6 * model.width**2 * model.number_bytes
        return self._held(weight + (c.scaled_copies + c.condition_rows + 6) * row)

    @cached_property
    def prompt_reading(self) -> int:
        """T5's part of encoding; CLIP's is smaller at any size."""
        t5, c = self.architecture.t5, self.coefficients
        number = self.architecture.number_bytes
        feed_forward = c.t5_feed_forward_rows * self.prompt_tokens * t5.feed_forward * number
        rows = c.t5_rows * self.prompt_tokens * t5.width * number
        biases = c.t5_bias_copies * t5.heads * self.prompt_tokens**2 * number
        # Its activations reach too far for float8: it always upcasts.
        weight = c.upcast_copies * t5.width * t5.feed_forward * number
        return self._held(feed_forward + rows + biases + weight)

    def decoding(self, tile: int | None) -> int:
        """Whole, or in strips of `tile` × `tile` pixels: then one layer's input and output are held whole."""
        vae, c = self.architecture.vae, self.coefficients
        if tile is not None:
            strip = (c.decode_strip_copies + 2 * c.convolution_workspace) * vae.middle
            return self._vae(vae.middle + vae.narrow, strip, tile)
        # The last widening convolution, its input a quarter of its output; or the block after it.
        widening = 2.25 * vae.middle + c.convolution_workspace * 2 * vae.middle
        narrowing = 2 * vae.middle + vae.narrow + c.convolution_workspace * (vae.middle + vae.narrow)
        return self._vae(max(c.decode_copies * vae.middle, widening, narrowing))

    def encoding(self, tile: int | None) -> int:
        """Of a picture to begin from."""
        vae, c = self.architecture.vae, self.coefficients
        if tile is not None:
            return self._vae(2 * vae.narrow, (c.encode_strip_copies + 2 * c.convolution_workspace) * vae.narrow, tile)
        convolution = (3 + 2 * c.convolution_workspace) * vae.narrow
        return self._vae(max(c.encode_copies * vae.narrow, convolution))

    def seconds(self, speed: Speed, *, copied: int, copy_rate: float) -> float:
        """Of a step in which `copied` bytes come to the card while it computes."""
        model, c = self.architecture, self.coefficients
        blocks = model.joint_blocks + model.single_blocks
        weights = sum(model.transformer_blocks)
        matrix = speed.float8 if self.float8_matmul else speed.bf16
        modulation = 0 if model.modulation_apart else model.modulation_numbers
        upcast = modulation if self.float8_matmul else weights
        passes = c.elementwise_passes + (c.quantising_passes if self.float8_matmul else 0)
        traffic = passes * blocks * self.tokens * model.width * model.number_bytes + upcast * c.upcast_traffic
        computing = (
            model.linear_flop(self.tokens) / (matrix * c.matrix_share)
            + model.attention_flop(self.tokens) / (speed.bf16 * c.attention_share)
            + traffic / speed.memory
            + c.launching
        )
        copying = copied / copy_rate if copied else 0.0
        return max(computing, copying) + c.exposed * min(computing, copying)

    def seconds_without_card(self, cores: int, *, copied: int) -> float:
        """`copied` bytes come from the disk, before they are computed with."""
        flop = self.architecture.linear_flop(self.tokens) + self.architecture.attention_flop(self.tokens)
        return flop / (max(1, cores) * self.coefficients.core_rate) + copied / self.coefficients.disk_rate

    def _vae(self, channels: float, strip_channels: float = 0, tile: int = 0) -> int:
        area = self.width * self.height
        numbers = channels * area + strip_channels * min(tile * tile, area)
        return self._held(numbers * self.architecture.number_bytes)

    def _held(self, alive: float) -> int:
        return allocated(int(alive * (1 + self.coefficients.fragmentation))) + self.coefficients.standing
