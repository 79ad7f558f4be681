"""Whether the student can answer most requests itself, and leave only the hard ones."""

from __future__ import annotations

import os
from dataclasses import KW_ONLY, dataclass, replace
from fractions import Fraction
from typing import Any, ClassVar

from pytest_distill._util.format import ceil_text, floor_text, p_text, score_text
from pytest_distill._util.numbers import Ratio, bounded
from pytest_distill.comparison import routing
from pytest_distill.comparison.cascade import Pair
from pytest_distill.comparison.comparison import Comparison
from pytest_distill.comparison.confidences import confidence_name, confidences
from pytest_distill.comparison.routing import DeferralPoint, Routing
from pytest_distill.comparison.side_by_side import Confidence
from pytest_distill.engines import ModelInfo
from pytest_distill.errors import ConfigError
from pytest_distill.evals.metrics import Metric
from pytest_distill.evaluation.figures import same_device
from pytest_distill.gates import explain
from pytest_distill.gates.deciding import Decision
from pytest_distill.gates.gate import Row
from pytest_distill.gates.subjects import KeepsAShare, ScoresGate
from pytest_distill.gates.threshold import keep_threshold
from pytest_distill.gates.verdict import Outcome, Verdict, as_float, json_ratio
from pytest_distill.statistics.confidences import BINS
from pytest_distill.statistics.results import Judgement

_FIGURES = {"latency_ms": ("latency", " ms a request", 2), "cost_per_1k": ("cost", " per 1,000", 4)}


@dataclass(frozen=True)
class Routable(KeepsAShare, ScoresGate):
    """The student can answer most requests itself, the teacher only the hard ones.

    The student answers where its confidence is at least a threshold, else the teacher does. The
    threshold is the lowest for which this pair is shown to keep `retained` of the teacher's
    quality, by fixed sequence testing. It is written to a file, whatever the verdict is.

    Parameters
    ----------
    min_handled : float
        Which share of the examples the student must answer, in (0, 1].
    retained : float
        Which share of the teacher's quality the pair must be shown to keep, above 0 and at most 2.
    by : str, optional
        What the student's confidence is; higher is surer. ``max_probability``: of the most probable
        label or choice (the default for classification and multiple choice); ``margin``: how far
        the second most probable one is below it; ``mean_log_probability``: of the tokens of a
        generated text (the default for generation); ``field:NAME``: a field with numbers in the
        student's file of recorded predictions.
    confidence : float, optional
        How sure it must be that the pair keeps `retained`; by default as the marker or
        ``distill.yaml`` says, else 0.95. Not None: a threshold needs evidence.
    save : str or path, optional
        Where the threshold is written, relative to ``distill.yaml``; by default
        ``.distill/routing-EVAL-STUDENT.json``.
    """

    name: ClassVar[str] = "routable"
    asks: ClassVar[str] = (
        "Can {model} answer {what} of the requests itself, and the pair keep "
        "{retained_required} of the teacher's quality?"
    )
    decides: ClassVar[str] = (
        "It answers where it is sure enough: at the lowest threshold for which the pair is shown, "
        "with a confidence of {confidence}, to keep that much"
    )
    floor_key: ClassVar[str] = "retained"

    min_handled: float
    retained: float
    _: KW_ONLY
    by: str | None = None
    confidence: Confidence = "default"
    save: str | os.PathLike[str] | None = None

    def lost(self, comparison: Comparison) -> list[Row]:
        """Return what the student lost to the teacher, the surest first: it bars lower ones."""
        metric = comparison.metric(self.metric)
        rows = super().lost(comparison)
        pair = Pair(comparison, metric)
        sure = confidences(pair.student, confidence_name(self.by, pair.on))
        by_id = {e.id: float(value) for e, value in zip(pair.on.gold, sure, strict=True)}
        told: list[dict[str, Any]] = [{**row, "confidence": by_id[str(row["id"])]} for row in rows]
        return sorted(told, key=lambda row: -float(row["confidence"]))

    def judge(self, comparison: Comparison) -> Verdict:
        """Choose the threshold, and compare what the student handles there with what is asked."""
        wanted = bounded(
            self.min_handled, "min_handled", above=0, most=1, what="a share of the examples"
        )
        floor = self.floor
        confidence = comparison.confidence_level(self.confidence, default=0.95)
        if confidence is None:
            raise ConfigError(
                "confidence=None: a threshold is picked on the examples that it is judged by, and "
                "needs evidence; give a confidence, such as 0.95"
            )
        metric = comparison.metric(self.metric)
        pair = Pair(comparison, metric)
        found = routing.route(pair, self.by, floor, confidence, wanted)
        outcome, needed = _outcome(pair, found, wanted, floor, confidence)
        details = _details(pair, found, comparison) | {
            "retained_required": float(floor),
            "needed": needed,
        }
        decision = Decision(found.handled, ">=", wanted, outcome, confidence)
        return self.verdict(
            comparison,
            decision,
            decision.headline(
                self.min_handled,
                f"handled by the student at {self.retained} retained",
                metric.name,
            ),
            metric=metric.name,
            n=pair.n,
            about=explain.models(comparison, metric, None, ("teacher", "student")),
            basis=_basis(found, details, needed),
            facts=_facts(found),
            notes=explain.notes(comparison, metric, ("teacher", "student")),
            below=table(found, wanted, metric),
            details=details,
        )

    def finish(self, verdict: Verdict, comparison: Comparison) -> Verdict:
        """Write the threshold into a file, and name it in the verdict."""
        return keep_threshold(self.save, verdict, comparison)


