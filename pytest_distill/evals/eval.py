"""One eval: gold set, task and metrics."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from fractions import Fraction
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from pytest_distill.errors import ConfigError, did_you_mean, refuse_unknown
from pytest_distill.evals import request_keys
from pytest_distill.evals.goldset import Example, GoldSet
from pytest_distill.evals.groups import EvalGroup
from pytest_distill.evals.ids import meeting
from pytest_distill.evals.metrics import Metric
from pytest_distill.evals.requests import Request
from pytest_distill.evals.tasks import Task, fields
from pytest_distill.evals.tasks.repeats import SampleIds


@dataclass(frozen=True, eq=False)
class Eval:
    """One entry under ``evals:``. Two evals are equal only when they are the same object.

    Parameters
    ----------
    name : str
        The entry's key.
    task : Task
        What is asked, and how an answer is read.
    gold : GoldSet
        The labelled examples.
    metrics : tuple of Metric
        At least one; the first is the headline metric.
    slices : tuple of str
        Fields whose values part the examples.
    cluster : str, optional
        Field whose value examples share that are not independent, e.g. of one passage.
    chance : Fraction, optional
        Score that guessing gets by the headline metric.
    must_keep : tuple of str
        Ids of the examples that a student may not get wrong.
    groups : tuple of EvalGroup
        Those to which it belongs.
    """

    name: str
    task: Task
    gold: GoldSet
    metrics: tuple[Metric, ...]
    slices: tuple[str, ...] = ()
    cluster: str | None = None
    chance: Fraction | None = None
    must_keep: tuple[str, ...] = ()
    groups: tuple[EvalGroup, ...] = ()
    _slices: dict[str, dict[str, list[int]]] = field(default_factory=dict, init=False, repr=False)

    def __post_init__(self) -> None:
        if not self.metrics:
            raise ConfigError(f"eval '{self.name}': metrics is empty; name at least one")
        for metric in self.metrics:
            metric.require()

    def requests(self) -> list[Request]:
        """Return what every model is asked, one request an example, in the gold set's order.

        Every field that the task reads is checked, the target included.
        """
        found = self.task.requests(self.gold)
        if "repeated" not in vars(self):  # as the cached property would, without asking again
            vars(self)["repeated"] = self._repeated(found)
        return found

    def all_requests(self) -> list[Request]:
        """Return what every model is asked: every sample of every example, in that order.

        Sample 0 is the example's one request of `requests`, under its id. Then the same within
        each budget.
        """
        first = self.requests()
        samples = (
            first
            if self.task.repeats == 1
            else [
                request if number == 0 else self.task.sample(request, number, id)
                for request in first
                for number, id in enumerate(self.sample_ids(request.id))
            ]
        )
        return samples + [
            replace(request, id=self.id_within(request.id, tokens))
            for tokens, on in self.budgets.items()
            for request in on.all_requests()
        ]

    @cached_property
    def budgets(self) -> Mapping[int, Eval]:
        """Budget of tokens -> the same eval with answers within it."""
        return {
            tokens: replace(self, task=self.task.within(tokens)) for tokens in self.task.at_tokens
        }

    def asked_ids(self) -> list[str]:
        """Return the ids of `all_requests`, in their order."""
        samples = [example.id for example in self.gold]
        if self.task.repeats > 1:
            samples = [sample for id in samples for sample in self.sample_ids(id)]
        return samples + [self.id_within(id, tokens) for tokens in self.budgets for id in samples]

    def id_within(self, id: str, tokens: int) -> str:
        """Return the id under which the same is asked for within a budget."""
        return self._ids.within(id, tokens)

    def sample_ids(self, id: str) -> list[str]:
        """Return the ids under which the samples of an example are asked for."""
        return [self._ids.of(id, number) for number in range(self.task.repeats)]

    @cached_property
    def _ids(self) -> SampleIds:
        several = self.task.repeats > 1 or self.task.at_tokens
        return SampleIds([example.id for example in self.gold.whole] if several else ())

    def check(self) -> None:
        """Raise GoldSetError where a model could not be asked an example; looks at them once."""
        _ = self.repeated

    @cached_property
    def repeated(self) -> list[list[int]]:
        """The positions of examples that ask the same thing under several ids, a list a thing."""
        return self._repeated(map(self.task.request, self.gold))

    def _repeated(self, requests: Iterable[Request]) -> list[list[int]]:
        numbers, examples = request_keys.quick_hashes(requests), self.gold.examples
        found = []
        for positions in request_keys.repeated(numbers):  # which their digests confirm
            by_key: dict[bytes, list[int]] = {}
            for position in positions:
                key = request_keys.request_key(self.task.request(examples[position]))
                by_key.setdefault(key, []).append(position)
            found += [same for same in by_key.values() if len(same) > 1]
        return found

    @cached_property
    def notes(self) -> tuple[str, ...]:
        """What a reader of any verdict on this eval must know of its gold set and prompt."""
        found = []
        if self.repeated:
            n, things = sum(map(len, self.repeated)), len(self.repeated)
            found.append(
                f"{n:,} of {len(self.gold):,} gold examples ask only {things:,} "
                f"thing{'' if things == 1 else 's'}, under several ids: those that ask the same "
                "are one cluster"
            )
        return (*found, *self.task.notes(self.gold))

    @cached_property
    def digest(self) -> str:
        """SHA-256 of all that decides what is asked and what counts as right, in hexadecimal."""
        examples = [[example.id, dict(example.fields)] for example in self.gold]
        return request_keys.canonical_sha256(
            [self.task.name, self.task.settings(), examples]
        ).hexdigest()

    @cached_property
    def settings_digest(self) -> str:
        """SHA-256 of what decides what is asked beside the examples, in hexadecimal."""
        return request_keys.canonical_sha256([self.task.name, self.task.settings()]).hexdigest()

    @cached_property
    def example_digests(self) -> tuple[NDArray[np.uint64], NDArray[np.uint64]]:
        """Of each example what is asked, and that with what counts as right: 64 bits of SHA-256.

        So an example that is renamed or moved is found again, and one that is relabelled is told.
        """
        asked = [request_keys.request_key(request) for request in self.requests()]
        expected = (
            request_keys.canonical_sha256([key.hex(), self.task.expected(example)]).digest()
            for key, example in zip(asked, self.gold, strict=True)
        )
        return _as_numbers(asked), _as_numbers(expected)

    @property
    def digests_left_out(self) -> NDArray[np.uint64]:
        """What is asked by the examples that a sample of the gold set left out."""
        return _as_numbers(
            request_keys.request_key(self.task.request(example)) for example in self.gold.rest
        )

    @cached_property
    def gold_digest(self) -> str:
        """SHA-256 of what the task reads of the examples, targets included, in hexadecimal.

        The same whatever the examples' order and ids, the prompt's words, and the fields that no
        task reads: who changes these still looks at the same gold set.
        """
        reads = self.task.reads
        rows = ([example.fields.get(name) for name in reads] for example in self.gold)
        return request_keys.unordered_sha256(rows).hexdigest()

    @cached_property
    def clusters(self) -> list[str] | None:
        """The cluster of each example, in the gold set's order; None without clusters.

        Examples that ask the same thing are one cluster, and so are clusters that share a thing.
        """
        if self.cluster is not None:
            names = [_slice_value(example, self.cluster) for example in self.gold]
        elif self.repeated:
            names = [example.id for example in self.gold]
        else:
            return None
        joined = {name: [name] for name in names}  # name -> all that are one cluster with it
        for first, *others in self.repeated:
            for other in others:
                one, two = joined[names[first]], joined[names[other]]
                if one is not two:
                    few, many = sorted((one, two), key=len)
                    many += few
                    joined.update(dict.fromkeys(few, many))
        return [joined[name][0] for name in names]

    def slice_ids(self, field: str) -> Mapping[str, list[int]]:
        """Return the value of a field -> positions of the examples that have it.

        Raises
        ------
        GoldSetError
            An example lacks the field, or its value is a list or an object.
        """
        if field not in self._slices:
            positions: dict[str, list[int]] = {}
            by_id = field == self.gold.id_field and self.gold.states_ids
            for position, example in enumerate(self.gold):
                value = example.id if by_id else _slice_value(example, field)
                positions.setdefault(value, []).append(position)
            self._slices[field] = positions
        return self._slices[field]

    def select(self, slice: str | Mapping[str, object]) -> list[int]:
        """Return the positions of one slice's examples, in the gold set's order.

        Parameters
        ----------
        slice : str or mapping
            ``"lang=de"`` or ``{"lang": "de"}``; of several fields, all must agree.

        Raises
        ------
        ConfigError
            It is not of that form, no example has the field or the value, or nothing is left.
        """
        wanted = _parsed(slice) if isinstance(slice, str) else slice
        chosen = set(range(len(self.gold)))
        for name, value in wanted.items():
            chosen &= set(self._having(name, str(value)))
        if not chosen:
            raise ConfigError(f"eval '{self.name}': no example is in the slice {slice!r}")
        return sorted(chosen)

    def _having(self, field: str, value: str) -> list[int]:
        if not any(field in example.fields for example in self.gold):
            known = set().union(*(example.fields for example in self.gold))
            raise ConfigError(
                f"eval '{self.name}': no field '{field}' to slice by; {did_you_mean(field, known)}"
            )
        values = self.slice_ids(field)
        if field == self.gold.id_field:
            value = self.gold.by_meeting.get(meeting(value), value)
        refuse_unknown(value, values, f"eval '{self.name}': no example has {field}={value}")
        return values[value]


def _as_numbers(digests: Iterable[bytes]) -> NDArray[np.uint64]:
    return np.frombuffer(b"".join(digest[:8] for digest in digests), "<u8").astype(np.uint64)


def _parsed(slice: str) -> dict[str, str]:
    field, equals, value = slice.partition("=")
    if not equals or not field:
        raise ConfigError(f"slice: expected 'field=value', got '{slice}'")
    return {field: value}


def _slice_value(example: Example, field: str) -> str:
    value = fields.field(example, field)
    if not isinstance(value, str | int | float):
        raise fields.wrong_type(example, field, "one value to slice by", value)
    return str(value)
