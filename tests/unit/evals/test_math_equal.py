"""Equality as mathematics, in a process of its own."""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Callable
from dataclasses import replace

import pytest

from pytest_distill.errors import ConfigError, GoldSetError
from pytest_distill.evals import mathematics
from pytest_distill.evals.built_in import BUILT_IN
from pytest_distill.evals.metrics import Answer, MeanMetric
from pytest_distill.evals.metrics import mathematics as metric_module
from pytest_distill.evals.metrics.samples import Majority, PassAt

MakeAnswer = Callable[..., Answer]

MATH_EQUAL = BUILT_IN["math_equal"]
TOWER = "$10^{10^{10}}$"
"""What no computer writes out: Python's own power hangs in C."""

EQUAL = [
    ("72", "72.0"),
    ("72", "The answer is 72."),
    ("72", r"So she sold \boxed{72} clips."),
    ("#### 72", "72"),
    ("1,234", "1234"),
    ("1 000", "1000"),
    ("18", "$18"),
    (r"\$5.00", "5"),
    ("-5", "\N{MINUS SIGN}5"),
    ("50%", "0.5"),
    (r"\frac{1}{2}", "0.5"),
    (r"\frac{1}{2}", "1/2"),
    (r"\dfrac{3}{4}", r"$$\tfrac{6}{8}$$"),
    (r"3\frac{1}{2}", "3.5"),
    (r"\sqrt{2}", r"$\sqrt2$"),
    ("$x+1$", "1 + x"),
    ("x + 1", "$1+x$"),
    ("x^2-1", "(x-1)(x+1)"),
    (r"\sin(x)^2+\cos(x)^2", "1"),
    ("2.5e3", "2500"),
    ("2^10", "1024"),
    ("{1,2}", r"\{2, 1\}"),
    ("x = 3", "3"),
    (r"\begin{pmatrix}1&2\end{pmatrix}", r"$\begin{pmatrix} 1 & 2 \end{pmatrix}$"),
    ("5 cm", "5"),
    (r"\text{Evelyn}", r"It is $\text{Evelyn}$."),
    (r"Therefore $x \in [1, 2]$.", "[1,2]"),
]
DIFFERENT = [
    ("72", "73"),
    ("72", ""),
    ("72", " \n"),
    ("72", "seventy-two"),
    ("72", "}{$$\\frac"),
    ("72", "\ud800 $\ud800$"),
    ("72", "\0"),
    ("x + 1", "1"),
    ("2.5", "2.5e3"),
    (r"\sqrt{2}", "2"),
    ("10^{100}", "10"),
    ("(1,2)", "(2,1)"),
    (r"\pi", "3.14"),
    ("0.333", "1/3"),
]


def score(answer: Answer) -> float:
    """Return the score of one answer."""
    return float(MATH_EQUAL.scores([answer])[0])


@pytest.mark.parametrize(("gold", "answer"), EQUAL)
def test_what_is_equal(text_answer: MakeAnswer, gold: str, answer: str) -> None:
    """Numbers, LaTeX, terms and sets are equal in whatever form, also inside a longer text."""
    assert score(text_answer(answer, gold)) == 1


@pytest.mark.parametrize(("gold", "answer"), DIFFERENT)
def test_what_is_different(text_answer: MakeAnswer, gold: str, answer: str) -> None:
    """Other numbers, no answer and one that cannot be read are wrong."""
    assert score(text_answer(answer, gold)) == 0


def test_any_accepted_answer_counts(text_answer: MakeAnswer) -> None:
    """One of several accepted answers is enough."""
    assert score(text_answer("0.5", "7", r"\frac12")) == 1
    assert score(text_answer("0.6", "7", r"\frac12")) == 0


def test_the_same_text_is_equal_without_the_library(text_answer: MakeAnswer) -> None:
    """Math-verify is not asked whether a text equals itself, also where an accent is two."""
    calls = metric_module._APART
    text = "$e\u0301 + 71$"
    assert score(text_answer(text, "$\u00e9 + 71$")) == 1
    assert ("equals", "$\u00e9 + 71$", "$\u00e9 + 71$") not in metric_module._FOUND
    assert calls.pid is not None


@pytest.mark.parametrize("gold", ["", "  ", "yes", "Evelyn", "$$"])
def test_a_gold_answer_that_is_no_mathematics(text_answer: MakeAnswer, gold: str) -> None:
    """It is an error with the example's id, whatever the model answered."""
    for predicted in (gold, "42"):
        with pytest.raises(
            GoldSetError, match=r"^gold.jsonl:3 \(id 'r3'\): math-verify reads noth"
        ):
            score(text_answer(predicted, "42", gold))


