"""A sample of inspect's as an example, its answer and its scores as numbers."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pytest_distill.errors import EvaluationError
from pytest_distill.evaluation.sources.fields import ENDINGS
from pytest_distill.evaluation.sources.formats.format import ForeignMetric
from pytest_distill.evaluation.sources.formats.totals import range_of

CUT = {"token": "length", "context": "length"}
"""inspect's limits of a sample that are those of a text."""

Value = str | int | float | bool | None

_LOSSES = "inspect_ai/perplexity"
"""What inspect's metrics of losses begin with: each sample's value is minus a log-probability."""


def stop_reason(sample: Any) -> str | None:
    """Return why the text ended, in inspect's words; None where nothing was generated."""
    return sample.output.stop_reason if sample.output.choices else None


def document(sample: Any) -> dict[str, Any]:
    """Return what is known of an example beside any answer: its metadata are fields of a row."""
    own = {"input": _plain(sample.input), "target": sample.target}
    if sample.choices:
        own["choices"] = list(sample.choices)
    return {**sample.metadata, **own}


def answer(sample: Any) -> dict[str, Any]:
    """Return what the model answered: the fields of a recorded row."""
    output = sample.output
    if not output.choices:
        return {}
    found: dict[str, Any] = {"text": output.completion}
    calls = output.message.tool_calls
    if calls:
        found["tool_calls"] = [{"name": c.function, "arguments": c.arguments} for c in calls]
    if output.usage is not None:
        found["tokens"] = output.usage.output_tokens
        thinking = output.usage.reasoning_tokens
        if thinking and thinking <= output.usage.output_tokens:
            found["thinking_tokens"] = thinking
    ending = CUT.get(sample.limit.type) if sample.limit else ENDINGS.get(output.stop_reason)
    return found | ({"finish": ending} if ending else {})


def asked(sample: Any) -> Any:
    """Return the messages that the model was sent before it said anything.

    An assistant's message that was not generated is part of the question: an example to follow.
    """
    asked = []
    for message in sample.messages:
        if message.role == "assistant" and message.source == "generate":
            break
        asked.append(message)
    return _plain(asked or sample.input)


def _plain(messages: Any) -> Any:
    """Return messages without what differs from run to run: ids, and who wrote them."""
    if isinstance(messages, str):
        return messages
    return [_message(message.model_dump(mode="json", exclude_none=True)) for message in messages]


def _message(said: Mapping[str, Any]) -> dict[str, Any]:
    kept = {name: said[name] for name in ("role", "content", "function") if name in said}
    calls = said.get("tool_calls")
    if calls:
        kept["tool_calls"] = [{"name": c["function"], "arguments": c["arguments"]} for c in calls]
    return kept


@dataclass(frozen=True)
class SampleScores:
    """The scores of the samples of a log.

    Parameters
    ----------
    by_sample : sequence of mapping
        Of each sample its scores by metric. A scorer that gives several values is several metrics:
        ``scorer/key``.
    words : tuple of str
        The metrics whose values are no numbers.
    wordy : set of str
        The scorers that have such.
    notes : tuple of str
        What to tell of them.
    """

    by_sample: Sequence[Mapping[str, float]]
    words: tuple[str, ...]
    wordy: frozenset[str]
    notes: tuple[str, ...]

    @classmethod
    def of(cls, samples: Sequence[tuple[str, Mapping[str, Any]]]) -> SampleScores:
        """Return the scores of samples, each with its place.

        Raises
        ------
        EvaluationError
            Naming sample and scorer, where a value is missing, or is none (NaN), or is a word where
            others are numbers.
        """
        flat = [(place, dict(_flat(scores))) for place, scores in samples]
        names = list(dict.fromkeys(name for _, scores in flat for name in scores))
        for name in names:
            for place, scores in flat:
                _refuse_unscored("/".join(name), place, scores.get(name))
        words = [
            name for name in names if not any(_says_number(scores[name]) for _, scores in flat)
        ]
        to_float = _to_float()
        by_sample = [
            {
                "/".join(name): _number("/".join(name), place, value, to_float)
                for name, value in scores.items()
                if name not in words
            }
            for place, scores in flat
        ]
        notes = [
            f"the values of the scorer '{'/'.join(name)}' are no numbers "
            f"({flat[0][1][name]!r:.60}), and are left out"
            for name in words
        ]
        return cls(
            by_sample,
            tuple(map("/".join, words)),
            frozenset(name[0] for name in words),
            tuple(notes),
        )

    def metrics(self, log: Any) -> tuple[ForeignMetric, ...]:
        """Return what is known of the metrics."""
        lower = _lower_is_better(log)
        found = []
        for name in self.by_sample[0]:
            values = [scores[name] for scores in self.by_sample]
            found.append(ForeignMetric(name, name not in lower, range_of(values)))
        return tuple(found)


def _flat(scores: Mapping[str, Any]) -> Iterator[tuple[tuple[str, ...], Value]]:
    """Yield a sample's scores by scorer; where that gives several, by scorer and part."""
    for scorer, score in scores.items():
        value = score.value
        if isinstance(value, Mapping):
            yield from (((scorer, str(key)), part) for key, part in value.items())
        elif isinstance(value, Sequence) and not isinstance(value, str):
            yield from (((scorer, str(index)), part) for index, part in enumerate(value))
        else:
            yield (scorer,), value


def _refuse_unscored(name: str, place: str, value: Value) -> None:
    if value is None or (isinstance(value, float) and math.isnan(value)):
        how = "no value" if value is None else "NaN, its word for unscored"
        raise EvaluationError(
            f"{place}: of the scorer '{name}' it has {how}: inspect leaves such samples out of its "
            "totals, and a model would be judged by the others; score the log again ('inspect "
            "score'), or leave this example out of every model's run"
        )


def _says_number(value: Value) -> bool:
    """Return whether inspect makes a number of a value: of other words it makes 0."""
    from inspect_ai.scorer import CORRECT, INCORRECT, NOANSWER, PARTIAL

    if not isinstance(value, str):
        return True
    if value in {CORRECT, INCORRECT, NOANSWER, PARTIAL}:
        return True
    if value.lower() in {"yes", "no", "true", "false"}:
        return True
    try:
        return math.isfinite(float(value))
    except ValueError:
        return False


def _to_float() -> Callable[[Any], float]:
    from inspect_ai.scorer import value_to_float

    found: Callable[[Any], float] = value_to_float()
    return found


def _number(name: str, place: str, value: Value, to_float: Callable[[Any], float]) -> float:
    """Return what inspect's metrics make of a value; EvaluationError where that is none."""
    found = to_float(value) if _says_number(value) else math.nan
    if not math.isfinite(found):
        raise EvaluationError(
            f"{place}: the scorer '{name}' gave {value!r:.60}, where others have a number or one "
            "of C, I, P and N"
        )
    return found


def _lower_is_better(log: Any) -> set[str]:
    """Return the scorers whose values are losses: those of which inspect prints a perplexity."""
    return {
        scorer.name
        for scorer in log.eval.scorers or ()
        if any(getattr(metric, "name", "").startswith(_LOSSES) for metric in scorer.metrics or ())
    }
