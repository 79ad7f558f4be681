"""The port's contract, as one call that a test of an engine makes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from pytest_distill.evals.requests import Request
from pytest_distill.testing.asked import groups_of
from pytest_distill.testing.checks import ContractChecks
from pytest_distill.testing.reference import Reference, check_reference, reference_of
from pytest_distill.testing.results import ContractReport
from pytest_distill.testing.subject import Subject


def engine_contract(
    engine: Any,
    model: Mapping[str, Any],
    *,
    tasks: Sequence[str] | None = None,
    requests: Sequence[Request] | None = None,
    reference: Reference | None = None,
    other: Mapping[str, Any] | None = None,
    impossible: Request | None = None,
    tolerance: float = 1e-3,
    elsewhere: bool = True,
) -> ContractReport:
    """Check that an engine keeps the contract of the port: call it in a test of the engine.

    Parameters
    ----------
    engine : class or str
        The engine's class, its dotted path, or the name of a built-in one.
    model : mapping
        A model's entry, as under ``models:`` in ``distill.yaml``, without ``engine``. Relative
        paths start from the current folder. Its answers must not be costly: each request is asked
        about a dozen times, of three objects of the engine.
    tasks : sequence of str, optional
        The tasks that the engine does. By default each is tried, and one that it refuses by a
        ModelError is not offered; at least one must be.
    requests : sequence of Request, optional
        What is asked, each with an id of its own; by default some short requests for each task.
    reference : mapping or callable, optional
        What log-likelihoods and probabilities are compared with: another entry (by default of the
        engine ``transformers``), or what gives the predictions of requests. By default
        ``transformers`` with the same path, where that is a checkpoint.
    other : mapping, optional
        Keys of the entry with other values, which may change an answer: identity must be another.
    impossible : Request, optional
        A request that the model cannot answer; by default one with a long text.
    tolerance : float
        By how much log-likelihoods and probabilities may differ where they should be the same,
        relative where they are above 1.
    elsewhere : bool
        Whether another process is started, to see whether identity is the same there.

    Returns
    -------
    ContractReport
        What was checked, and what could not be and why: that is no pass. ``print`` shows it.

    Raises
    ------
    AssertionError
        With every point that is not kept: what was asked, what came, and what the port says.
    ConfigError
        Where the entry or an argument is wrong.
    """
    __tracebackhide__ = True
    subject = Subject(engine, model)
    groups = groups_of(requests, tasks)
    contract = ContractChecks(subject, tolerance)
    stated = tasks is not None or requests is not None
    contract.ask(groups, [group.task for group in groups] if stated else [], impossible)
    contract.compare_objects()
    contract.say(other, elsewhere=elsewhere)
    answers = {group: contract.answers[group.name] for group in contract.offered}
    check_reference(contract.book, answers, reference_of(subject, reference), tolerance)
    return contract.book.report(subject.name)