def test_samples_that_vote_alike(text_answer: MakeAnswer) -> None:
    """1/2 and 0.5 are one vote; what another sample says need not be mathematics."""
    said = ["1/2", "0.5", "well", "hm", "I do not know", "0.6", "0.6"]
    samples = tuple(text_answer(text, "0.50") for text in said)
    answer = replace(samples[0], samples=samples)
    assert Majority("majority@5", k=5, of=MATH_EQUAL).scores([answer]).tolist() == [1]
    assert Majority("majority@7", k=7, of=MATH_EQUAL).scores([answer]).tolist() == [0.5]


@pytest.fixture
def a_second(monkeypatch: pytest.MonkeyPatch) -> None:
    """Give each comparison a second, in a process of the test's own."""
    made = type(metric_module._APART)(
        "pytest_distill.evals.mathematics:ask", seconds=1, memory=4 << 30
    )
    monkeypatch.setattr(metric_module, "_APART", made)
    monkeypatch.setattr(metric_module, "_FOUND", {})


@pytest.mark.usefixtures("a_second")
def test_an_answer_that_hangs_is_wrong_and_told(text_answer: MakeAnswer) -> None:
    """It is asked once, counts as wrong, and is a doubt about the model that gave it."""
    late, fine = text_answer(TOWER, "42"), text_answer("42", "42")
    assert list(MATH_EQUAL.doubts("student", [late])) == []  # nothing is computed
    assert MATH_EQUAL.scores([late, fine, late]).tolist() == [0, 1, 0]
    begun = time.monotonic()
    assert score(late) == 0
    assert time.monotonic() - begun < 0.5
    assert list(MATH_EQUAL.doubts("student", [late, fine, late])) == [
        "suspicious: 2 answers of student took longer than 5 s to compare and count as wrong "
        "(math_equal)"
    ]
    assert list(MATH_EQUAL.doubts("teacher", [fine])) == []
    passed = PassAt("pass@1", k=1, of=MATH_EQUAL)
    assert list(passed.doubts("student", [late, fine])) == [
        "suspicious: 1 answer of student took longer than 5 s to compare and counts as wrong "
        "(math_equal)"
    ]


@pytest.mark.usefixtures("a_second")
def test_a_late_comparison_beside_an_equal_one(text_answer: MakeAnswer) -> None:
    """Where another accepted answer is equal the answer is right, and nothing is in doubt."""
    answer = text_answer("42.0", "$2^{2^{2^{x}}} - 9^{9^{9}}$", "42")
    metric_module._FOUND["is_mathematics", answer.targets[0]] = True
    metric_module._FOUND["equals", answer.targets[0], "42.0"] = None
    assert score(answer) == 1
    assert list(MATH_EQUAL.doubts("student", [answer])) == []


@pytest.mark.usefixtures("a_second")
def test_a_gold_answer_that_hangs(text_answer: MakeAnswer) -> None:
    """It is an error of the gold set, not of the models."""
    with pytest.raises(GoldSetError, match="takes longer than 5 s to read for math_equal"):
        score(text_answer("42", f"${'(' * 5000}1{')' * 5000}$"))


def test_a_process_that_was_killed(text_answer: MakeAnswer) -> None:
    """The next comparison starts another, and is no wrong answer."""
    assert score(text_answer("70.0", "70")) == 1
    pid = metric_module._APART.pid
    assert pid is not None
    os.kill(pid, signal.SIGKILL)
    assert score(text_answer("71.0", "71")) == 1
    assert metric_module._APART.pid != pid


def test_no_alarm_is_set(monkeypatch: pytest.MonkeyPatch) -> None:
    """Math-verify's own limit, a signal, is off: it works in the main thread alone."""
    monkeypatch.setattr(signal, "alarm", lambda _: pytest.fail("an alarm was set"))
    assert mathematics.ask("equals", "1/2", "0.5")
    assert not mathematics.ask("equals", "1/2", "0.7")
    assert mathematics.ask("is_mathematics", "1/2")


def test_a_missing_package(text_answer: MakeAnswer, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without math-verify the metric says in one line what to install."""
    monkeypatch.setitem(sys.modules, "math_verify", None)
    with pytest.raises(ConfigError) as caught:
        score(text_answer("1", "2"))
    with pytest.raises(ConfigError, match="metric 'math_equal' needs"):
        PassAt("pass@1", k=1, of=MATH_EQUAL).require()
    assert str(caught.value) == (
        "metric 'math_equal' needs the package math-verify: pip install 'pytest-distill[math]'"
    )


def test_it_says_right_or_wrong() -> None:
    """Its scores are 1 and 0, as those of exact_match are, and not of token_f1."""
    binary = {m.name for m in BUILT_IN.values() if isinstance(m, MeanMetric) and m.binary}
    assert {"accuracy", "accuracy_norm", "exact_match", "math_equal"} <= binary
    assert not {"token_f1", "rouge_l"} & binary
