"""Tasks of lm-evaluation-harness of every kind, on made documents, against itself."""

from __future__ import annotations

import json
from itertools import cycle, islice
from pathlib import Path
from typing import Any
from unittest import mock

import pytest

from pytest_distill.config import load_config
from pytest_distill.config.evals import HarnessEval
from pytest_distill.evals.lm_eval import harness
from tests.lm_eval_scripted import Made, ScriptedEngine, scripted_model
from tests.lm_eval_tasks import asked, differences

pytestmark = [
    pytest.mark.lm_eval,
    pytest.mark.filterwarnings("ignore"),  # of lm-evaluation-harness and datasets, not ours
]

TEXTS = (
    "The cat sat on the mat.",
    "A dog ran home today, quickly.",
    "Rain falls on the plain in Spain.",
    "He saw ten men there by the sea.",
)
LINES = [f"{text} {number}" for number, text in enumerate(islice(cycle(TEXTS), 12))]


def _rows(**columns: Any) -> list[dict[str, Any]]:
    """Return a row for each line, which stands in place of LINE; other values come in turns."""
    turns = {key: cycle(given) for key, given in columns.items() if isinstance(given, list)}
    return [
        {
            key: line if given is LINE else next(turns[key]) if key in turns else given
            for key, given in columns.items()
        }
        for line in LINES
    ]


LINE = "the line"
TWO = [0, 1, 1, 0, 1]
NAMES = ["The Sea", "sea", "The ocean", "nothing"]
SQUAD = {"aliases": ["The Sea", "Sea"], "value": "Sea"}
OF_TRUTH = {"choices": ["a", "b c", "d"], "labels": [1, 0, 0]}
DATE = {"day": "", "month": "", "year": ""}
DROPPED = {"number": "10", "date": DATE, "spans": [], "worker_id": "", "hit_id": ""}
ASKED = _rows(
    id="1",
    question=LINE,
    question_concept="x",
    choices={"label": list("ABCDE"), "text": ["ape", "bee", "cow", "dog", "elk"]},
    answerKey=list("ABCDE"),
)

MADE = {
    "several contexts": Made(
        "winogrande",
        rows=_rows(
            sentence="It hit them as _ was big.", option1=LINE, option2="it", answer=list("1221")
        ),
    ),
    "mcc": Made("cola", rows=_rows(sentence=LINE, label=TWO, idx=0)),
    "f1": Made("mrpc", rows=_rows(sentence1=LINE, sentence2="It rains.", label=TWO, idx=0)),
    "f1 of its own": Made("cb", rows=_rows(premise=LINE, hypothesis="It.", label=[0, 1, 2, 2])),
    "values of its own": Made(
        "truthfulqa_mc2",
        rows=_rows(
            question=LINE,
            mc1_targets=OF_TRUTH,
            mc2_targets={"choices": ["aa", "bb", "c", "dd"], "labels": [1, 1, 0, 0]},
        ),
    ),
    "several targets": Made("triviaqa", rows=_rows(question=LINE, answer=SQUAD), texts=NAMES),
    "translations": Made(
        "wmt16-en-de",
        split="test",
        rows=[
            {"translation": {"en": line, "de": target}}
            for line, target in zip(LINES, cycle(TEXTS[:3]), strict=False)
        ],
        texts=TEXTS,
        said={"metric_list": [{"metric": each} for each in ("bleu", "ter", "chrf", "chrf++")]},
    ),
    "correlation": Made(
        "assin2_sts",
        split="test",
        rows=_rows(premise=LINE, hypothesis="It.", relatedness_score=[1.0, 2.5, 4.0, 5.0, 3.0]),
        texts=("1", "2", "3.5", "5"),
    ),
    "best of several": Made(
        "drop",
        rows=_rows(
            passage=LINE,
            question="Who?",
            query_id="1",
            answer=DROPPED,
            validated_answers={
                key: [value] for key, value in DROPPED.items() if not isinstance(value, list)
            }
            | {"spans": [[]]},
        ),
        texts=("10", "ten men", "none at all"),
    ),
    "majority of samples": Made(
        "gsm8k_cot_self_consistency",
        split="test",
        rows=_rows(question=LINE, answer=["x #### 1", "x #### 2"]),
        texts=("The answer is 1.", "The answer is 2.", "No idea."),
    ),
    "shuffled choices": Made(
        "gpqa_main_zeroshot",
        rows=[
            {
                "Question": line,
                "Correct Answer": "right",
                **{f"Incorrect Answer {n}": f"wrong {n}" for n in (1, 2, 3)},
            }
            for line in LINES
        ],
    ),
    "per word and byte": Made("wikitext", split="test", rows=_rows(page=LINE)),
    "greedy": Made(
        "webqs", split="test", rows=[{"question": line, "answers": ["a b", "c"]} for line in LINES]
    ),
    "mutual information": Made(
        "commonsense_qa",
        rows=ASKED,
        said={
            "metric_list": [
                {"metric": "acc_mutual_info"},
                {"metric": "brier_score"},
                {"metric": "acc_bytes"},
                {"metric": "mcc"},
                {"metric": "exact_match"},
            ]
        },
    ),
}


