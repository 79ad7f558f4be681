"""Teacher, student and SFT student on one eval, side by side and aligned by example id."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import get_args

from pytest_distill.engines import Role
from pytest_distill.errors import ComparisonError, ConfigError, did_you_mean
from pytest_distill.evals.eval import Eval
from pytest_distill.evals.metrics import BUILT_IN, Metric
from pytest_distill.evals.tasks import TASKS
from pytest_distill.evaluation.evaluation import Evaluation, Indices, Measured, ReportedEval
from pytest_distill.evaluation.models import Model
from pytest_distill.verdicts.numbers import kept

Slice = str | Mapping[str, object]


@dataclass(frozen=True, slots=True)
class Flips:
    """Example ids where teacher and student part.

    Parameters
    ----------
    lost : tuple of str
        The student's score is worse than the teacher's: teacher right, student wrong.
    won : tuple of str
        The student's score is better.
    """

    lost: tuple[str, ...]
    won: tuple[str, ...]


class Comparison:
    """The models of one eval. Each is evaluated when a number of it is first asked for.

    Parameters
    ----------
    on : Eval or ReportedEval
        The eval.
    models : mapping
        Name -> model, for every model that may be asked for.
    student : str, optional
        Name of the student that is compared with the teacher; None where there is none.
    metric : str or Metric, optional
        What is looked at where nobody names a metric; the eval's headline metric by default.
    sft_size_tolerance : float
        By which share the parameters of SFT student and student may differ.
    """

    def __init__(
        self,
        on: Eval | ReportedEval,
        models: Mapping[str, Model],
        student: str | None,
        metric: str | Metric | None = None,
        sft_size_tolerance: float = 0.05,
    ) -> None:
        self.on = on
        self.models = models
        self.sft_size_tolerance = sft_size_tolerance
        self._student = student
        self._metric = metric

    @property
    def eval(self) -> str:
        """Name of the eval."""
        return self.on.name

    @property
    def teacher(self) -> Model:
        """The teacher; ConfigError where there is none."""
        return self.model("teacher")

    @property
    def student(self) -> Model:
        """The student; ConfigError where there is none, or several and none was named."""
        return self.model("student")

    @property
    def sft(self) -> Model:
        """The plain-SFT student; ConfigError where there is none."""
        return self.model("sft")

    def model(self, name: str) -> Model:
        """Return the model with that name or role; ConfigError where there is none."""
        return find_model(self.models, name, self._student)

    def metric(self, metric: str | Metric | None = None) -> Metric:
        """Return a metric of the eval by its name; the one that is looked at without one."""
        metric = self._metric if metric is None else metric
        if metric is None:
            return self.on.metrics[0]
        if not isinstance(metric, str):
            return metric
        task = self.on.task.name if isinstance(self.on, Eval) else None
        return find_metric(self.eval, metric, self.on.metrics, task)

    def indices(self, slice: Slice | None) -> Indices | None:
        """Return the positions of a slice's examples; None for all."""
        if slice is None:
            return None
        if not isinstance(self.on, Eval):
            raise ComparisonError(f"eval '{self.eval}' has only reported scores, and so no slices")
        return self.on.select(slice)

    def evaluation(self, model: str) -> Evaluation:
        """Return the evaluation of the model with that name or role, checked against the others.

        Raises
        ------
        ComparisonError
            Where it is of another gold set, prompt or decoding than the eval's.
        """
        evaluation = self.model(model).evaluate(self.on)
        if isinstance(evaluation, Measured) and isinstance(self.on, Eval):
            refuse_unlike(evaluation, self.on)
        return evaluation

    def n(self, slice: Slice | None = None) -> int | None:
        """Return the number of examples; None where only scores are known."""
        indices = self.indices(slice)
        if indices is not None:
            return len(indices)
        return len(self.on.gold) if isinstance(self.on, Eval) else None

    def score(
        self,
        model: str = "student",
        metric: str | Metric | None = None,
        slice: Slice | None = None,
    ) -> float:
        """Return a model's score, by name or role."""
        return float(self.exact_score(model, metric, slice))

    def exact_score(
        self, model: str, metric: str | Metric | None = None, slice: Slice | None = None
    ) -> Fraction:
        """Return a model's score as an exact fraction."""
        return self.evaluation(model).score(self.metric(metric), self.indices(slice))

    @property
    def scores(self) -> dict[str, dict[str, float]]:
        """The score of every model by every metric of the eval: metric -> model -> score."""
        return {
            metric.name: {name: self.score(name, metric) for name in self.models}
            for metric in self.on.metrics
        }

    def retained(
        self,
        metric: str | Metric | None = None,
        *,
        model: str = "student",
        slice: Slice | None = None,
    ) -> float:
        """Return which share of the teacher's quality a model kept; 1.0 is as good as the teacher.

        Raises
        ------
        ComparisonError
            Where the teacher's score is zero or negative, so that no ratio exists.
        """
        return float(self.exact_retained(metric, model=model, slice=slice))

    def exact_retained(
        self,
        metric: str | Metric | None = None,
        *,
        model: str = "student",
        slice: Slice | None = None,
    ) -> Fraction:
        """Return `retained` as an exact fraction."""
        wanted = self.metric(metric)
        return retention(
            self.exact_score(model, wanted, slice),
            self.exact_score("teacher", wanted, slice),
            wanted,
            f"{wanted.name} on '{self.eval}'",
        )

    @property
    def flips(self) -> Flips:
        """Where teacher and student part by the headline metric."""
        return self.flips_by(self.metric())

    def flips_by(self, metric: Metric, slice: Slice | None = None, to: str = "teacher") -> Flips:
        """Return where student and another model part, by each example's own score."""
        teacher, student = self.evaluation(to), self.evaluation("student")
        if not isinstance(teacher, Measured) or not isinstance(student, Measured):
            raise ComparisonError(f"eval '{self.eval}' has reported scores: no flips are known")
        gain = student.scores(metric) - teacher.scores(metric)
        gain = gain if metric.higher_is_better else -gain
        indices = self.indices(slice)
        chosen = range(len(gain)) if indices is None else indices
        examples = teacher.eval.gold.examples
        return Flips(
            lost=tuple(examples[i].id for i in chosen if gain[i] < 0),
            won=tuple(examples[i].id for i in chosen if gain[i] > 0),
        )

    def measured(self) -> bool:
        """Return whether there are examples to look at, or scores alone."""
        return all(isinstance(self.evaluation(m), Measured) for m in ("teacher", "student"))


