from __future__ import annotations

import inspect
import itertools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from pytest_distill.engines.transformers.batching import fill
from pytest_distill.engines.transformers.fast.tree_choices import plan
from pytest_distill.engines.transformers.fast.trees import Part, by_prefix, trees_of
from pytest_distill.engines.transformers.scoring import score_in_rows
from pytest_distill.engines.windows import Span
from pytest_distill.evals.tasks.multiple_choice import ChoiceRequest

from .tiny import CORPUS, Make, hf, predicted, saved

SHOTS = "Question: what gets the worm?\nAnswer: the early bird\n\n" * 12
REQUESTS = [
    ChoiceRequest(
        f"q{n}", f"Question: {CORPUS[n : n + 20]}?\nAnswer:", (" Paris", " six foxes", " a", " a b")
    )
    for n in range(0, 60, 5)
]


def _part(row: tuple[int, ...], start: int, choice: int = 0, request: int = 0) -> Part:
    return Part(request, choice, row, Span(start, (7,) * (len(row) - start)))


def _counted(engine: Any) -> list[tuple[int, ...]]:
    """Return a list that fills with the shapes of what the model reads."""
    shapes: list[tuple[int, ...]] = []
    engine.model.get_input_embeddings().register_forward_hook(
        lambda _module, inputs, _output: shapes.append(tuple(inputs[0].shape))
    )
    return shapes


def _answers(engine: Any, requests: list[ChoiceRequest]) -> dict[str, Any]:
    return {prediction.id: prediction.loglikelihoods for prediction in predicted(engine, requests)}


def _plain(engine: Any, requests: list[ChoiceRequest]) -> dict[str, Any]:
    findings = engine._load().findings
    before, findings.largest_tree = findings.largest_tree, 0
    try:
        return _answers(engine, requests)
    finally:
        findings.largest_tree = before


def test_a_tree_holds_what_its_rows_share_once() -> None:
    """Trunk and branch together are each row again; equal rows are one branch."""
    rows = [(1, 2, 3), (1, 2, 4, 5), (1, 2), (1, 2, 3)]
    parts = [_part(row, 1, choice) for choice, row in enumerate(rows)]
    (tree,) = trees_of(parts, 100)
    assert (tree.trunk, tree.branches, tree.size) == ((1, 2), ((3,), (4, 5), ()), 5)
    assert all(tree.trunk + tree.branches[branch] == part.row for part, branch in tree.leaves)
    assert [part.choice for part, _ in tree.leaves] == [0, 3, 1, 2]


def test_a_wide_tree_is_parted() -> None:
    """Many choices are several trees with the same trunk, none beyond the limit."""
    parts = [_part((1, 2, 3, choice, 9), 2, choice) for choice in range(20)]
    trees = list(trees_of(parts, 12))
    assert all(tree.size <= 12 and tree.trunk == (1, 2, 3) for tree in trees)
    assert sorted(part.choice for tree in trees for part, _ in tree.leaves) == list(range(20))


def test_prefixes_are_shared_by_group_and_stop_before_what_is_scored() -> None:
    """Two headers make two groups; a lone example is in neither; scored positions stay out."""
    header, other = tuple(range(50)), tuple(range(100, 150))
    rows = [(*begin, n) for n, begin in enumerate([header] * 10 + [other] * 10)]
    rows.append((7, 8, 9))
    trees = [
        tree
        for request, row in enumerate(rows)
        for tree in trees_of([_part(row, len(row) - 3, 0, request)], 100)
    ]
    made = by_prefix(trees, 256)
    assert [(len(grove.prefix), len(grove.trees)) for grove in made] == [(48, 10), (48, 10), (0, 1)]


def test_rows_are_filled_and_batches_of_trees_fit_the_budget() -> None:
    """Every tree is in one batch, and the rows of a batch together within the budget."""
    assert list(fill([5, 4, 4, 20, 1], 9)) == [[0, 1], [2], [3], [4]]
    sizes = [n * 37 % 90 + 1 for n in range(300)]
    batches = list(plan(sizes, 2048))
    assert sorted(itertools.chain(*batches)) == list(range(300))
    for batch in batches:
        assert 512 * len(list(fill([sizes[index] for index in batch], 512))) <= 2048
    assert list(plan([700, 3], 256)) == [[0], [1]]


@pytest.mark.parametrize("batch_tokens", [60, 512, 2048])
@pytest.mark.parametrize("shots", ["", SHOTS])
def test_trees_give_the_loglikelihoods_of_rows(
    engine: Make, causal_folder: Path, changed: Any, batch_tokens: int, shots: str
) -> None:
    """With and without a shared prefix, in one row and in several, the plain path's numbers."""
    folder = changed(causal_folder, max_position_embeddings=1000)
    requests = [ChoiceRequest(r.id, shots + r.context, r.continuations) for r in REQUESTS]
    made = engine(folder, batch_tokens=batch_tokens)
    got = _answers(made, requests)
    checked = made._load().findings.trees
    assert checked
    assert any(checked) or not shots
    assert made.notes == []
    for id, expected in _plain(made, requests).items():
        assert got[id] == pytest.approx(expected, abs=1e-4)


