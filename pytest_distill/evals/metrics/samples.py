"""Metrics of several samples of each example's answer: whether one of them is right, and a vote."""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from fractions import Fraction
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from pytest_distill.errors import EvaluationError
from pytest_distill.evals.metrics.base import Answer, MeanMetric, Metric, ScoredElsewhere, as_number
from pytest_distill.evals.metrics.own import identity_of
from pytest_distill.evals.normalisation import composed

Right = NDArray[np.bool_]
"""Which samples are right, shape (n, repeats)."""


@dataclass(frozen=True)
class OfSamples(MeanMetric):
    """A mean over examples of what all samples of an example say together.

    Parameters
    ----------
    name : str
        As in the report.
    k : int
        How many samples are looked at.
    of : Metric
        Scores each sample: 1 for right, 0 for wrong.
    """

    score: Callable[[Answer[Any]], float] = field(init=False, repr=False, compare=False)
    k: int = field(kw_only=True)
    of: Metric = field(kw_only=True)

    word: ClassVar[str]
    """What its name begins with."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "score", lambda answer: float(self.scores([answer])[0]))

    def require(self) -> None:
        """Raise ConfigError where what the metric that it is of needs is not installed."""
        self.of.require()

    def doubts(self, model: str, answers: Sequence[Answer[Any]]) -> Iterator[str]:
        """Yield what the metric that it is of says."""
        yield from self.of.doubts(model, answers)

    @abstractmethod
    def exact_scores(
        self, right: Right, answers: Callable[[], Sequence[Answer[Any]]]
    ) -> list[Fraction]:
        """Return each example's own score.

        Parameters
        ----------
        right : ndarray of bool, shape (n, repeats)
            Which samples are right.
        answers : callable
            Gives the answers with their samples, where what they say matters.
        """

    def scores(self, answers: Sequence[Answer[Any]]) -> NDArray[np.float64]:
        """Return each example's own score, shape (n,)."""
        for answer in answers:
            if len(answer.samples) < self.k:
                raise answer.example.answer_error(
                    f"{self.name} needs {self.k:,} samples, and there are {len(answer.samples):,}; "
                    "say 'repeats' in the eval"
                )
        right = _right_by(self.of, [sample for answer in answers for sample in answer.samples])
        exact = self.exact_scores(np.reshape(right, (len(answers), -1)), lambda: answers)
        return np.array([float(share) for share in exact])


@dataclass(frozen=True)
class PassAt(OfSamples):
    """pass@k: how likely one of `k` samples is right, over all samples that there are.

    Of n samples, c of which are right: 1 - C(n - c, k) / C(n, k). That is the share of all choices
    of k of the n samples that have a right one among them, and unbiased, unlike 1 - (1 - c/n)^k.

    References
    ----------
    Chen et al. (2021). Evaluating Large Language Models Trained on Code, section 2.1, equation 1.
    arXiv 2107.03374.
    """

    word: ClassVar[str] = "pass"

    def exact_scores(
        self,
        right: Right,
        answers: Callable[[], Sequence[Answer[Any]]],  # noqa: ARG002 (right or wrong is all)
    ) -> list[Fraction]:
        """Return pass@k of each example."""
        n, counts = right.shape[1], right.sum(axis=1).tolist()
        known = {c: pass_at(n, c, self.k) for c in {*counts}}
        return [known[c] for c in counts]


def pass_at(n: int, c: int, k: int) -> Fraction:
    """Return 1 - C(n - c, k) / C(n, k): of `n` samples `c` are right, and `k` are drawn."""
    return 1 - Fraction(math.comb(n - c, k), math.comb(n, k))


