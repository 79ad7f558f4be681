"""The numbers of lm-evaluation-harness's tasks as metrics: what each is of, what is refused."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest
import sacrebleu
import sklearn.metrics

from pytest_distill.errors import ConfigError, EvaluationError
from pytest_distill.evals.goldset import Example
from pytest_distill.evals.lm_eval.overall import MOST_VALUES, OverAll
from pytest_distill.evals.lm_eval.task import LmEval
from pytest_distill.evals.lm_eval.translations import TRANSLATIONS
from pytest_distill.evals.metrics import Answer, Metric
from pytest_distill.evals.requests import Prediction
from pytest_distill.statistics.jackknife import of_metric

pytestmark = pytest.mark.lm_eval

PAIRS = [(0, 0), (0, 1), (1, 1), (1, 1), (1, 0), (0, 0), (1, 1)]


def _answers(*values: Any, key: str = "it,none") -> list[Answer[Any]]:
    return [
        Answer(Example(f"d{n}", {}, "task"), Prediction(f"d{n}"), "", (), values={key: value})
        for n, value in enumerate(values)
    ]


def _metric(task: str = "arc_easy", **said: Any) -> Metric:
    """Return the one metric of a task, `it` by default, as somebody says it otherwise."""
    listed = {"metric": "it", "aggregation": "mean", "higher_is_better": True, **said}
    return LmEval(of=task, override={"metric_list": [listed]}).suited[0]


def _over_all(function: Callable[[list[Any]], Any]) -> OverAll:
    return OverAll("it", "it,none", lambda: function)


def _mcc(items: Sequence[tuple[int, int]]) -> float:
    return float(sklearn.metrics.matthews_corrcoef(*zip(*items, strict=True)))


def _f1(items: Sequence[tuple[int, int]]) -> float:
    return float(sklearn.metrics.f1_score(*zip(*items, strict=True)))


@pytest.mark.parametrize("values", [PAIRS, [np.array(p) for p in PAIRS], [list(p) for p in PAIRS]])
def test_a_number_of_all_values_is_what_the_function_makes_of_them(values: list[Any]) -> None:
    """Of all documents, and without each of them, as the function called on those alone says."""
    metric = _over_all(lambda items: _f1([tuple(item) for item in items]))
    rows = metric.statistics(_answers(*values))
    found = of_metric(rows, metric.aggregate)
    n = len(PAIRS)
    without = [_f1(PAIRS[:i] + PAIRS[i + 1 :]) for i in range(n)]
    assert found.estimate == pytest.approx(_f1(PAIRS), abs=1e-15)
    expected = [n * _f1(PAIRS) - (n - 1) * each for each in without]
    assert found.values == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize(
    ("aggregation", "oracle"),
    [("f1", _f1), ("matthews_corrcoef", _mcc)],
)
def test_f1_and_correlation_are_scikit_learns(
    aggregation: str, oracle: Callable[[Any], float]
) -> None:
    """Of all documents and without each; a baseline can hold them, unlike what code makes."""
    metric = _metric(aggregation=aggregation)
    rows = metric.statistics(_answers(*PAIRS))
    found = of_metric(rows, metric.aggregate)
    n = len(PAIRS)
    without = [oracle(PAIRS[:i] + PAIRS[i + 1 :]) for i in range(n)]
    expected = [n * oracle(PAIRS) - (n - 1) * each for each in without]
    assert found.values == pytest.approx(expected, abs=1e-12)
    assert metric.scores(_answers(*PAIRS[:2])).tolist() == [1.0, 0.0]
    assert metric.kept
    assert not _over_all(len).kept


@pytest.mark.parametrize("value", [1, (0, 1, 2), (0, None), (0, 2)])
def test_f1_is_of_the_labels_0_and_1(value: Any) -> None:
    """As in scikit-learn; the document with another one is named."""
    with pytest.raises(EvaluationError, match=r"'d1'.*'it,none' is (of|the F1 of)"):
        _metric(aggregation="f1").statistics(_answers((0, 1), value))


def test_columns_of_a_later_call_mean_the_same() -> None:
    """A second model has values that the first had not: both numbers are still their own."""
    metric = _over_all(lambda items: sum(len(item) for item in items) / len(items))
    first, second = (metric.statistics(_answers(*texts)) for texts in (["a", "bb"], ["ccc", "a"]))
    totals = [float(metric.aggregate(rows.sum(axis=0))) for rows in (first, second)]
    assert totals == [1.5, 2.0]


def test_samples_that_are_all_the_same_count_as_one() -> None:
    """A function that heeds how many values there are is asked about the documents."""
    metric = _over_all(len)
    rows = metric.statistics(_answers("a", "b", "a"))
    assert metric.aggregate(8 * rows.sum(axis=0)) == 3


def test_the_worst_of_a_pair_is_known() -> None:
    """One more document may be of any gold label, and answered by any other; beside a right one."""
    metric = _over_all(_f1)
    rows = metric.statistics(_answers(*PAIRS))
    wrong, right = metric.extremes(rows, None) or ((), ())
    totals = rows.sum(axis=0)
    worse = {round(float(metric.aggregate(totals + row)), 9) for row in wrong}
    better = {round(float(metric.aggregate(totals + row)), 9) for row in right}
    assert worse == {round(_f1([*PAIRS, pair]), 9) for pair in ((0, 1), (1, 0))}
    assert better == {round(_f1([*PAIRS, pair]), 9) for pair in ((0, 0), (1, 1))}


def test_a_function_that_heeds_the_order_is_refused() -> None:
    """What one document adds to it is not known: by a trial."""
    metric = _over_all(lambda items: float(items[0]))
    with pytest.raises(EvaluationError, match="the same documents the other way round"):
        metric.statistics(_answers(1, 2, 3))


def test_too_many_different_values_are_refused() -> None:
    """The function is called once for each."""
    with pytest.raises(EvaluationError, match=r"1,001 documents have different values"):
        _over_all(len).statistics(_answers(*range(MOST_VALUES + 1)))


def test_a_function_that_raises_or_gives_no_number_is_told() -> None:
    """In one line that names the metric, without a frame of ours."""

    def fails(_: list[Any]) -> float:
        raise OSError("no hub here")

    with pytest.raises(EvaluationError, match=r"'it': the task's own code raised OSError: no hub"):
        _over_all(fails).statistics(_answers(1))
    with pytest.raises(EvaluationError, match=r"gave \{\} for all documents, not a number"):
        _over_all(lambda _: {}).statistics(_answers(1))


def test_only_pairs_of_labels_are_right_or_wrong() -> None:
    """A document has no bias, or correlation, of its own: nothing is lost or won by it."""
    assert _over_all(_f1).scores(_answers(*PAIRS[:2])).tolist() == [1.0, 0.0]
    with pytest.raises(EvaluationError, match="none has a score of its own"):
        _over_all(len).scores(_answers((1.5, 1.5)))


@pytest.mark.parametrize("of", TRANSLATIONS)
def test_translations_are_what_sacrebleu_says(of: str) -> None:
    """Of the corpus, with as many references as each text has."""
    texts = ["the cat sat on mats", "a dog ran home", "rain, today and tomorrow"]
    references = [["the cat sat on a mat", "x"], ["a dog went home"], ["rain today, rain tomorrow"]]
    metric = TRANSLATIONS[of](name="it", key="it,none", higher_is_better=True)
    rows = metric.statistics(_answers(*([r, [t]] for r, t in zip(references, texts, strict=True))))
    firsts = [[given[0] for given in references]]
    made: dict[str, Callable[[], Any]] = {
        "bleu": lambda: sacrebleu.corpus_bleu(texts, firsts),
        "chrf": lambda: sacrebleu.corpus_chrf(texts, firsts),
        "chrf++": lambda: sacrebleu.corpus_chrf(texts, firsts, word_order=2),
        "ter": lambda: sacrebleu.corpus_ter(texts, firsts),
    }
    expected = made[of]().score
    assert float(metric.aggregate(rows.sum(axis=0))) == pytest.approx(expected, abs=1e-9)


def test_a_translation_needs_a_reference_and_a_text() -> None:
    """What the task gave instead is shown, with the document."""
    metric = _metric("wmt16-en-de", aggregation="bleu")
    with pytest.raises(EvaluationError, match=r"'d0'.* of a reference and a text.* gave 1.0"):
        metric.statistics(_answers(1.0))


@pytest.mark.parametrize(
    ("value", "number"),
    [(True, 1.0), (np.bool_(False), 0.0), (np.float32(0.3), 0.3), (np.int64(1), 1.0), (1, 1.0)],
)
def test_numbers_of_any_type_are_numbers(value: Any, number: float) -> None:
    """Truth values and numpy's scalars too."""
    assert _metric().scores(_answers(value)).tolist() == [number]