def test_context_and_shared_prefix_are_read_once(
    engine: Make, causal_folder: Path, changed: Any
) -> None:
    """After the check, twelve shots and twelve examples cost one header and twelve small trees."""
    made = engine(changed(causal_folder, max_position_embeddings=1000), batch_tokens=4096)
    requests = [ChoiceRequest(r.id, SHOTS + r.context, r.continuations) for r in REQUESTS]
    _answers(made, requests)
    shapes = _counted(made)
    _answers(made, requests)
    header = len(made.tokenizer(SHOTS + "Question:")["input_ids"])
    assert shapes[0][0] == 1
    assert header - 2 <= shapes[0][1] <= header + 2
    read = sum(rows * tokens for rows, tokens in shapes[1:])
    whole = sum(len(made.tokenizer(SHOTS + r.context)["input_ids"]) for r in requests)
    assert read < whole  # of four choices each, header and all


def test_where_choices_change_the_context_s_last_token_all_is_as_before(
    engine: Make, causal_folder: Path
) -> None:
    """Tokens that reach across the seam differ between choices: the branch begins before it."""
    made = engine(causal_folder)
    requests = [
        ChoiceRequest(str(n), context, continuations)
        for n, (context, continuations) in enumerate(
            [
                ("one, t", ("wo, three", "hree, nine", " one, two")),
                ("the wor", ("m, and", "k, and", "d, two")),
                ("fo", ("ur, five", "xes jump")),
            ]
        )
    ]
    got = _answers(made, requests)
    for id, expected in _plain(made, requests).items():
        assert got[id] == pytest.approx(expected, abs=1e-4)


GPT2 = {"n_embd": 32, "n_layer": 2, "n_head": 4, "n_positions": 200}
SMALL = {
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 200,
}


@pytest.mark.parametrize(
    ("name", "config", "reason"),
    [
        ("GPT2LMHeadModel", lambda n: hf.GPT2Config(vocab_size=n, **GPT2), None),
        ("Qwen2ForCausalLM", lambda n: hf.Qwen2Config(vocab_size=n, **SMALL), None),
        (
            "Gemma3ForCausalLM",
            lambda n: hf.Gemma3TextConfig(vocab_size=n, head_dim=8, **SMALL),
            None,
        ),
        (
            "MistralForCausalLM",
            lambda n: hf.MistralConfig(vocab_size=n, sliding_window=16, **SMALL),
            "scores choices of more than 16 tokens in a row of their own, which is slower: some of",
        ),
        (
            "BloomForCausalLM",
            lambda n: hf.BloomConfig(vocab_size=n, hidden_size=32, n_layer=2, n_head=4),
            "scores every choice in a row of its own, which is slower: it takes no tree of tokens",
        ),
        (
            "MambaForCausalLM",
            lambda n: hf.MambaConfig(vocab_size=n, hidden_size=32, num_hidden_layers=2),
            "scores every choice in a row of its own, which is slower: it takes no tree of tokens",
        ),
    ],
)
def test_architectures_take_trees_or_say_why_not(
    engine: Make,
    tokenizer: Any,
    tmp_path: Path,
    name: str,
    config: Callable[[int], Any],
    reason: str | None,
) -> None:
    """Models with positions and full attention take trees; others fall back, with a note."""
    torch.manual_seed(5)
    model = getattr(hf, name)(config(len(tokenizer)))
    made = engine(saved(model, tokenizer, tmp_path))
    got = _answers(made, REQUESTS)
    assert set(got) == {request.id for request in REQUESTS}
    if reason is None:
        assert made.notes == []
    else:
        (note,) = made.notes
        assert f"({name}) {reason}" in note
    for id, expected in _plain(made, REQUESTS).items():
        assert got[id] == pytest.approx(expected, abs=1e-4)


@pytest.mark.parametrize("broken", ["attention_mask", "position_ids", "cache"])
def test_a_model_that_ignores_what_trees_need_is_found_out_on_its_first_batch(
    engine: Make, causal_folder: Path, changed: Any, monkeypatch: pytest.MonkeyPatch, broken: str
) -> None:
    """The answers are those of rows, none is missing or comes twice, and a note says so.

    A deaf cache spoils what goes on from a shared prefix only: trees are still taken.
    """
    made = engine(changed(causal_folder, max_position_embeddings=1000))
    requests = [ChoiceRequest(r.id, SHOTS + r.context, r.continuations) for r in REQUESTS]
    expected = _plain(made, requests)
    inner = made.model.model
    forward = inner.forward
    taken = inspect.signature(forward).parameters
    cache = broken == "cache"
    if broken not in taken:  # its name before transformers 5.24
        broken = "past_key_values"

    def deaf(*args: Any, **keywords: Any) -> Any:
        keywords[broken] = None
        return forward(*args, **keywords)

    monkeypatch.setattr(inner, "forward", deaf)
    got = predicted(made, requests)
    for prediction in got:
        assert prediction.loglikelihoods == pytest.approx(expected[prediction.id], abs=1e-4)
    (note,) = made.notes
    assert ("in a row of their own" in note) is (not cache)
    assert ("reads what questions begin with anew" in note) is cache
    predicted(made, requests)
    assert made.notes == [note]


@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
def test_half_precision_takes_trees(engine: Make, causal_folder: Path, dtype: str) -> None:
    """Rounding alone does not make a model fall back."""
    made = engine(causal_folder, dtype=dtype)
    got = _answers(made, REQUESTS)
    assert made.notes == []
    for id, expected in _plain(made, REQUESTS).items():
        assert got[id] == pytest.approx(expected, abs=1.0)


def test_parts_in_rows_are_those_in_trees(engine: Make, causal_folder: Path) -> None:
    """The plain path yields every part once, equal rows included."""
    loaded = engine(causal_folder)._load()
    parts = [_part((0, 5, 6), 1, 0), _part((0, 5, 6), 1, 1), _part((0, 5), 1, 2)]
    assert sorted(part.choice for part, _ in score_in_rows(loaded, parts)) == [0, 1, 2]
