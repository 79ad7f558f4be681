"""Why a generated text ended, in every way to generate."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from tokenizers import Tokenizer, decoders, models

from pytest_distill.evals.tasks.decoding import Decoding, GenerationRequest

from .scripted import scripted
from .tiny import SPECIAL_TOKENS, Make, hf, predicted

KINDS = ["causal", "sliding", "recurrent", "seq2seq"]
WAYS = [*((kind, None) for kind in KINDS), ("causal", "generate"), ("causal", "recompute")]


def tokens_of(tokenizer: Any, *texts: str) -> list[int]:
    """Return the one token of each text."""
    ids = [tokenizer(text, add_special_tokens=False)["input_ids"] for text in texts]
    assert all(len(own) == 1 for own in ids), texts
    return [own[0] for own in ids]


@pytest.fixture(params=WAYS, ids=lambda way: "-".join(filter(None, way)))
def writer(request: pytest.FixtureRequest, engine: Make, tokenizer: Any, tmp_path: Path) -> Any:
    """Return an engine that writes ``abcdef`` after ``>``, then ends; for each way to generate."""
    kind, way = request.param
    tokens = [*tokens_of(tokenizer, *">abcdef"), tokenizer.eos_token_id]
    made = engine(scripted(tokenizer, tmp_path, tokens, kind))
    if way is not None:
        made._load().findings.way = way
    return made


def _written(made: Any, most: int, *stop: str) -> tuple[str | None, str | None, int | None]:
    decoding = Decoding(max_new_tokens=most, stop=stop)
    (got,) = predicted(made, [GenerationRequest("1", ">", decoding=decoding)])
    return got.text, got.finish, got.tokens


@pytest.mark.parametrize(
    ("most", "stop", "expected"),
    [
        (9, (), ("abcdef", "end", 7)),
        (7, (), ("abcdef", "end", 7)),  # the last token that was allowed is an end token
        (6, (), ("abcdef", "length", 6)),
        (1, (), ("a", "length", 1)),
        (9, ("d",), ("abc", "stop", 4)),
        (4, ("d",), ("abc", "stop", 4)),  # the last token that was allowed makes a stop string
        (4, ("cd", "bcd"), ("a", "stop", 4)),
        (3, ("cd",), ("abc", "length", 3)),  # half of it
        (9, ("x",), ("abcdef", "end", 7)),
        (9, ("</s>",), ("abcdef", "end", 7)),  # how the end token is written
        (9, ("f</s>",), ("abcdef", "end", 7)),
    ],
)
def test_a_text_says_why_it_ended(
    writer: Any, most: int, stop: tuple[str, ...], expected: tuple[str, str, int]
) -> None:
    """An end token, a stop string, or else the greatest length; all generated tokens count."""
    assert _written(writer, most, *stop) == expected


def test_texts_of_one_batch_end_each_for_its_own_reason(
    engine: Make, tokenizer: Any, tmp_path: Path
) -> None:
    """Whatever the others do, and whichever of them are still going on."""
    tokens = [*tokens_of(tokenizer, *"abcdef"), tokenizer.eos_token_id]
    made = engine(scripted(tokenizer, tmp_path, tokens))
    decoding = Decoding(max_new_tokens=3, stop=("d",))
    asked = [GenerationRequest(text, text, decoding=decoding) for text in "abcdef"]
    for way in ("loop", "generate", "recompute"):
        made._load().findings.way = way
        got = {one.id: (one.text, one.finish, one.tokens) for one in predicted(made, asked)}
        assert got == {
            "a": ("bc", "stop", 3),
            "b": ("c", "stop", 2),
            "c": ("", "stop", 1),
            "d": ("ef", "end", 3),
            "e": ("f", "end", 2),
            "f": ("", "end", 1),
        }


@pytest.mark.parametrize(("kind", "way"), WAYS)
def test_a_stop_string_stands_in_the_whole_text(
    engine: Make, tmp_path: Path, kind: str, way: Any
) -> None:
    """And not only in its end alone, where a piece of a word is written with its mark."""
    letters = "abcdefghijklmno"
    words = ["<s>", "</s>", "<pad>", ">", *letters, *(f"##{letter}" for letter in letters)]
    inner = Tokenizer(models.WordPiece({w: at for at, w in enumerate(words)}))
    inner.decoder = decoders.WordPiece()
    tokenizer = hf.PreTrainedTokenizerFast(tokenizer_object=inner, **SPECIAL_TOKENS)
    script = [tokenizer.convert_tokens_to_ids(w) for w in (">", "a", *words[-14:], "</s>")]
    made = engine(scripted(tokenizer, tmp_path, script, kind))
    if way is not None:
        made._load().findings.way = way
    assert _written(made, 30, "#") == (letters, "end", 16)
    assert _written(made, 30, "lm", "#") == ("abcdefghijk", "stop", 13)


def test_a_special_token_in_a_stop_string_stops(
    engine: Make, tokenizer: Any, tmp_path: Path
) -> None:
    """Though special tokens are dropped from the text; and one that parts a stop string does not.

    What is then left of the text has the stop string in it, and is cut there.
    """
    a, b, c = tokens_of(tokenizer, *"abc")
    start = tokenizer.bos_token_id
    made = engine(scripted(tokenizer, tmp_path, [a, b, start, c, tokenizer.eos_token_id]))

    def written(*stop: str) -> tuple[str | None, str | None, int | None]:
        decoding = Decoding(max_new_tokens=9, stop=stop)
        (got,) = predicted(made, [GenerationRequest("1", "a", decoding=decoding)])
        return got.text, got.finish, got.tokens

    assert written("<s>") == ("b", "stop", 2)
    assert written() == ("bc", "end", 4)
    assert written("bc") == ("", "stop", 4)