@pytest.mark.parametrize(
    ("value", "problem"),
    [
        (math.nan, "is NaN: the task could not score it"),
        (math.inf, "is inf, not a finite number"),
        (None, r"gave None \(NoneType\), not a number"),
        ([1.0], r"gave \[1.0\] \(list\), not a number"),
        ("1", r"gave '1' \(str\), not a number"),
    ],
)
@pytest.mark.parametrize("aggregation", ["mean", "nanmean"])
def test_what_is_no_score_names_the_document(value: Any, problem: str, aggregation: str) -> None:
    """An unscored document is refused, where nanmean would leave it out."""
    metric = _metric(aggregation=aggregation)
    with pytest.raises(EvaluationError, match=f"'d1'.*{problem}"):
        metric.scores(_answers(0.5, value))


def test_a_document_without_the_number_is_named() -> None:
    """Such a number would be over other documents than the rest."""
    with pytest.raises(EvaluationError, match=r"'d0'.* gives no 'it,none' for it, but other,none"):
        _metric().scores(_answers(1.0, key="other,none"))


def test_a_share_beyond_one_by_rounding_is_one() -> None:
    """A sum of probabilities may be 1.0000000000000002."""
    values = _answers(1.0000000000000002, key="acc,none")
    assert _metric(metric="acc").scores(values).tolist() == [1.0]