@pytest.mark.parametrize("kind", MADE)
def test_a_kind_of_task_is_equal_document_by_document_and_in_every_aggregate(kind: str) -> None:
    """Prompts, responses, what each filter makes of them, every value, and every aggregate."""
    assert MADE[kind].differences() == []


def test_a_group_is_equal_in_every_task_and_in_its_average(tmp_path: Path) -> None:
    """The tasks of mmlu_stem with two shots, and the mean over all documents of all tasks."""
    import datasets
    import lm_eval
    from lm_eval.tasks import TaskManager

    (tmp_path / "distill.yaml").write_text(
        "models: {teacher: {path: a}, student: {path: b}}\n"
        "evals:\n"
        "  stem:\n"
        "    task: lm_eval:mmlu_stem\n"
        "    num_fewshot: 2\n"
        "    data: {test: '{dataset_name}.jsonl', dev: '{dataset_name}.jsonl'}\n"
    )
    config = load_config(tmp_path / "distill.yaml")
    (group,) = config.groups.values()
    subjects = [name.removeprefix("stem.mmlu_") for name in group.evals]
    by_subject = {
        subject: [
            {"question": f"{subject} {line}", "choices": list(TEXTS), "answer": (n + at) % 4}
            for n, line in enumerate(LINES[: 2 + at % 3])
        ]
        for at, subject in enumerate(subjects)
    }
    for subject, rows in by_subject.items():
        lines = "".join(json.dumps(row) + "\n" for row in rows)
        (tmp_path / f"{subject}.jsonl").write_text(lines)

    def of_hub(name: str, **_: Any) -> Any:
        rows = datasets.Dataset.from_list(by_subject[name])
        return datasets.DatasetDict({"test": rows, "dev": rows})

    with (
        mock.patch.object(datasets, "load_dataset", of_hub),
        mock.patch("lm_eval.evaluator.add_env_info"),
    ):
        report = lm_eval.simple_evaluate(
            model=scripted_model(()),
            tasks=["mmlu_stem"],
            num_fewshot=2,
            task_manager=TaskManager(
                include_path=str(harness.tasks_folder() / "mmlu" / "default"),
                include_defaults=False,
            ),
            bootstrap_iters=0,
        )
    found = {}
    for name in group.evals:
        entry = config.evals[name]
        assert isinstance(entry, HarnessEval)
        task = entry.asks(lambda _: (), tmp_path)
        found[name] = asked(task, ScriptedEngine(()))
        assert differences(found[name], report) == []
    (average,) = group.averages
    scores = {name: one.exact_score(one.metrics[0]) for name, one in found.items()}
    sizes = {name: one.n for name, one in found.items()}
    assert float(average(scores, sizes)) == report["results"]["mmlu_stem"]["acc,none"]
