"""What lm-evaluation-harness asked a model about one document, and what it answered."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from pytest_distill.errors import EvaluationError
from pytest_distill.evals.request_keys import canonical_sha256
from pytest_distill.evaluation.sources.formats.format import UNCONDITIONAL

_NAMES = tuple(f"arg_{place}" for place in range(8))

Kind = Literal["choice", "continuation", "text", "generation", "other"]


@dataclass(frozen=True, slots=True)
class AskedOfDocument:
    """What a model was asked about one document.

    Parameters
    ----------
    kind : str
        Which of several continuations is likely (``choice``), how likely one is
        (``continuation``), or a whole text (``text``), what it writes (``generation``), or several
        of these (``other``).
    first : str, optional
        The first prompt, of which there is a digest.
    prompt : str, optional
        The prompt of all requests; None where they have several.
    continuations : tuple of str
        What could follow.
    settings : mapping
        How a text is generated.
    requests : int
        How many requests there were.
    digest : str
        Of all prompts: where these are one, what lm-evaluation-harness calls ``prompt_hash``.
    beside : str
        The digest of all else: continuations, and how a text is generated.
    """

    kind: Kind
    first: str | None
    prompt: str | None
    continuations: tuple[str, ...]
    settings: Mapping[str, Any]
    requests: int
    digest: str
    beside: str

    def answers(self, place: str, resps: object) -> list[dict[str, Any]]:
        """Return the fields of a recorded row, of each repeat.

        Raises
        ------
        EvaluationError
            Where there are not as many answers as requests, or one is of another form.
        """
        by_request = resps if isinstance(resps, list) else []
        counts = {len(found) if isinstance(found, list) else 0 for found in by_request}
        if len(by_request) != self.requests or len(counts) != 1 or 0 in counts:
            raise EvaluationError(
                f"{place}: resps has not one list of answers, all of one length, for each of the "
                f"{self.requests} requests in arguments"
            )
        return [
            self._answer(place, [found[repeat] for found in by_request])
            for repeat in range(counts.pop())
        ]

    def _answer(self, place: str, given: Sequence[Any]) -> dict[str, Any]:
        if self.kind == "other":
            return {}
        if self.kind == "generation":
            if not isinstance(given[0], str):
                raise EvaluationError(f"{place}: resps has {given[0]!r:.60}, not a text")
            return {"text": given[0]}
        if self.kind == "text":
            return {"loglikelihoods": [_number(place, given[0])]}
        numbers, greedy = zip(*[_pair(place, value) for value in given], strict=True)
        asked = len(self.continuations)
        answer = {"loglikelihoods": list(numbers[:asked]), "greedy": list(greedy[:asked])}
        return answer if len(numbers) == asked else {**answer, UNCONDITIONAL: list(numbers[asked:])}


def asked_of(place: str, arguments: object, *, mutual: bool) -> AskedOfDocument:
    """Return what the arguments of a line say.

    Parameters
    ----------
    place : str
        How a message starts.
    arguments : object
        ``{"gen_args_0": {"arg_0": ..., "arg_1": ...}, ...}``.
    mutual : bool
        Whether each continuation was asked for once more without its prompt, for
        ``acc_mutual_info``.
    """
    try:
        requests = [_arguments(arguments, number) for number in range(len(arguments))]  # type: ignore[arg-type]
        firsts = [request[0] for request in requests]
    except (KeyError, IndexError, TypeError, AttributeError):
        requests = firsts = []
    if not requests:
        raise EvaluationError(
            f"{place}: arguments is {arguments!r:.60}, not "
            '{"gen_args_0": {"arg_0": ..., ...}, ...}'
        )
    if mutual and len(requests) % 2 == 0:
        half = len(requests) // 2
        asked, firsts = requests[:half], firsts[:half]
    else:
        asked = requests
    kind = _kind(asked)
    prompts = {first for first in firsts if isinstance(first, str)}
    return AskedOfDocument(
        kind=kind,
        first=firsts[0] if isinstance(firsts[0], str) else None,
        prompt=prompts.pop() if len(prompts) == 1 and isinstance(firsts[0], str) else None,
        continuations=tuple(r[1] for r in asked) if kind in ("choice", "continuation") else (),
        settings=asked[0][1] if kind == "generation" else {},
        requests=len(requests),
        digest=prompts_digest(firsts),
        beside=canonical_sha256([request[1:] for request in requests]).hexdigest(),
    )


def prompts_digest(prompts: Sequence[Any]) -> str:
    """Return the digest of a document's prompts: ``prompt_hash`` where they are one."""
    if isinstance(prompts[0], str) and prompts.count(prompts[0]) == len(prompts):
        return hashlib.sha256(prompts[0].encode()).hexdigest()
    return canonical_sha256(prompts).hexdigest()


def _arguments(arguments: Any, number: int) -> list[Any]:
    given = arguments[f"gen_args_{number}"]
    found = [given[name] for name in _NAMES[: len(given)]]
    if isinstance(found[0], list) and len(found[0]) == 1:  # messages that were rendered as JSON
        found[0] = found[0][0]
    return found


def _kind(asked: Sequence[Sequence[Any]]) -> Kind:
    if all(len(request) == 2 and isinstance(request[1], str) for request in asked):
        return "choice" if len(asked) > 1 else "continuation"
    if len(asked) == 1:
        if len(asked[0]) == 1:
            return "text"
        if isinstance(asked[0][1], dict):
            return "generation"
    return "other"


def _pair(place: str, value: object) -> tuple[float, bool]:
    """Return a log-likelihood, and whether the model would have written that greedily."""
    if isinstance(value, list) and len(value) == 2 and value[1] in ("True", "False", True, False):
        return _number(place, value[0]), value[1] in ("True", True)
    raise EvaluationError(
        f"{place}: resps has {value!r:.60}, not a log-likelihood and True or False"
    )


def _number(place: str, value: object) -> float:
    try:
        return float(value)  # type: ignore[arg-type]
    except (TypeError, ValueError):
        raise EvaluationError(f"{place}: resps has {value!r:.60}, not a log-likelihood") from None
