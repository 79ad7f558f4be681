"""How a verdict was reached, in a paragraph that a person can follow; its record is all it needs.

Numbers are told as everywhere: rounded towards failing, so that none looks better than it is.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import fields

from pytest_distill._util.format import (
    bound_text,
    count_text,
    interval_text,
    limit_text,
    p_text,
    percent_text,
    plain_text,
    quantity_text,
)
from pytest_distill.errors import and_more, one_line
from pytest_distill.gates.all import GATES
from pytest_distill.gates.gate import Gate
from pytest_distill.gates.suite import SuiteRetained
from pytest_distill.gates.verdict import FIRM, IN_DOUBT, Outcome
from pytest_distill.report.blocks import observed_text, test_name
from pytest_distill.report.outcomes import OWN_ASSERTION
from pytest_distill.report.records.gates import GateRow, IntervalRow

MOST_SLICES = 5
"""That did not pass; a table has all of them."""
RELATIONS = {">=": "at least", ">": "more than", "<=": "at most"}


def paragraph(row: GateRow) -> str:
    """Return what was asked, on what, what was found, how that decided, and what it rests on."""
    return " ".join(map(_sentence, _told(row)))


def _sentence(text: str) -> str:
    """Return text, which may be data, as a sentence on one line."""
    text = one_line(text).strip()
    return text if text.endswith(("?", "!", ".")) else f"{text}."


def _capital(text: str) -> str:
    """Return text that begins like a sentence; a name such as ``p95`` stays what it is."""
    return text[0].upper() + text[1:] if re.match(r"[a-z]{2,}[ ,:-]", text) else text


def _told(row: GateRow) -> Iterator[str]:
    if row.gate == OWN_ASSERTION:
        yield f"The test {test_name(row.nodeid)} looked at models and asserts something of its own"
        yield f"It {row.outcome}" if not row.notes else f"It {row.outcome}: {row.notes[0]}"
        yield from map(_capital, row.notes[1:])
    elif row.outcome == Outcome.NOT_RUN:
        yield from _not_run(row)
    else:
        yield _question(row)
        yield from _looked_at(row)
        yield from _decided(row)
        yield from _rests_on(row)
        yield from map(_capital, row.notes)
    if row.criterion:
        yield f"It is a part of the criterion {row.criterion}"
    if row.waived:
        yield f"The failure is {row.waived}"
    if row.excused:
        yield f"That keeps no student from shipping: {row.excused}"


def _not_run(row: GateRow) -> Iterator[str]:
    """Yield what was to be asked, as far as that is known, and why there is no verdict."""
    if row.required is not None:
        yield _question(row)
    asked = f"The gate {row.gate} did" if row.gate else f"The test {test_name(row.nodeid)} did"
    yield f"{asked} NOT RUN, so that there is no verdict, and no verdict is no pass"
    notes = [note for note in row.notes if note != "did not run"]
    yield from (f"The reason: {note}" if i == 0 else _capital(note) for i, note in enumerate(notes))


def _question(row: GateRow) -> str:
    """Return what the gate asks, with the limit of this one."""
    gate = GATES.get(row.gate or "")
    if gate is None:
        return f"Asked is {row.gate}: {_what(row)}?"
    model = row.model or "the model"
    if _is_of_must_keep(row):
        return f"Is {model} right on each example of must_keep?"
    limits = {k: limit_text(v) for k, v in row.details.items() if isinstance(v, int | float)}
    about = {"model": model, "metric": row.metric or "score", "slice": row.slice or ""}
    return gate.asks.format_map(
        defaultdict(lambda: "enough", {**limits, **about, "what": _what(row)})
    )


def _is_of_must_keep(row: GateRow) -> bool:
    """Return whether only these were looked at, or one is lost, which is graver than any share."""
    broken = row.details.get("must_keep_broken")
    return broken is not None and (bool(broken) or row.required == 1)


def _what(row: GateRow) -> str:
    """Return what was required in words: ``at least 0.95``."""
    limit = "" if row.required is None else limit_text(row.required, row.unit)
    return f"{RELATIONS.get(row.relation or '', '')} {limit}".strip()


def _looked_at(row: GateRow) -> Iterator[str]:
    """Yield on what: how many examples of which eval, by which metric."""
    gate = GATES.get(row.gate or "")
    if row.n is None and gate is not None and not gate.answers:
        return  # a size is the same on every eval
    examples = "" if row.n is None else f"{count_text(row.n, 'example')} of "
    which = "the evals" if row.gate == SuiteRetained.name else "the eval"
    parts = [f"{examples}{which} {row.eval}"] if row.eval else []
    if row.slice and "{slice}" not in (gate.asks if gate else ""):
        parts.append(f"those of the slice {row.slice}")
    if row.at_tokens is not None:
        parts.append(f"what is answered within {count_text(row.at_tokens, 'token')}")
    if row.metric and _has_metric(row) and "{metric}" not in (gate.asks if gate else ""):
        parts.append(f"by {row.metric}")
    if parts:
        yield f"Looked at: {', '.join(parts)}"


def _has_metric(row: GateRow) -> bool:
    """Return whether somebody chose the metric: else the question says what is counted."""
    gate = GATES.get(row.gate or "")
    return gate is not None and any(field.name == "metric" for field in fields(gate))


def _decided(row: GateRow) -> Iterator[str]:
    """Yield what was observed, and how that became the outcome."""
    if _is_of_must_keep(row):
        broken = len(row.details["must_keep_broken"])
        yield f"Observed: {broken:,} of them are wrong, which is {row.outcome}"
        return
    seen = observed_text(row)
    yield "There is no number to observe" if seen == "-" else f"Observed: {seen}"
    if row.confidence is None:
        shown = {Outcome.PASSED: "is", Outcome.FAILED: "is not"}
        known = shown.get(row.outcome)
        told = f"That {known} {_what(row)}" if known else "That does not tell"
        yield f"{told}: {row.outcome}"
    elif row.interval is not None:
        yield from _by_bounds(row, row.interval, row.confidence)
    elif row.outcome == Outcome.FAILED and not _reaches(row, row.observed):
        yield f"That is not {_what(row)}: {row.outcome}"
    elif row.p_value is not None:
        alpha = 1 - row.confidence
        yield (
            f"To be {percent_text(row.confidence)} sure that this is not chance, p has to be at "
            f"most {plain_text(alpha)}; it is {p_text(row.p_value, alpha)}: {row.outcome}"
        )
    else:
        gate = GATES.get(row.gate or "", Gate)
        yield gate.decides.format(confidence=percent_text(row.confidence))
        yield f"The outcome: {row.outcome}"


def _reaches(row: GateRow, number: float | None) -> bool:
    """Return whether a number is as required."""
    if number is None or row.required is None:
        return False
    if row.relation == "<=":
        return number <= row.required
    return number > row.required if row.relation == ">" else number >= row.required


def _by_bounds(row: GateRow, interval: IntervalRow, confidence: float) -> Iterator[str]:
    """Yield the bound that decided; both where they decide nothing."""
    up = row.relation == "<="
    lower, upper = interval.one_sided_lower, interval.one_sided_upper
    (good, good_name), (bad, bad_name) = (
        ((upper, "upper"), (lower, "lower")) if up else ((lower, "lower"), (upper, "upper"))
    )
    yield f"The examples are a sample, and {percent_text(confidence)} confidence is asked for"
    # Both are rounded towards failing: the one that decides is on its side of the limit.
    if row.outcome == Outcome.PASSED and _reaches(row, good):
        told = bound_text(good, lower=not up, unit=row.unit)
        yield f"Even the {good_name} bound, {told}, is {_what(row)}: {row.outcome}"
    elif row.outcome == Outcome.FAILED and bad is not None and not _reaches(row, bad):
        told = quantity_text(bad, row.unit, up=up)
        yield f"Even the {bad_name} bound, {told}, is not {_what(row)}: {row.outcome}"
    else:
        astride = _reaches(row, bad) and not _reaches(row, good)
        sides = f", on both sides of {limit_text(row.required or 0, row.unit)}" if astride else ""
        yield f"The bounds are {interval_text(lower, upper, row.unit)}{sides}: {row.outcome}"
    if row.outcome == Outcome.INCONCLUSIVE:
        yield "The examples do not tell, which is not a pass"


_SPOKEN: Mapping[re.Pattern[str], str] = {
    re.compile(r"95 % interval (.*)"): r"The two-sided 95 % interval is \1",
    re.compile(r"flips: (.*) lost, (.*) won"): (
        r"Against the teacher it loses \1 of the examples and wins \2"
    ),
    re.compile(r"gap recovered (.*)"): (
        r"Of the gap between the SFT student and the teacher it recovers \1"
    ),
    re.compile(r"(\S+) retained above chance"): r"Of what is above guessing it retains \1",
    re.compile(r"(p . \S+ \(.*)\), (.*) wins, (.*) losses, (.*) ties"): (
        r"Example by example it wins \2, loses \3 and ties \4; \1)"
    ),
    re.compile(r"(p . \S+ \(.*)\), identical on every example"): (
        r"Example by example both are the same; \1)"
    ),
    re.compile(r"(p . \S+ \(.*)"): r"The test gives \1",
    re.compile(rf"{re.escape(FIRM)}"): "The verdict is firm: the bounds agree with it",
    re.compile(rf"{re.escape(IN_DOUBT)}"): "It is not firm, since something is suspicious",
    re.compile(r"(within noise: .*)"): r"It is \1",
}
"""What verdicts rest on, as `explain.basis` says it, in sentences."""


def _rests_on(row: GateRow) -> Iterator[str]:
    for part in filter(None, row.basis.split("; ")):
        yield _capital(_spoken(part))
    failed = [
        each["slice"]
        for each in row.details.get("slices", ())
        if each.get("outcome") == Outcome.FAILED
    ]
    if failed:
        more = and_more(len(failed) - MOST_SLICES)
        yield f"Slices that fail: {', '.join(failed[:MOST_SLICES])}{more}"


def _spoken(part: str) -> str:
    for pattern, said in _SPOKEN.items():
        if found := pattern.fullmatch(part):
            return found.expand(said)
    return part
