"""Makes the demo model's two tokenizers, in the formats of CLIP and T5, from the words of captions.

Run: python -m tools.demo_model.make_tokenizers --out FOLDER. Must not know: models or pictures.
"""

import argparse
import random
import string
from pathlib import Path

from tokenizers import Tokenizer, models, pre_tokenizers, trainers
from transformers import CLIPTokenizer, T5TokenizerFast

from tools.demo_model.captions import all_words, caption
from tools.demo_model.scenes import random_scene

VOCABULARY = 2048
CLIP_TOKENS = 77
CHINESE_SHARE = 0.3
SPACE = "▁"
PUNCTUATION = "，。、；：！？“”（）"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--captions", type=int, default=60_000)
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    texts = some_captions(arguments.captions, arguments.seed)
    make_clip_tokenizer(texts).save_pretrained(arguments.out / "tokenizer")
    make_t5_tokenizer().save_pretrained(arguments.out / "tokenizer_2")


def some_captions(count: int, seed: int) -> list[str]:
    rng = random.Random(seed)
    return [
        caption(random_scene(rng), rng, language="zh" if rng.random() < CHINESE_SHARE else "en").text.lower()
        for _ in range(count)
    ]


def make_clip_tokenizer(texts: list[str]) -> CLIPTokenizer:
    """Byte-level BPE as CLIP's. The end token has the highest id: the text encoder finds the end by it."""
    pattern = CLIPTokenizer().backend_tokenizer
    learner = Tokenizer(models.BPE(end_of_word_suffix="</w>", unk_token="<|endoftext|>"))
    learner.normalizer = pattern.normalizer
    learner.pre_tokenizer = pattern.pre_tokenizer
    trainer = trainers.BpeTrainer(
        vocab_size=VOCABULARY - 2 - 256,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        end_of_word_suffix="</w>",
        show_progress=False,
    )
    learner.train_from_iterator(texts, trainer)
    vocabulary = learner.get_vocab()
    for letter in sorted(pre_tokenizers.ByteLevel.alphabet()):
        vocabulary.setdefault(letter + "</w>", len(vocabulary))
    merges = _merges_of(learner)
    # The learner numbers the letters differently each time; in their own order they are the same again.
    pieces = sorted(vocabulary, key=lambda piece: (len(piece.removesuffix("</w>")) > 1, vocabulary[piece]))
    letters = sorted(piece for piece in pieces if len(piece.removesuffix("</w>")) == 1)
    kept = {token: place for place, token in enumerate(letters + pieces[len(letters) :])}
    kept["<|startoftext|>"] = len(kept)
    kept["<|endoftext|>"] = len(kept)
    return CLIPTokenizer(vocab=kept, merges=merges, model_max_length=CLIP_TOKENS)


def make_t5_tokenizer() -> T5TokenizerFast:
    """Unigram as T5's: each word that a caption may use is one piece, in small, title and capital letters.

    Letters stand alone too, so that no English word is unknown.
    """
    words = all_words()
    scores: dict[str, float] = {"<pad>": 0.0, "</s>": 0.0, "<unk>": 0.0, SPACE: -2.0}
    for word in words["en"]:
        for form in (word, word.capitalize(), word.upper()):
            scores.setdefault(SPACE + form, -4.0)
    for word in words["zh"]:
        scores.setdefault(word, -4.0)
    for letter in string.ascii_letters:
        scores.setdefault(letter, -12.0)
        scores.setdefault(SPACE + letter, -12.0)
    for letter in sorted({*string.digits, *string.punctuation, *PUNCTUATION, *"".join(words["zh"])}):
        scores.setdefault(letter, -12.0)
    if len(scores) > VOCABULARY:
        raise ValueError(f"{len(scores)} pieces are more than the {VOCABULARY} that the text encoder knows")
    return T5TokenizerFast(vocab=list(scores.items()), extra_ids=0)


def small_letters(tokenizer: T5TokenizerFast) -> list[int]:
    """For each piece, the piece that says the same in small letters. The model is trained on those alone."""
    vocabulary = tokenizer.get_vocab()
    same = list(range(VOCABULARY))
    for piece, number in vocabulary.items():
        same[number] = vocabulary.get(piece.lower(), number)
    return same


def models_state(tokenizer: Tokenizer) -> dict[str, list[tuple[str, float]]]:
    import json

    state: dict[str, list[tuple[str, float]]] = json.loads(tokenizer.to_str())["model"]
    return state


def _merges_of(tokenizer: Tokenizer) -> list[tuple[str, str]]:
    return [(left, right) for left, right in models_state(tokenizer)["merges"]]  # type: ignore[misc]


if __name__ == "__main__":
    main()
