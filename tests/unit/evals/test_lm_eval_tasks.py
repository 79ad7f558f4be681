"""Tasks of lm-evaluation-harness of every kind, on made documents, against itself."""

from __future__ import annotations

from itertools import cycle, islice
from typing import Any

import pytest

from tests.lm_eval_scripted import Made

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
