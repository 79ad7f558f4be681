"""Multiple choice against lm-evaluation-harness's ``hf`` model at its best batch size.

Run from the repository's root; prints Markdown:

    python benchmarks/speed/multiple_choice.py [--rounds 3] [--threads 1] [--torch-products]
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from common import SMOLLM2, Measured, best, data, header, interleaved, machine, options, our_engine

from pytest_distill.engines.transformers import TransformersEngine
from pytest_distill.evals.tasks.multiple_choice import ChoiceRequest

SHOTS = 5
BATCH_SIZES = (16, 1, 4, 8)  # those of lm-evaluation-harness that are tried


@dataclass(frozen=True)
class Question:
    """A question of one of the data sets, rendered."""

    id: str
    prompt: str
    choices: tuple[str, ...]
    gold: int


def letters(row: Any, prompt: str) -> Question:
    """Return a question whose choices have letters (ARC, OpenBookQA)."""
    texts, labels = row["choices"]["text"], row["choices"]["label"]
    return Question(row["id"], prompt, tuple(texts), labels.index(row["answerKey"]))


def arc_easy() -> list[Question]:
    """Return ARC-Easy as lm-evaluation-harness asks it."""
    rows = data("ai2_arc/ARC-Easy/validation")
    return [letters(row, f"Question: {row['question']}\nAnswer:") for row in rows]


def openbookqa() -> list[Question]:
    """Return OpenBookQA as lm-evaluation-harness asks it: the stem alone."""
    return [letters(row, row["question_stem"]) for row in data("openbookqa/main/validation")]


def sciq() -> list[Question]:
    """Return SciQ with its support text, as lm-evaluation-harness asks it."""
    names = ("distractor1", "distractor2", "distractor3", "correct_answer")
    return [
        Question(
            str(number),
            f"{row['support'].lstrip()}\nQuestion: {row['question']}\nAnswer:",
            tuple(row[name] for name in names),
            3,
        )
        for number, row in enumerate(data("sciq/none/validation"))
        if row["support"].strip()
    ]


def few_shot() -> list[Question]:
    """Return ARC-Easy after five solved questions, its last five."""
    questions = arc_easy()
    solved = [f"{q.prompt} {q.choices[q.gold]}\n\n" for q in questions[-SHOTS:]]
    return [
        Question(q.id, "".join(solved) + q.prompt, q.choices, q.gold) for q in questions[:-SHOTS]
    ]


CASES: dict[str, tuple[Callable[[], list[Question]], int, float]] = {
    "OpenBookQA, 0 shots": (openbookqa, 24, 2.5),
    "ARC-Easy, 0 shots": (arc_easy, 20, 2.5),
    "SciQ with support, 0 shots": (sciq, 8, 3.0),
    "ARC-Easy, 5 shots": (few_shot, 10, 8.0),
}
"""For each case the questions, how many a round asks, and the least ratio that is aimed at."""

Scores = list[tuple[float, ...]]


def ask_harness(harness: Any, questions: list[Question], batch_size: int) -> Scores:
    """Return lm-evaluation-harness's log-likelihoods."""
    from lm_eval.api.instance import Instance

    harness.batch_size_per_gpu = batch_size
    instances = [
        Instance("loglikelihood", {}, (q.prompt, f" {choice}"), number)
        for q in questions
        for number, choice in enumerate(q.choices)
    ]
    values = iter(harness.loglikelihood(instances, disable_tqdm=True))
    return [tuple(next(values)[0] for _ in q.choices) for q in questions]


def ask_ours(engine: TransformersEngine, questions: list[Question]) -> Scores:
    """Return our log-likelihoods, in the order of the questions."""
    requests = [
        ChoiceRequest(q.id, q.prompt, tuple(f" {choice}" for choice in q.choices))
        for q in questions
    ]
    got = {prediction.id: prediction.loglikelihoods for prediction in engine.predict(requests)}
    return [got[q.id] or () for q in questions]


def accuracies(questions: list[Question], scores: Scores) -> tuple[float, float]:
    """Return acc and acc_norm (by the length of the choice in bytes), as lm-eval defines them."""
    right = normed = 0
    for q, values in zip(questions, scores, strict=True):
        lengths = [len(choice.encode()) for choice in q.choices]
        by_length = [value / length for value, length in zip(values, lengths, strict=True)]
        right += values.index(max(values)) == q.gold
        normed += by_length.index(max(by_length)) == q.gold
    return right / len(questions), normed / len(questions)


def main() -> None:
    """Measure all cases and print the table."""
    chosen = options(__doc__, rounds=3)
    from lm_eval.models.huggingface import HFLM

    harness = HFLM(pretrained=str(SMOLLM2), device="cpu", batch_size=16)
    engine = our_engine(SMOLLM2, chosen)
    print(machine(chosen), "\n")
    print(header("lm-eval", "aim", "its batch size", "examples", "acc, acc_norm", "largest diff."))
    for name, (load, size, bar) in CASES.items():
        if chosen.only not in name:
            continue
        questions = load()
        sample = random.Random(chosen.seed - 1).sample(questions, 4)
        batch = best(BATCH_SIZES, lambda b, sample=sample: ask_harness(harness, sample, b))
        # Loads, and checks the fast path up to the longest question, once a model.
        ask_ours(engine, [*sorted(questions, key=lambda q: len(q.prompt))[-4:], *sample])
        measured, worst, equal = Measured(name), 0.0, True
        for turn in range(chosen.rounds):
            asked = random.Random(chosen.seed + turn).sample(questions, size)
            theirs, ours = interleaved(
                measured,
                turn,
                lambda asked=asked, batch=batch: ask_harness(harness, asked, batch),
                lambda asked=asked: ask_ours(engine, asked),
            )
            pairs = zip(sum(theirs, ()), sum(ours, ()), strict=True)
            worst = max(worst, *(abs(a - b) for a, b in pairs))
            equal &= accuracies(asked, theirs) == accuracies(asked, ours)
        more = (f"{bar}", str(batch), str(size), "equal" if equal else "NOT equal", f"{worst:.0e}")
        print(measured.row(*more), flush=True)
    assert not engine.notes, engine.notes


if __name__ == "__main__":
    main()
