from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from scipy.special import rel_entr
from scipy.stats import entropy

from pytest_distill import ModelError
from pytest_distill.engines import Captured, Distributional, TokenLikeness
from pytest_distill.engines.transformers import TransformersEngine
from pytest_distill.engines.transformers.likelihood import logits_at
from pytest_distill.engines.transformers.likeness import comparing as likeness
from pytest_distill.engines.transformers.likeness.comparing import compare
from pytest_distill.errors import EvaluationError
from pytest_distill.evals.requests import GoldText
from pytest_distill.evals.tasks.decoding import GenerationRequest
from pytest_distill.evals.tasks.perplexity import PerplexityRequest

from .tiny import CORPUS, TEXTS, Make, hf, one_each, saved

Floats = NDArray[np.float64]


@pytest.fixture(scope="module")
def teacher_folder(tmp_path_factory: pytest.TempPathFactory, tokenizer: Any) -> Path:
    """Return a random Llama with padded outputs, whose context is longer than the student's."""
    torch.manual_seed(7)
    config = hf.LlamaConfig(
        vocab_size=len(tokenizer) + 13,
        hidden_size=48,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=4,
        max_position_embeddings=128,
        tie_word_embeddings=False,
        bos_token_id=0,
        eos_token_id=1,
        pad_token_id=2,
        initializer_range=0.2,
    )
    folder = tmp_path_factory.mktemp("teacher")
    return saved(hf.LlamaForCausalLM(config), tokenizer, folder)


@pytest.fixture
def pair(
    engine: Make, causal_folder: Path, teacher_folder: Path
) -> tuple[TransformersEngine, TransformersEngine]:
    """Return the engines of student and teacher."""
    return engine(causal_folder), engine(teacher_folder)


def texts() -> list[GoldText]:
    """Return plain texts, a prompt with an answer, and a chat."""
    return [
        *(GoldText(PerplexityRequest(f"t{i}", text)) for i, text in enumerate(TEXTS)),
        GoldText(GenerationRequest("answer", "Question: what is the capital?"), " Paris"),
        GoldText(GenerationRequest("chat", "one, two", chat=True), "three, four"),
    ]


def whole(made: TransformersEngine, text: GoldText, size: int) -> Floats:
    """Return a model's distributions at the tokens of a text, from one plain pass in float64."""
    tokenizer, request = made.tokenizer, text.request
    if isinstance(request, PerplexityRequest):
        prompt, answer = [0], tokenizer(request.text)["input_ids"]
    elif isinstance(request, GenerationRequest) and request.chat:
        shown = f"<|user|>{request.prompt}\n<|assistant|>"
        prompt, answer = (tokenizer(part)["input_ids"] for part in (shown, text.target))
    else:
        assert isinstance(request, GenerationRequest)
        prompt = tokenizer(request.prompt)["input_ids"]
        answer = tokenizer(request.prompt + text.target)["input_ids"][len(prompt) :]
    model = made.model.double()
    with torch.no_grad():
        row = torch.tensor([[*prompt, *answer[:-1]]], device=model.device)
        logits = model(row).logits[0, len(prompt) - 1 :, :size]
    model.float()
    found: Floats = logits.softmax(-1).cpu().numpy()
    return found


def compared(
    student: TransformersEngine, teacher: Any, asked: Sequence[GoldText]
) -> dict[str, TokenLikeness]:
    """Return exactly one result a text, by id."""
    found = one_each(asked, student.token_likeness(teacher, asked))
    return {one.id: one for one in found}


def test_the_sums_are_those_of_the_whole_distributions(
    pair: tuple[TransformersEngine, TransformersEngine], tokenizer: Any
) -> None:
    """Agreement, KL(teacher || student) and TV equal scipy's on full float64 logits."""
    student, teacher = pair
    assert isinstance(student, Distributional)
    found = compared(student, teacher, texts())
    for text in texts():
        p, q = (whole(of, text, len(tokenizer)) for of in (teacher, student))
        one = found[text.id]
        assert one.tokens == len(p)
        assert one.mass == one.tokens
        assert one.agreed == (p.argmax(axis=1) == q.argmax(axis=1)).sum()
        assert one.divergence_low == one.divergence_high
        assert one.divergence_low == pytest.approx(entropy(p, q, axis=1).sum(), rel=1e-4)
        assert one.variation_low == one.variation_high
        assert one.variation_low == pytest.approx(np.abs(p - q).sum() / 2, rel=1e-4)


def test_models_that_are_alike_agree(engine: Make, causal_folder: Path) -> None:
    """A copy agrees everywhere, and neither diverges nor varies."""
    one, other = engine(causal_folder), engine(causal_folder)
    for found in compared(one, other, texts()).values():
        assert found.agreed == found.tokens
        assert (found.divergence_high, found.variation_high) == (0.0, 0.0)


