"""How alike two causal models are on the tokens of gold texts, without keeping a distribution."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence, Set
from dataclasses import dataclass

import numpy as np
import torch

from pytest_distill.engines import Captured, TokenLikeness
from pytest_distill.engines.transformers.batching import begin_alike, fill, pad
from pytest_distill.engines.transformers.failures import quiet
from pytest_distill.engines.transformers.likelihood import differ, logits_at
from pytest_distill.engines.transformers.likeness import vocabulary
from pytest_distill.engines.transformers.likeness.reading import Row, compared, read
from pytest_distill.engines.transformers.likeness.reducing import (
    CapturedTokens,
    Figures,
    Reduction,
    WholeDistributions,
)
from pytest_distill.engines.transformers.loaded import Budget, Loaded, Neighbours
from pytest_distill.engines.transformers.neighbours import in_company, unlike_alone
from pytest_distill.errors import EvaluationError, ModelError
from pytest_distill.evals.requests import GoldText

# Both bound floats of positions x vocabulary: the logits of one pass of each model, in its own
# type; and what becomes float32 at a time, of which some eight live at once.
_LOGITS = 2**26
_CHUNK = 2**22
_SCALE = 4  # times as many on a GPU, which has no cache to stay in and wants fewer, longer calls

Places = Sequence[tuple[int, int]]
"""Of every position the text, and the number of the token that is predicted there."""


@dataclass(frozen=True, slots=True)
class _Part:
    """A part of a text that fits into one pass: what is read, and where tokens are predicted."""

    text: int
    row: list[int]
    start: int
    first: int

    @property
    def places(self) -> int:
        return len(self.row) - self.start

    @property
    def numbered(self) -> Iterator[tuple[int, int]]:
        """Its text and the number of each token, see `Places`."""
        return ((self.text, self.first + offset) for offset in range(self.places))


def compare(student: Loaded, teacher: Loaded, texts: Sequence[GoldText]) -> Iterator[TokenLikeness]:
    """Yield how alike two models are on every text.

    Both read the same rows of the same batches, each on its own device. What is kept of a pass is
    seven numbers a token.

    Raises
    ------
    ModelError
        Where the two do not see the same token ids, or a text does not fit.
    """
    shared = vocabulary.shared_vocabulary(student, teacher)
    models = [student, teacher]
    with quiet():
        rows, theirs = (read(loaded, texts, models) for loaded in models)
    for text, mine, other in zip(texts, rows, theirs, strict=True):
        for (a, _), (b, _) in zip(mine, other, strict=False):
            vocabulary.refuse_unlike_rows(text.id, (student, a), (teacher, b))
        vocabulary.refuse_unlike_rows(
            text.id, (student, compared(mine)), (teacher, compared(other))
        )
    over = _compared_tokens(shared, models, texts, rows)
    note = shared.note(vocabulary.widths(models))
    yield from _in_parts(models, texts, rows, over, lambda _places: WholeDistributions(), note)


def compare_captured(
    student: Loaded, recorded: Mapping[str, Captured], texts: Sequence[GoldText]
) -> Iterator[TokenLikeness]:
    """Yield bounds of how alike a model is to a teacher whose most likely tokens were recorded.

    Raises
    ------
    EvaluationError
        Where the recorded tokens are not those that the student's tokenizer makes of a text.
    """
    own = vocabulary.own_vocabulary(student)
    with quiet():
        rows = read(student, texts, [student])
    found = [recorded[text.id] for text in texts]
    over = _compared_tokens(own, [student], texts, rows)
    column = np.full(max(over, default=0) + 2, -1)  # its last one is that of token -1
    column[list(over)] = np.arange(len(over))
    known = set(over)
    for of, row in zip(found, rows, strict=True):
        _refuse_unlike_capture(student, of, compared(row), known)
    widest = max((one.top.shape[1] for one in found), default=0)

    def reduction(places: Places) -> CapturedTokens:
        top = np.full((len(places), widest), -1)
        logprobs = np.full((len(places), widest), -np.inf)
        for line, (text, number) in enumerate(places):
            tokens = found[text].top[number]
            top[line, : len(tokens)] = column[tokens]
            logprobs[line, : len(tokens)] = found[text].logprobs[number]
        return CapturedTokens(top, logprobs)

    note = own.note(vocabulary.widths([student]))
    yield from _in_parts([student], texts, rows, over, reduction, note)


def _compared_tokens(
    known: vocabulary.Vocabulary,
    models: Sequence[Loaded],
    texts: Sequence[GoldText],
    rows: Sequence[Row],
) -> tuple[int, ...]:
    """Return the tokens that the distributions are over; ModelError where a text has others."""
    over = known.scored_by(vocabulary.widths(models))
    ids = set(over)
    for text, row in zip(texts, rows, strict=True):
        odd = next((token for token in compared(row) if token not in ids), None)
        if odd is not None:
            raise ModelError(
                f"example '{text.id}': token {odd} is not in the vocabulary of "
                f"{known.names}, so that no probability of it can be compared"
            )
    return over


def _in_parts(
    models: Sequence[Loaded],
    texts: Sequence[GoldText],
    rows: Sequence[Row],
    over: Sequence[int],
    reduction: Callable[[Places], Reduction],
    note: str,
) -> Iterator[TokenLikeness]:
    """Yield each text's sums as soon as its last part is done."""
    scale = 1 if models[0].device.type == "cpu" else _SCALE
    most = max(1, scale * _LOGITS // max(vocabulary.widths(models)))
    step = max(1, scale * _CHUNK // len(over)) if over else 1
    columns = vocabulary.columns(over)
    parts = [part for index, row in enumerate(rows) for part in _parts(index, row, most)]
    due = np.bincount([part.text for part in parts], minlength=len(texts))
    totals = np.zeros((len(texts), 7))
    for index in np.flatnonzero(due == 0).tolist():
        yield _told(texts[index], totals[index], note)

    def forward(batch: list[int]) -> list[Figures]:
        own = [parts[index] for index in batch]
        reduce = reduction([place for part in own for place in part.numbered])
        numbers, begin = [], 0
        for group in fill((part.places for part in own), most):
            logits = _logits(models, [own[place] for place in group], columns)
            for chunk in zip(*(torch.split(one, step) for one in logits), strict=True):
                end = begin + len(chunk[0])
                numbers.append(reduce.on_device(chunk, slice(begin, end)))
                begin = end
        # Once a batch: the host waits here for all that the device was given.
        figures = reduce.on_host(torch.cat(numbers).cpu().numpy())
        ends = np.cumsum([part.places for part in own])
        return [piece.sum(axis=0) for piece in np.split(figures, ends[:-1])]

    def difference(index: int, got: Figures, alone: Figures) -> str | None:
        # Not looked at: how many of the most likely tokens agree, where a rounding error decides.
        for here, there in zip(np.delete(got, 1), np.delete(alone, 1), strict=True):
            if any(differ(loaded, parts[index].places, here, there) for loaded in models):
                return f"a figure of its likeness was {here:.4f} and then {there:.4f}"
        return None

    first, *others = models
    budget = Budget(min(loaded.budget.tokens for loaded in models))
    company = Neighbours(max(loaded.findings.rows.company for loaded in models))
    lengths = [len(part.row) for part in parts]
    wrong = unlike_alone(first, forward, difference)
    parted = in_company(first, budget, company, lengths, forward, wrong, sharing=others)
    for batch, sums in parted:
        for index, figures in zip(batch, sums, strict=True):
            text = parts[index].text
            totals[text] += figures
            due[text] -= 1
            if due[text] == 0:
                yield _told(texts[text], totals[text], note)


@torch.inference_mode()
def _logits(
    models: Sequence[Loaded], parts: Sequence[_Part], over: slice | torch.Tensor
) -> list[torch.Tensor]:
    """Return every model's logits of the tokens `over`, where tokens are predicted."""
    rows = [row for row, part in enumerate(parts) for _ in range(part.places)]
    columns = [column for part in parts for column in range(part.start, len(part.row))]
    logits = []
    for loaded in models:
        # Padded on the right: no token attends to what comes after it, so no mask is needed.
        read = pad([part.row for part in parts], 0, loaded.device)
        every = logits_at(loaded, {"input_ids": read, "use_cache": False}, rows, columns)
        own = over if isinstance(over, slice) else over.to(every.device)
        logits.append(every[:, own])
    return logits


def _parts(index: int, text: Row, most: int) -> Iterator[_Part]:
    """Yield a text in parts of at most `most` compared tokens.

    A part reads all that stands before its tokens and nothing behind them.
    """
    first = 0
    for row, span in text:
        for begin in range(0, len(span.targets), most):
            end = min(begin + most, len(span.targets))
            yield _Part(index, row[: span.start + end], span.start + begin, first + begin)
        first += len(span.targets)


def _refuse_unlike_capture(
    student: Loaded, recorded: Captured, tokens: list[int], known: Set[int]
) -> None:
    if list(recorded.tokens) != tokens:
        at = begin_alike(recorded.tokens, tokens)
        raise EvaluationError(
            f"{recorded.place}: 'tokens' has {len(recorded.tokens)} tokens and differs from token "
            f"{at} on from the {len(tokens)} that the tokenizer of '{student.name}' makes of the "
            "gold text; capture the teacher on the same text, with the same tokenizer"
        )
    odd = sorted(set(np.unique(recorded.top).tolist()) - known - {-1})
    if odd:
        raise EvaluationError(
            f"{recorded.place}: top_tokens has {odd[0]}, which is no token of '{student.name}': it "
            "was captured with another tokenizer"
        )


def _told(text: GoldText, totals: Figures, note: str) -> TokenLikeness:
    if np.isnan(totals).any():
        raise ModelError(
            f"example '{text.id}': a model gives logits that are no numbers (NaN): no distribution "
            "can be compared; use another dtype"
        )
    count, agreed, low, high, least, most, mass = totals.tolist()
    return TokenLikeness(text.id, int(count), int(agreed), low, high, least, most, mass, note)