def find_model(models: Mapping[str, Model], name: str, student: str | None) -> Model:
    """Return a model by its name or role.

    Parameters
    ----------
    models : mapping
        Name -> model.
    name : str
        A model's name, or a role.
    student : str, optional
        The name of the student that the role `student` means, where there are several.

    Raises
    ------
    ConfigError
        Where there is none, or several and none was chosen.
    """
    if name == "student" and student is not None:
        return models[student]
    found = [models[name]] if name in models else [m for m in models.values() if m.role == name]
    if len(found) == 1:
        return found[0]
    if found:
        raise ConfigError(
            f"distill.yaml has several students ({', '.join(m.name for m in found)}): name one, "
            f"e.g. @pytest.mark.distill(student='{found[0].name}')"
        )
    if name in get_args(Role):
        raise ConfigError(f"a model with the role '{name}' is needed, and distill.yaml has none")
    known = {*models, *(m.role for m in models.values())}
    raise ConfigError(f"distill.yaml has no model '{name}'; {did_you_mean(name, known)}")


def find_metric(eval: str, name: str, listed: Sequence[Metric], task: str | None) -> Metric:
    """Return a metric of an eval by its name: one listed for it, or one that suits its task."""
    suited = TASKS[task].metrics if task else ()
    known = {n: BUILT_IN[n] for n in suited} | {m.name: m for m in listed}
    if name not in known:
        raise ConfigError(f"eval '{eval}' has no metric '{name}'; {did_you_mean(name, known)}")
    return known[name]


def retention(student: Fraction, teacher: Fraction, metric: Metric, where: str) -> Fraction:
    """Return student / teacher; teacher / student for a metric where lower is better.

    Raises
    ------
    ComparisonError
        Where the ratio does not exist or says nothing: the teacher's score is not above zero.
    """
    ratio = kept(student, teacher, metric.higher_is_better)
    if ratio is not None:
        return ratio
    who, score = ("teacher", teacher) if teacher <= 0 else ("student", student)
    raise ComparisonError(
        f"{where}: the {who} scores {float(score):g}, so that no share of the teacher's quality "
        f"exists; check the {who}, or gate the student alone with assert_score()"
    )


def refuse_unlike(evaluation: Measured, on: Eval) -> None:
    """Raise ComparisonError where an evaluation is not of exactly this eval."""
    if evaluation.eval.digest == on.digest:
        return
    name = evaluation.info.name
    if [e.id for e in evaluation.eval.gold] != [e.id for e in on.gold]:
        what = "other examples"
    elif evaluation.eval.task.settings() != on.task.settings():
        what = "another prompt, other choices or other decoding settings"
    else:
        what = "other contents under the same ids"
    raise ComparisonError(f"model '{name}' was evaluated on {what} than eval '{on.name}' has now")


def worst_slices(
    comparison: Comparison, metric: Metric, most: int
) -> list[tuple[str, int, Fraction, Fraction, Fraction]]:
    """Return the slices where the student kept least: name, n, teacher, student, retained.

    Slices in which the teacher scores nothing have no ratio and are left out.
    """
    on = comparison.on
    if not isinstance(on, Eval) or not comparison.measured():
        return []
    teacher, student = comparison.evaluation("teacher"), comparison.evaluation("student")
    found = []
    for field in on.slices:
        for value, indices in on.slice_ids(field).items():
            t, s = teacher.score(metric, indices), student.score(metric, indices)
            ratio = kept(s, t, metric.higher_is_better)
            if ratio is not None:
                found.append((f"{field}={value}", len(indices), t, s, ratio))
    return sorted(found, key=lambda row: row[-1])[:most]


def lost_rows(
    comparison: Comparison, metric: Metric, to: str, slice: Slice | None = None
) -> list[dict[str, object]]:
    """Return what can be read of every example that the student lost to another model.

    Parameters
    ----------
    to : str
        Name or role of the model that did better on these examples.

    Returns
    -------
    list of dict
        JSON-able rows: id, the example's fields, and score and answer of both models.
    """
    better, student = comparison.evaluation(to), comparison.evaluation("student")
    if not isinstance(better, Measured) or not isinstance(student, Measured):
        return []
    lost = set(comparison.flips_by(metric, slice, to).lost)
    return [
        {
            "id": example.id,
            "fields": dict(example.fields),
            **{e.info.name: _said(e, metric, position) for e in (better, student)},
        }
        for position, example in enumerate(better.eval.gold)
        if example.id in lost
    ]


def _said(evaluation: Measured, metric: Metric, position: int) -> dict[str, object]:
    said: dict[str, object] = {"score": float(evaluation.scores(metric)[position])}
    if evaluation.predictions:
        said["answer"] = evaluation.answers[position].predicted
    return said