@pytest.mark.parametrize(
    ("said", "reason"),
    [
        ({"metric": "bypass", "aggregation": "bypass"}, "'bypass' measures nothing"),
        ({"aggregation": "bypass"}, "'bypass' measures nothing"),
        ({"aggregation": None}, r"its metric 'it' is aggregated .*would take the mean"),
        ({"aggregation": "median"}, "'it' is a median"),
        ({"aggregation": "mode"}, "aggregated by 'mode', which does not exist"),
        ({"higher_is_better": None}, "'it' whether higher is better"),
    ],
)
def test_a_number_that_is_not_judged_says_why(said: dict[str, Any], reason: str) -> None:
    """By name, where it is asked for; the others of the task stay."""
    listed = {"metric": "it", "aggregation": "mean", "higher_is_better": True, **said}
    task = LmEval(of="arc_easy", override={"metric_list": [listed, {"metric": "acc"}]})
    assert [metric.name for metric in task.usual] == ["acc"]
    refused = task.suited[0]
    with pytest.raises(ConfigError, match=reason):
        refused.require()
    assert "'arc_easy'" in (task.misfit(refused) or "")
    alone = LmEval(of="arc_easy", override={"metric_list": [listed]})
    with pytest.raises(ConfigError, match=reason):
        _ = alone.usual


@pytest.mark.parametrize(
    ("metric", "task", "higher", "ends", "binary"),
    [
        ("acc", "arc_easy", True, (0, 1), True),
        ("acc", "truthfulqa_mc2", True, (0, 1), False),
        ("brier_score", "arc_easy", False, (0, 2), False),
        ("score", "truthfulqa_mc2", True, (-math.inf, math.inf), False),
        ("word_perplexity", "wikitext", False, (1, math.inf), False),
        ("bits_per_byte", "wikitext", False, (0, math.inf), False),
        ("ter", "wmt16-en-de", False, (0, math.inf), False),
        ("mcc", "cola", True, (-1, 1), False),
    ],
)
def test_direction_range_and_whether_it_says_right_or_wrong(
    metric: str, task: str, higher: bool, ends: tuple[float, float], binary: bool
) -> None:
    """As lm-evaluation-harness registers them; of a task's own code no range is known."""
    said = {"metric": metric}
    if metric == "score":
        said |= {"aggregation": "mean", "higher_is_better": True}  # type: ignore[dict-item]
    (found, *_) = LmEval(of=task, override={"metric_list": [said]}).suited
    assert (found.higher_is_better, found.range) == (higher, ends)
    assert getattr(found, "binary", False) == binary