def _outcome(
    pair: Pair, found: Routing, wanted: Fraction, floor: Fraction, confidence: float
) -> tuple[Outcome, int | None]:
    """Return the outcome, and about how many examples would settle one that is not clear.

    Too little handled is a failure where the pair that would handle enough is shown to fall short;
    else there are too few examples to tell.
    """
    if found.handled >= wanted:
        return Outcome.PASSED, None
    judgement, needed = routing.needed_at(pair, found.by, found.at(wanted), floor, confidence)
    if judgement is Judgement.NOT_RETAINED:
        return Outcome.FAILED, None
    return Outcome.INCONCLUSIVE, needed


def _details(pair: Pair, found: Routing, comparison: Comparison) -> dict[str, Any]:
    chosen = found.chosen
    models = (pair.teacher, pair.student)
    teacher, student, source = _known(comparison)
    expected = {
        name: {
            "pair": routing.expected(student, teacher, name, found),
            "teacher": getattr(teacher, name),
            "student": getattr(student, name),
            "source": source if name == "latency_ms" else "declared",
        }
        for name in _FIGURES
    }
    return {
        "by": found.by,
        "threshold": None if chosen is None else chosen.threshold,
        "handled": as_float(found.handled, ">="),
        "retained": None if chosen is None else json_ratio(chosen.retained),
        "cross_fitted": {
            "folds": found.folds,
            "handled": as_float(found.cross_handled, ">="),
            "retained": json_ratio(found.cross_retained),
        },
        "curve": [
            {
                "threshold": point.threshold,
                "handled": as_float(point.handled, ">="),
                "score": float(point.score),
                "retained": json_ratio(point.retained),
                "p_value": point.p_value,
            }
            for point in found.curve
        ],
        "augrc": {e.info.name: routing.area(e, pair.metric, found.by) for e in models},
        "ece": {e.info.name: routing.miscalibration(e) for e in models},
        "ece_bins": BINS,
        "expected": expected,
    }


def _known(comparison: Comparison) -> tuple[ModelInfo, ModelInfo, str]:
    """Return teacher and student with their latencies, and where these come from.

    What both declare counts; else what a gate of this run measured of both, on one device.
    """
    models = [comparison.model(role) for role in ("teacher", "student")]
    teacher, student = (model.info for model in models)
    key = (comparison.eval, "latency")
    taken = [model.figures[key] for model in models if key in model.figures]
    declared = any("latency_ms" in info.declared for info in (teacher, student))
    if declared or len(taken) < 2 or not same_device(*(t.provenance.setting for t in taken)):
        return teacher, student, "declared"
    means = [1000 * float(times.example.mean()) for times in taken]
    teacher, student = (
        replace(info, latency_ms=mean) for info, mean in zip((teacher, student), means, strict=True)
    )
    return teacher, student, "measured"


def _basis(found: Routing, details: dict[str, Any], needed: int | None) -> list[str]:
    """Return what the verdict rests on, a few words each."""
    if found.chosen is None:
        chosen = f"no threshold of {found.by} is shown to keep it: always the teacher"
    else:
        kept = _ratio_text(found.chosen.retained)
        chosen = f"threshold {found.by} >= {found.chosen.threshold!r}: {kept} retained"
    parts = [
        chosen,
        f"cross-fitted over {found.folds} folds: {floor_text(found.cross_handled)} handled, "
        f"{_ratio_text(found.cross_retained)} retained",
    ]
    if needed is not None:
        parts.append(f"about {needed:,} examples would settle it, if the truth is as observed")
    for name, (what, unit, places) in _FIGURES.items():
        figures = details["expected"][name]
        if figures["pair"] is not None:
            pair, teacher = (ceil_text(figures[k], places) for k in ("pair", "teacher"))
            source = figures["source"]
            parts.append(f"expected {what} {pair}{unit}, the teacher alone {teacher} ({source})")
    for shown, key in (("AUGRC", "augrc"), (f"ECE ({BINS} bins)", "ece")):
        known = {name: value for name, value in details[key].items() if value is not None}
        if known:
            told = ", ".join(f"{name} {ceil_text(value)}" for name, value in known.items())
            parts.append(f"{shown}: {told}")
    return parts


def _facts(found: Routing) -> list[str]:
    if found.chosen is None:
        return ["always the teacher"]
    threshold = ceil_text(found.chosen.threshold)
    return [f"{found.by} >= {threshold}", f"{_ratio_text(found.chosen.retained)} retained"]


def table(found: Routing, wanted: Fraction, metric: Metric) -> list[str]:
    """Return rows of the deferral curve as lines of a message, with what was chosen and asked."""
    curve, last = found.curve, len(found.curve) - 1
    asked = curve.index(found.at(wanted))
    chosen = curve.index(found.chosen) if found.chosen else None
    shown = {0, last // 3, 2 * last // 3, last, asked} | ({chosen} if chosen is not None else set())
    rows = [_cells(curve[place], metric, _mark(place, chosen, asked)) for place in sorted(shown)]
    header = ["handled", f"{found.by} >=", metric.name, "retained", "p", ""]
    return explain.columns(header, rows)


def _cells(point: DeferralPoint, metric: Metric, mark: str) -> list[str]:
    return [
        floor_text(point.handled),
        ceil_text(point.threshold, 6),
        score_text(point.score, higher_is_better=metric.higher_is_better),
        _ratio_text(point.retained),
        p_text(point.p_value),
        mark,
    ]


def _mark(place: int, chosen: int | None, asked: int) -> str:
    marks = [*(["chosen"] if place == chosen else []), *(["asked for"] if place == asked else [])]
    return ", ".join(marks)


def _ratio_text(value: Ratio | None) -> str:
    return "no ratio" if value is None else floor_text(value)
