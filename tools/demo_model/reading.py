"""What a caption says, read off the text encoders' output: the lesson by which they learn to read.

The readers are thrown away after training. Must not know: pictures, or the transformer.
"""

from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from darkroom.engine.demo import CLIP_WIDTH, T5_WIDTH
from tools.demo_model.captions import Caption
from tools.demo_model.judge import MOST_IN_GROUP
from tools.demo_model.scenes import COLOURS, KINDS, PLACES, SIZES, TERRAINS, TIMES, WEATHERS, Scene

NOTHING_ASKED = -100  # what cross entropy passes over
UNSAID = 0
WHOLE = {"time": len(TIMES), "weather": len(WEATHERS), "terrain": len(TERRAINS)}
OF_A_KIND = {
    "present": 2,
    "colour": 1 + len(COLOURS),
    "size": 1 + len(SIZES),
    "count": MOST_IN_GROUP,
    "place": 1 + len(PLACES),
}


class Said(NamedTuple):
    """`whole` is (batch, 3): time, weather, terrain, each 0 for unsaid. `of_a_kind` is (batch, kinds, 5).

    The columns are OF_A_KIND's, −100 where the kind is not in the caption. Int64.
    """

    whole: Tensor
    of_a_kind: Tensor


def said_by(scenes: list[Scene], captions: list[Caption]) -> Said:
    whole = torch.zeros(len(scenes), len(WHOLE), dtype=torch.long)
    of_a_kind = torch.full((len(scenes), len(KINDS), len(OF_A_KIND)), NOTHING_ASKED)
    of_a_kind[:, :, 0] = 0
    for row, (scene, one) in enumerate(zip(scenes, captions, strict=True)):
        words = ((TIMES, scene.time), (WEATHERS, scene.weather), (TERRAINS, scene.terrain))
        for column, (name, (names, word)) in enumerate(zip(WHOLE, words, strict=True)):
            if name in one.mentioned:
                whole[row, column] = 1 + names.index(word)
        for number, subject in enumerate(scene.subjects):
            if f"kind:{number}" not in one.mentioned:
                continue
            told = (
                1,
                1 + COLOURS.index(subject.colour) if f"colour:{number}" in one.mentioned else UNSAID,
                1 + SIZES.index(subject.size) if f"size:{number}" in one.mentioned else UNSAID,
                subject.count - 1,
                1 + PLACES.index(subject.place) if f"place:{number}" in one.mentioned else UNSAID,
            )
            of_a_kind[row, KINDS.index(subject.kind)] = torch.tensor(told)
    return Said(whole=whole, of_a_kind=of_a_kind)


@dataclass(frozen=True, kw_only=True)
class Read:
    """Scores of a reader: by name, (batch, classes) for WHOLE and (batch, kinds, classes) for OF_A_KIND."""

    whole: dict[str, Tensor]
    of_a_kind: dict[str, Tensor]


class PromptReader(nn.Module):
    """Asks the prompt (batch, tokens, 256) one question for each kind of thing, and one about the whole."""

    def __init__(self) -> None:
        super().__init__()
        self.questions = nn.Parameter(torch.randn(1 + len(KINDS), T5_WIDTH) * 0.5)
        self.attention = nn.MultiheadAttention(T5_WIDTH, 4, batch_first=True)
        self.hidden = nn.Sequential(nn.LayerNorm(T5_WIDTH), nn.Linear(T5_WIDTH, T5_WIDTH), nn.SiLU())
        self.whole = nn.ModuleDict({name: nn.Linear(T5_WIDTH, 1 + count) for name, count in WHOLE.items()})
        self.of_a_kind = nn.ModuleDict({name: nn.Linear(T5_WIDTH, count) for name, count in OF_A_KIND.items()})

    def forward(self, prompt: Tensor) -> Read:
        questions = self.questions.expand(len(prompt), -1, -1)
        found = self.hidden(self.attention(questions, prompt, prompt, need_weights=False)[0])
        return Read(
            whole={name: layer(found[:, 0]) for name, layer in self.whole.items()},
            of_a_kind={name: layer(found[:, 1:]) for name, layer in self.of_a_kind.items()},
        )


class PooledReader(nn.Module):
    """Reads the pooled prompt (batch, 128): the whole, and which kinds there are."""

    def __init__(self) -> None:
        super().__init__()
        self.whole = nn.ModuleDict({name: nn.Linear(CLIP_WIDTH, 1 + count) for name, count in WHOLE.items()})
        self.present = nn.Linear(CLIP_WIDTH, 2 * len(KINDS))

    def forward(self, pooled: Tensor) -> Read:
        present = self.present(pooled).unflatten(-1, (len(KINDS), 2))
        return Read(whole={name: layer(pooled) for name, layer in self.whole.items()}, of_a_kind={"present": present})


def reading_loss(read: Read, said: Said) -> Tensor:
    """The mean cross entropy of all answers."""
    losses = [functional.cross_entropy(scores.float(), truth) for scores, truth in _answers(read, said).values()]
    return torch.stack(losses).mean()


@torch.no_grad()
def read_right(read: Read, said: Said) -> dict[str, float]:
    """Share of right answers by name, of those asked for."""
    result = {}
    for name, (scores, truth) in _answers(read, said).items():
        asked = truth != NOTHING_ASKED
        result[name] = float((scores.argmax(-1) == truth)[asked].float().mean())
    return result


def _answers(read: Read, said: Said) -> dict[str, tuple[Tensor, Tensor]]:
    answers = {name: (read.whole[name], said.whole[:, column]) for column, name in enumerate(WHOLE)}
    for column, name in enumerate(OF_A_KIND):
        if name in read.of_a_kind:
            scores = read.of_a_kind[name]
            answers[name] = (scores.flatten(0, 1), said.of_a_kind[:, :, column].flatten())
    return answers
