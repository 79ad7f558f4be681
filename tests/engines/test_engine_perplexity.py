from __future__ import annotations

from pathlib import Path

import pytest
import torch

from pytest_distill import ModelError
from pytest_distill.engines.windows import windows
from pytest_distill.evals.tasks.perplexity import PerplexityRequest

from .tiny import CORPUS, Make, predicted


@pytest.mark.parametrize(("window", "stride"), [(8, 8), (8, 3), (8, 1), (50, 50), (49, 20), (5, 4)])
def test_windows_score_every_token_once_from_what_stands_before_it(
    window: int, stride: int
) -> None:
    """The scored tokens are the text, each predicted at the position just before it."""
    tokens = list(range(100, 149))
    scored: list[int] = []
    for row, span in windows(tokens, 7, window, stride):
        assert len(row) <= window
        following = [7, *tokens]
        for offset, target in enumerate(span.targets):
            assert following[following.index(row[span.start + offset]) + 1] == target
        scored.extend(span.targets)
    assert scored == tokens


def test_a_smaller_stride_gives_every_token_more_context() -> None:
    """After the first window each scored token has at least window - stride tokens before it."""
    rows = list(windows(list(range(40)), 0, 10, 4))[1:]
    assert len(rows) == 8  # 30 tokens, four at a time
    assert all(span.start + 1 >= 10 - 4 + 1 for _, span in rows)


def test_the_total_is_the_sum_over_the_text_after_the_first_token_is_predicted_from_bos(
    engine: Make, causal_folder: Path
) -> None:
    """A short text's log-likelihood equals one unbatched float64 pass over BOS and the text."""
    made = engine(causal_folder)
    requests = [PerplexityRequest("long", CORPUS[:150]), PerplexityRequest("short", "one, two")]
    for request, prediction in zip(requests, predicted(made, requests), strict=True):
        tokens = made.tokenizer(request.text)["input_ids"]
        with torch.no_grad():
            logits = (
                made.model(torch.tensor([[0, *tokens[:-1]]], device=made.model.device))
                .logits[0]
                .double()
                .cpu()
            )
        steps = logits.log_softmax(-1).gather(-1, torch.tensor(tokens).unsqueeze(-1))
        assert prediction.tokens == len(tokens)
        assert prediction.loglikelihoods == pytest.approx([float(steps.sum())], abs=1e-4)


def test_windows_of_several_texts_share_batches_and_keep_their_totals(
    engine: Make, causal_folder: Path
) -> None:
    """Long texts in many windows give the same totals whatever the batches."""
    requests = [
        PerplexityRequest(str(n), CORPUS * n, window=32, stride=stride)
        for n, stride in ((1, None), (2, 8), (3, 31))
    ]
    alone = predicted(engine(causal_folder, batch_tokens=1), requests)
    together = predicted(engine(causal_folder), requests)
    for one, other in zip(alone, together, strict=True):
        assert one.tokens == other.tokens
        assert one.loglikelihoods == pytest.approx(other.loglikelihoods, abs=1e-3)


def test_an_empty_text_has_no_tokens(engine: Make, causal_folder: Path) -> None:
    """Nothing was scored: zero tokens, which the evaluator refuses."""
    (prediction,) = predicted(engine(causal_folder), [PerplexityRequest("nil", "")])
    assert (prediction.tokens, prediction.loglikelihoods) == (0, (0.0,))


@pytest.mark.parametrize(
    ("window", "stride", "message"),
    [
        (97, None, "example 'p': a window of 97 tokens is longer than the model's context of 96"),
        (10, 11, "example 'p': a stride of 11 doesn't fit a window of 10"),
        (10, -1, "example 'p': a stride of -1 doesn't fit"),
    ],
)
def test_windows_that_do_not_fit_are_errors(
    engine: Make, causal_folder: Path, window: int, stride: int | None, message: str
) -> None:
    """A window beyond the context, or a stride beyond the window, is refused."""
    request = PerplexityRequest("p", "one, two", window=window, stride=stride)
    with pytest.raises(ModelError, match=message):
        list(engine(causal_folder).predict([request]))