def test_a_batch_does_not_matter(
    engine: Make, causal_folder: Path, teacher_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Alone, together, and in parts of three tokens at a time the sums are the same."""
    long = [GoldText(PerplexityRequest("long", CORPUS, window=40, stride=15)), *texts()]

    def found(**spec: Any) -> dict[str, TokenLikeness]:
        student, teacher = engine(causal_folder, **spec), engine(teacher_folder, **spec)
        return compared(student, teacher, long)

    together, alone = found(), found(batch_tokens=1)
    monkeypatch.setattr(likeness, "_LOGITS", 3 * 400)
    monkeypatch.setattr(likeness, "_CHUNK", 400)
    parts = found()
    for id, one in together.items():
        for other in (alone[id], parts[id]):
            assert (other.tokens, other.agreed) == (one.tokens, one.agreed)
            assert other.divergence_low == pytest.approx(one.divergence_low, rel=1e-4)
            assert other.variation_low == pytest.approx(one.variation_low, rel=1e-4)


def test_few_logits_live_at_once(
    pair: tuple[TransformersEngine, TransformersEngine], monkeypatch: pytest.MonkeyPatch
) -> None:
    """No pass asks for more positions than the bound has room for, however long the text."""
    asked: list[int] = []

    def counting(loaded: Any, inputs: Any, rows: Sequence[int], columns: Sequence[int]) -> Any:
        asked.append(len(rows))
        return logits_at(loaded, inputs, rows, columns)

    monkeypatch.setattr(likeness, "logits_at", counting)
    monkeypatch.setattr(likeness, "_LOGITS", 5 * 413)
    student, teacher = pair
    compared(student, teacher, [GoldText(PerplexityRequest("t", CORPUS)), *texts()])
    width = teacher.model.config.vocab_size
    assert max(asked) <= 5 * 413 // width


def test_padded_outputs_are_left_out_and_named(
    pair: tuple[TransformersEngine, TransformersEngine], tokenizer: Any
) -> None:
    """Outputs beyond the vocabulary take no part; the note says how many there are of each."""
    student, teacher = pair
    n = len(tokenizer)
    notes = {one.note for one in compared(student, teacher, texts()).values()}
    assert notes == {
        f"of {n} and {n + 13} outputs the {n} tokens of the vocabulary "
        "are compared; their probabilities are made to sum to 1"
    }


def test_equal_vocabularies_need_no_note(engine: Make, causal_folder: Path) -> None:
    """Where every output is a token there is nothing to say."""
    one, other = engine(causal_folder), engine(causal_folder)
    assert {found.note for found in compared(one, other, texts()).values()} == {""}


def retokenized(folder: Path, to: Path, change: Callable[[dict[str, Any]], None]) -> Path:
    """Return a copy of a checkpoint whose tokenizer's model was changed."""
    shutil.copytree(folder, to)
    path = to / "tokenizer.json"
    content = json.loads(path.read_text(encoding="utf-8"))
    change(content["model"])
    path.write_text(json.dumps(content), encoding="utf-8")
    return to


def test_moved_tokens_are_refused(
    engine: Make, causal_folder: Path, teacher_folder: Path, tmp_path: Path
) -> None:
    """Two letters that changed places: the message names the first, and both of its ids."""

    def swap(model: dict[str, Any]) -> None:
        words = model["vocab"]
        words["X"], words["Y"] = words["Y"], words["X"]

    moved = retokenized(teacher_folder, tmp_path / "moved", swap)
    with pytest.raises(ModelError, match=r"the vocabularies of .* differ \(token 'X' is \d+ there"):
        list(engine(causal_folder).token_likeness(engine(moved), texts()))


def test_a_token_that_is_another_one_is_refused(
    engine: Make, causal_folder: Path, teacher_folder: Path, tmp_path: Path
) -> None:
    """An id that means another token makes the distributions incomparable."""

    def rename(model: dict[str, Any]) -> None:
        model["vocab"]["Xx"] = model["vocab"].pop("X")

    other = retokenized(teacher_folder, tmp_path / "other", rename)
    with pytest.raises(ModelError, match=r"id \d+ is 'Xx' there and 'X' here"):
        list(engine(causal_folder).token_likeness(engine(other), texts()))


def test_tokens_of_one_model_alone_are_left_out(
    engine: Make, causal_folder: Path, teacher_folder: Path, tmp_path: Path
) -> None:
    """A special token that was added to the teacher takes no part, since the student has none."""
    added = tmp_path / "added"
    shutil.copytree(teacher_folder, added)
    more = hf.AutoTokenizer.from_pretrained(teacher_folder)
    more.add_special_tokens({"additional_special_tokens": ["<|tool|>"]})
    more.save_pretrained(added)
    plain, found = (
        compared(engine(causal_folder), engine(of), texts()) for of in (teacher_folder, added)
    )
    assert found == plain


def test_texts_that_are_split_differently_are_refused(
    engine: Make, causal_folder: Path, teacher_folder: Path, tmp_path: Path
) -> None:
    """The vocabularies agree and the merges do not: the message names example and token."""
    other = retokenized(teacher_folder, tmp_path / "other", lambda model: model.update(merges=[]))
    with pytest.raises(ModelError, match=r"example 't1': .* split it differently, from token \d+"):
        list(engine(causal_folder).token_likeness(engine(other), texts()))


def test_a_classifier_has_no_tokens_to_compare(
    engine: Make, causal_folder: Path, classifier_folder: Path
) -> None:
    """The error says what is needed."""
    with pytest.raises(ModelError, match="it must be a causal model"):
        list(engine(causal_folder).token_likeness(engine(classifier_folder), texts()))


def test_an_engine_of_another_kind_is_refused(engine: Make, causal_folder: Path) -> None:
    """It cannot read the same batch; the error says what to do instead."""
    with pytest.raises(ModelError, match="record the teacher's most likely tokens"):
        list(engine(causal_folder).token_likeness(object(), texts()))


def test_a_prompt_beyond_the_context_is_cut_or_refused(
    pair: tuple[TransformersEngine, TransformersEngine],
) -> None:
    """The shorter of both contexts counts; only the prompt is cut, and only where that is said."""
    student, teacher = pair
    long = GenerationRequest("p", CORPUS * 3)
    with pytest.raises(ModelError, match=r"example 'p': prompt and answer have \d+ tokens, but th"):
        list(student.token_likeness(teacher, [GoldText(long, " Paris")]))
    cut = GenerationRequest("p", CORPUS * 3, truncate="left")
    (found,) = student.token_likeness(teacher, [GoldText(cut, " Paris")])
    answer = student.tokenizer(" Paris")["input_ids"]
    assert found.tokens == len(answer)


def test_logits_that_are_no_numbers_are_an_error(
    engine: Make, causal_folder: Path, teacher_folder: Path
) -> None:
    """A broken model is not a student that agrees nowhere."""
    student, teacher = engine(causal_folder), engine(teacher_folder)
    with torch.no_grad():
        teacher.model.model.norm.weight.fill_(float("nan"))
    with pytest.raises(ModelError, match=r"example '.*': a model gives logits that are no numbers"):
        list(student.token_likeness(teacher, texts()))


def test_running_out_of_memory_halves_the_batch(
    pair: tuple[TransformersEngine, TransformersEngine], monkeypatch: pytest.MonkeyPatch
) -> None:
    """What did not fit is done again in smaller batches, with the same sums."""
    student, teacher = pair
    expected = compared(student, teacher, texts())
    failed: list[bool] = []

    def scarce(loaded: Any, inputs: Any, rows: Any, columns: Any) -> Any:
        if inputs["input_ids"].shape[0] > 1 and not failed:
            failed.append(True)
            raise torch.OutOfMemoryError("no memory")
        return logits_at(loaded, inputs, rows, columns)

    monkeypatch.setattr(likeness, "logits_at", scarce)
    found = compared(student, teacher, texts())
    assert failed
    for id, one in expected.items():
        assert found[id].divergence_low == pytest.approx(one.divergence_low, rel=1e-4)


def captured(
    made: TransformersEngine, text: GoldText, size: int, k: int, tokens: Sequence[int] = ()
) -> Captured:
    """Return the k most likely tokens of a model at each token of a text."""
    whole_ones = whole(made, text, size)
    top = np.argsort(-whole_ones, axis=1)[:, :k]
    logprobs = np.log(np.take_along_axis(whole_ones, top, axis=1))
    assert isinstance(text.request, PerplexityRequest)
    ids = tokens or made.tokenizer(text.request.text)["input_ids"]
    return Captured(f"teacher.jsonl:1 (id '{text.id}')", tuple(ids), top, logprobs)


@pytest.mark.parametrize("k", [1, 5, 50])
def test_a_captured_teacher_is_bounded(
    pair: tuple[TransformersEngine, TransformersEngine], tokenizer: Any, k: int
) -> None:
    """The whole comparison lies within the bounds, the agreement is the same, the mass is known."""
    student, teacher = pair
    chosen = [text for text in texts() if isinstance(text.request, PerplexityRequest)]
    expected = compared(student, teacher, chosen)
    rows = {text.id: captured(teacher, text, len(tokenizer), k) for text in chosen}
    found = compared(student, rows, chosen)
    for id, one in expected.items():
        bounded, slack = found[id], 1e-3
        assert (bounded.tokens, bounded.agreed) == (one.tokens, one.agreed)
        assert bounded.divergence_low <= one.divergence_low + slack
        assert bounded.divergence_high >= one.divergence_low - slack
        assert bounded.variation_low <= one.variation_low + slack
        assert bounded.variation_high >= one.variation_low - slack
        assert bounded.mass == pytest.approx(np.exp(rows[id].logprobs).sum())


def test_a_wholly_captured_teacher_is_exact(
    pair: tuple[TransformersEngine, TransformersEngine], tokenizer: Any
) -> None:
    """With every token captured both bounds are the number itself."""
    student, teacher = pair
    chosen = [GoldText(PerplexityRequest("t", "one, two, three"))]
    (expected,) = student.token_likeness(teacher, chosen)
    rows = {"t": captured(teacher, chosen[0], len(tokenizer), len(tokenizer))}
    (found,) = student.token_likeness(rows, chosen)
    for name in ("divergence", "variation"):
        for side in ("low", "high"):
            value = getattr(found, f"{name}_{side}")
            assert value == pytest.approx(getattr(expected, f"{name}_low"), rel=1e-3)


def test_positions_without_a_capture_are_not_compared(
    pair: tuple[TransformersEngine, TransformersEngine], tokenizer: Any
) -> None:
    """The first token of a dump, which nothing predicted, is left out of all sums."""
    student, teacher = pair
    text = GoldText(PerplexityRequest("t", "one, two, three"))
    row = captured(teacher, text, len(tokenizer), len(tokenizer))
    row.logprobs[0], row.top[0] = -np.inf, -1
    (found,) = student.token_likeness({"t": row}, [text])
    p, q = (whole(of, text, len(tokenizer))[1:] for of in (teacher, student))
    assert found.tokens == len(p)
    assert found.divergence_high == pytest.approx(rel_entr(p, q).sum(), rel=1e-3)


def test_another_tokenization_of_the_text_is_refused(
    pair: tuple[TransformersEngine, TransformersEngine], tokenizer: Any
) -> None:
    """The message names the file's line, the example and where they part."""
    student, teacher = pair
    text = GoldText(PerplexityRequest("t", "one, two"))
    ids = tokenizer("one, two")["input_ids"]
    row = captured(teacher, text, len(tokenizer), 2, [*ids[:-1], 5])
    with pytest.raises(EvaluationError) as error:
        list(student.token_likeness({"t": row}, [text]))
    assert "teacher.jsonl:1 (id 't'): 'tokens' has" in str(error.value)
    assert f"differs from token {len(ids) - 1} on" in str(error.value)


def test_a_captured_token_that_the_student_lacks_is_refused(
    pair: tuple[TransformersEngine, TransformersEngine], tokenizer: Any
) -> None:
    """An id beyond the vocabulary was captured with another tokenizer."""
    student, teacher = pair
    text = GoldText(PerplexityRequest("t", "one, two"))
    row = captured(teacher, text, len(tokenizer), 2)
    row.top[0, 1] = len(tokenizer)
    with pytest.raises(EvaluationError, match=f"top_tokens has {len(tokenizer)}, which is no tok"):
        list(student.token_likeness({"t": row}, [text]))


@pytest.mark.cuda
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device here")
@pytest.mark.parametrize("devices", [("cuda", "cuda"), ("cuda", "cpu"), ("cpu", "cuda")])
def test_models_may_sit_on_different_devices(
    engine: Make, causal_folder: Path, teacher_folder: Path, devices: tuple[str, str]
) -> None:
    """The sums are those of the CPU to rounding, for a captured teacher too."""
    here = compared(
        engine(causal_folder, device="cpu"), engine(teacher_folder, device="cpu"), texts()
    )
    student, teacher = (
        engine(folder, device=device)
        for folder, device in zip((causal_folder, teacher_folder), devices, strict=True)
    )
    for one in compared(student, teacher, texts()).values():
        assert one.tokens == here[one.id].tokens
        assert one.divergence_low == pytest.approx(here[one.id].divergence_low, rel=1e-3)
        assert one.variation_low == pytest.approx(here[one.id].variation_low, rel=1e-3)


def test_nothing_is_asked_of_models_without_texts(
    pair: tuple[TransformersEngine, TransformersEngine],
) -> None:
    """No text, no result."""
    student, teacher = pair
    assert list(compare(student._load(), teacher._load(), [])) == []