@dataclass(frozen=True)
class Majority(OfSamples):
    """maj@k: whether the most frequent answer of the first `k` samples is right.

    Samples vote alike where their texts are the same, or `of` scores each as right where the other
    is the accepted answer: so 1/2 and 0.5 are one vote for ``math_equal``. An empty answer is no
    vote. Of several most frequent answers each counts by its share: two, of which one is right,
    are 1/2, as if one were drawn. Without any vote the score is 0.

    References
    ----------
    Wang et al. (2023). Self-Consistency Improves Chain of Thought Reasoning in Language Models,
    section 2. arXiv 2203.11171.
    """

    word: ClassVar[str] = "majority"

    def exact_scores(
        self, right: Right, answers: Callable[[], Sequence[Answer[Any]]]
    ) -> list[Fraction]:
        """Return each example's share of right ones among its most frequent answers."""
        votes = [_Votes(answer.samples[: self.k]) for answer in answers()]
        if isinstance(self.of, ScoredElsewhere):  # nothing holds one sample against another
            for each in votes:
                each.groups = each.places
        else:
            self._join(votes)
        return [each.share(row) for each, row in zip(votes, right, strict=True)]

    def _join(self, votes: Sequence[_Votes]) -> None:
        """Put together what votes alike, of all examples at once: a metric may be slow to ask."""
        for turn in range(max((len(each.places) for each in votes), default=0)):
            asked = [(each, each.texts[turn]) for each in votes if turn < len(each.texts)]
            pairs = [(each, text, known) for each, text in asked for known in each.groups]
            forth = _right_by(self.of, [each.against(text, known) for each, text, known in pairs])
            pairs = [pair for pair, same in zip(pairs, forth, strict=True) if same]
            back = _right_by(self.of, [each.against(known, text) for each, text, known in pairs])
            alike: dict[int, str] = {}
            for (each, _, known), same in zip(pairs, back, strict=True):
                if same:
                    alike.setdefault(id(each), known)
            for each, text in asked:
                each.put(text, alike.get(id(each), text))


class _Votes:
    """What the samples of one example vote for.

    Parameters
    ----------
    samples : sequence of Answer
        Those that vote.

    Attributes
    ----------
    places : dict
        Text -> the places of the samples that have it.
    groups : dict
        The first text of a group that votes alike -> the places of its samples.
    """

    def __init__(self, samples: Sequence[Answer[Any]]) -> None:
        self._samples = samples
        self.places: dict[str, list[int]] = {}
        self.groups: dict[str, list[int]] = {}
        for place, sample in enumerate(samples):
            if text := _said(sample):
                self.places.setdefault(text, []).append(place)
        self.texts = list(self.places)

    def put(self, text: str, group: str) -> None:
        """Count the votes for a text in a group, which may be its own."""
        self.groups.setdefault(group, []).extend(self.places[text])

    def against(self, text: str, other: str) -> Answer[Any]:
        """Return the first sample with a text as it is scored where another text is accepted."""
        mine, theirs = (self._samples[self.places[each][0]] for each in (text, other))
        return replace(
            mine, targets=(theirs.predicted,), expected_calls=theirs.calls, against_sample=True
        )

    def share(self, right: NDArray[np.bool_]) -> Fraction:
        """Return which share of the most frequent answers is right."""
        if not self.groups:
            return Fraction(0)
        most = max(map(len, self.groups.values()))
        first = [places for places in self.groups.values() if len(places) == most]
        shares = (Fraction(int(right[places].sum()), len(places)) for places in first)
        return sum(shares, Fraction(0)) / len(first)


def _said(sample: Answer[Any]) -> str:
    """Return what a sample says, calls of tools too; empty where that is nothing."""
    text = composed(str(sample.predicted)).strip()
    return f"{text}\n{sample.calls}" if sample.calls else text


def named_apart(metrics: Mapping[int, OfSamples]) -> dict[int, OfSamples]:
    """Return the metrics of an eval; those of one name say in it what they are of.

    So ``pass@4`` is ``pass@4`` as long as there is one, and beside another ``pass@4(exact_match)``.
    """
    of: dict[str, set[int]] = {}
    for metric in metrics.values():
        of.setdefault(metric.name, set()).add(identity_of(metric.of))
    return {
        place: replace(metric, name=f"{metric.name}({metric.of.name})")
        if len(of[metric.name]) > 1
        else metric
        for place, metric in metrics.items()
    }


def _right_by(metric: Metric, answers: Sequence[Answer[Any]]) -> list[bool]:
    """Return which answers are right by a metric; EvaluationError where a score is not 0 or 1."""
    if not answers:
        return []
    given = list(metric.scores(answers))
    if len(given) != len(answers):
        raise EvaluationError(
            f"metric '{metric.name}' gives {len(given):,} scores for {len(answers):,} answers"
        )
    found = []
    for answer, value in zip(answers, given, strict=True):
        score = as_number(value, metric.name, answer.example)
        if score not in (0, 1):
            raise answer.example.answer_error(
                f"{metric.name} is {score:g} where one sample is held against another, not 0 or 1"
            )
        found.append(score == 1)
    return found
