"""What an eval says of its classes: which there are, and what the models call them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from difflib import get_close_matches
from typing import Any

from pytest_distill.errors import ConfigError, EvaluationError, some_of
from pytest_distill.evals.metrics import Answer
from pytest_distill.evals.normalisation import composed

MOST_SHOWN = 10


class UnknownLabelError(EvaluationError):
    """A gold label that no output of a model stands for: told with all gold labels."""


@dataclass(frozen=True, slots=True)
class Labels:
    """The key ``labels:`` of an eval, in one of its three forms.

    Parameters
    ----------
    written : Mapping or tuple, optional
        In text, as the eval's settings hold it.
    classes : frozenset of str, optional
        Every class, where the eval lists them: nothing else may be gold or predicted.
    outputs : tuple of str, optional
        The class of each output of a model, where the eval numbers them.
    names : mapping
        What a model says -> the class that it means.
    """

    written: Mapping[str, int] | Mapping[str, str] | tuple[str, ...] | None = None
    classes: frozenset[str] | None = None
    outputs: tuple[str, ...] | None = None
    names: Mapping[str, str] = field(default_factory=dict)

    def class_of(self, said: str) -> str:
        """Return the class that a model means."""
        label = composed(said)
        return self.names.get(label, label)

    @property
    def in_order(self) -> tuple[str, ...]:
        """Every class in the order in which the eval has them; empty where it does not."""
        return self.outputs or (() if self.classes is None else tuple(self.written or ()))

    @property
    def turned(self) -> str:
        """What to say of names that are numbers where outputs were meant; else empty.

        That is how a checkpoint's ``id2label`` says it.
        """
        count = len(self.names)
        if not count or set(self.names) != {str(number) for number in range(count)}:
            return ""
        ordered = (f"{self.names[str(number)]!r}: {number}" for number in range(count))
        return (
            "; labels: says what a model calls '0' and so on: to number its outputs, write "
            f"'labels: {{{', '.join(ordered)}}}'"
        )

    def refuse_unknown(
        self, answers: Sequence[Answer], counts: Mapping[str, int], named: Sequence[str] = ()
    ) -> None:
        """Raise EvaluationError where a predicted label is neither a gold label nor declared.

        A name may be mapped to a gold label alone: mapped to another it could never be right.

        Parameters
        ----------
        answers : sequence of Answer
            All of one model's.
        counts : mapping
            How many examples of the whole gold set have each label, a sample's rest too.
        named : sequence of str
            What the gold set's source calls its labels 0, 1, ...; empty where it does not say.
        """
        self._refuse_lost_names(counts)
        known = self.classes or counts.keys()
        predicted = Counter(answer.predicted for answer in answers)
        odd = {label: n for label, n in predicted.items() if label not in known}
        if not odd:
            return
        first = next(answer for answer in answers if answer.predicted in odd)
        numbers = {name: str(number) for number, name in enumerate(map(composed, named))}
        meant = {
            name: numbers[name] if numbers.get(name) in counts else _nearest(name, counts)
            for name in sorted(odd)
        }
        # A wrong guess would be believed.
        shown = [
            f"{name!r}: {'THE GOLD LABEL' if label is None else repr(label)}"
            for name, label in [*meant.items()][:MOST_SHOWN]
        ]
        every = ", ".join(map(repr, sorted({*counts, *odd})[:MOST_SHOWN]))
        raise first.example.answer_error(
            f"predicted labels that no gold example has: {listed(odd)}; "
            f"the gold labels: {listed(counts, named)}. Where they mean gold labels, map them in "
            f"the eval: 'labels: {{{', '.join(shown)}}}'; where they are "
            f"classes that the gold set lacks, list all classes: 'labels: [{every}]'"
        )

    def _refuse_lost_names(self, gold: Mapping[str, int]) -> None:
        turned_round = bool(self.names) and gold.keys() >= self.names.keys()
        if turned_round and gold.keys().isdisjoint(self.names.values()):
            turned = ", ".join(f"{label!r}: {said!r}" for said, label in self.names.items())
            raise EvaluationError(
                f"labels: is the other way round: {some_of([*map(repr, self.names)])} are gold "
                f"labels. Write what a model says first: 'labels: {{{turned}}}'"
            )
        for said, label in self.names.items():
            if label not in gold:
                near = _nearest(label, gold)
                if near is None:
                    near = next(iter(get_close_matches(label, gold, n=1)), None)
                known = f"the gold labels: {listed(gold)}"
                meant = known if near is None else f"did you mean {near!r}?"
                raise EvaluationError(
                    f"labels: maps {said!r} to {label!r}, which no gold example has; {meant}"
                )


def read_labels(written: Any) -> Labels:
    """Return what ``labels:`` says; ConfigError where it is none of its forms.

    A mapping of gold label to output index, a list of all classes, or a mapping of what a model
    says to the class that it means. In yaml an unquoted 1 or true is no text, and taken as text.
    """
    if written is None:
        return Labels()
    if isinstance(written, list | tuple):
        return _of_list(written)
    if not isinstance(written, Mapping):
        raise ConfigError(f"labels: must be a mapping or a list of names, not {written!r}")
    numbers = [value for value in written.values() if _is_index(value)]
    if numbers and len(numbers) < len(written):
        raise ConfigError(
            f"labels: maps names to output numbers, or names to labels, not both: {written!r} "
            "(quote a label that is a number)"
        )
    if not numbers and written:
        return _of_names(written)
    indices = sorted(numbers)
    if not indices or indices != list(range(len(indices))):
        raise ConfigError(
            "labels: must give each output of the model one label, counted from 0; "
            f"got the outputs {indices}"
        )
    outputs = {composed(str(label)): index for label, index in written.items()}
    if len(outputs) < len(written):
        raise ConfigError(f"labels: two of {some_of([*map(repr, written)])} are one label in NFC")
    ordered = tuple(sorted(outputs, key=outputs.__getitem__))
    return Labels(outputs, frozenset(outputs), ordered)


def _of_list(written: Sequence[Any]) -> Labels:
    listed = tuple(composed(str(label)) for label in written if isinstance(label, str | int))
    if len(listed) < max(len(written), 2):
        raise ConfigError(f"labels: must list two classes or more, by name; got {written!r}")
    twice = next((label for label in listed if listed.count(label) > 1), None)
    if twice is not None:
        raise ConfigError(f"labels: '{twice}' is given twice")
    return Labels(listed, frozenset(listed))


def _of_names(written: Mapping[Any, Any]) -> Labels:
    odd = next((value for value in written.values() if not isinstance(value, str | bool)), None)
    if odd is not None or None in written.values():
        raise ConfigError(f"labels: must map a name to a label or to an output, not to {odd!r}")
    names = {composed(str(said)): composed(str(label)) for said, label in written.items()}
    return Labels(names, names=names)


def _is_index(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _nearest(name: str, known: Iterable[str]) -> str | None:
    """Return the gold label that differs from a name by case, blanks or the form of a number."""
    bare = {_bare(label): label for label in known}
    return bare.get(_bare(name))


def _bare(label: str) -> str:
    bare = label.strip().casefold()
    try:
        number = float(bare)
    except ValueError:
        return bare
    return str(int(number)) if number.is_integer() else str(number)


def listed(counts: Mapping[str, int], named: Sequence[str] = ()) -> str:
    """Return labels with their numbers of examples, and what their source calls them."""
    calls = {str(number): name for number, name in enumerate(named)}
    shown = [
        f"{label!r} ({n:,}{f', named {calls[label]!r}' if label in calls else ''})"
        for label, n in sorted(counts.items())[:MOST_SHOWN]
    ]
    more = [f"and {len(counts) - MOST_SHOWN} more"] if len(counts) > MOST_SHOWN else []
    return ", ".join([*shown, *more])
