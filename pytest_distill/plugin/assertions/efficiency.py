"""Assertions about size, speed and memory."""

from __future__ import annotations

from pytest_distill.comparison.comparison import Confidence
from pytest_distill.gates import Faster, Latency, MemoryUse, Size, Smaller, Throughput
from pytest_distill.gates.latency import Of
from pytest_distill.gates.measured import EXAMPLES
from pytest_distill.gates.size import Measure
from pytest_distill.plugin.assertions.asking import ask


def assert_smaller(
    max_ratio: float, *, by: Measure = "parameters", student: str | None = None
) -> None:
    """Assert that the student has at most a share of the teacher's parameters or bytes.

    Parameters
    ----------
    max_ratio : float
        The ceiling for student size / teacher size, any number above 0. Compared exactly.
    by : {"parameters", "bytes"}
        What is counted: parameters, or bytes of weights and tokenizer on disk.
    student : str, optional
        Name of the student; by default the marker's, else the only one in ``distill.yaml``.

    Raises
    ------
    AssertionError
        When the student is bigger; the message shows the sizes.
    DistillError
        When a size is not known.
    """
    __tracebackhide__ = True
    ask(Smaller(max_ratio, by), None, student)


def assert_size(
    *,
    max_bytes: str | int | None = None,
    max_parameters: str | int | None = None,
    student: str | None = None,
) -> None:
    """Assert that the student has at most so many bytes on disk, or parameters, or both.

    Parameters
    ----------
    max_bytes, max_parameters : str or int, optional
        ``"300 MB"`` (1,000,000 bytes each; ``MiB`` are 1,048,576), ``"135M"``, or a plain number.
    student : str, optional
        As for `assert_smaller`.

    Raises
    ------
    AssertionError
        When the student is bigger.
    DistillError
        When a size is not known.
    """
    __tracebackhide__ = True
    ask(Size(max_bytes, max_parameters), None, student)


def assert_faster(
    min_speedup: float,
    *,
    confidence: Confidence = "default",
    examples: int = EXAMPLES,
    eval: str | None = None,
    student: str | None = None,
) -> None:
    """Assert that the student answers an example so many times as fast as the teacher.

    Both are in memory, warmed up, and answer the same examples one at a time, in random order
    within each pair. The median of the ratios over examples is judged; an example that comes round
    again counts once, and so do the examples of a cluster.

    Parameters
    ----------
    min_speedup : float
        The floor for teacher's time / student's time.
    confidence : float, optional
        By default as the marker or ``distill.yaml`` says, else 0.95: the one-sided bound of the
        median decides, and the verdict may be INCONCLUSIVE. None: the observed median does.
    examples : int
        How many pairs are timed. More of them than the gold set has examples make each example's
        ratio steadier, and do not count as further examples.
    eval, student : str, optional
        Names; by default the marker's, else the only ones in ``distill.yaml``.

    Raises
    ------
    AssertionError
        When the student is slower, or when that cannot be told.
    DistillError
        When the times cannot be compared, for one because the models ran on different devices.
    """
    __tracebackhide__ = True
    ask(Faster(min_speedup, confidence, examples), eval, student)


def assert_latency(
    *,
    p50: str | float | None = None,
    p95: str | float | None = None,
    p99: str | float | None = None,
    of: Of = "example",
    confidence: Confidence = "default",
    examples: int = EXAMPLES,
    eval: str | None = None,
    student: str | None = None,
) -> None:
    """Assert how long the student takes for one example alone.

    Parameters
    ----------
    p50, p95, p99 : str or float, optional
        Limits of quantiles: ``"50 ms"``, or seconds. At least one of them.
    of : {"example", "first_token", "token"}
        The whole answer; of a generated text its first token, or each token after it.
    confidence : float, optional
        By default as the marker or ``distill.yaml`` says, else 0.95: the upper bound of the
        quantile decides. None: the observed quantile does.
    examples : int
        How many are timed. A bound of p95 at 0.95 needs 59 different ones, one of p99 299: an
        example that comes round again counts once, and so do the examples of a cluster.
    eval, student : str, optional
        As for `assert_faster`.

    Raises
    ------
    AssertionError
        When it takes longer, or when that cannot be told.
    DistillError
        When it cannot be measured.
    """
    __tracebackhide__ = True
    ask(Latency(p50, p95, p99, of, confidence, examples), eval, student)


def assert_throughput(
    min: str | float,
    *,
    examples: int = EXAMPLES,
    eval: str | None = None,
    student: str | None = None,
) -> None:
    """Assert how many examples the student answers in a second, at the best batch size.

    Parameters
    ----------
    min : str or float
        ``"200 /s"``, or examples a second. Held against the slowest repetition.
    examples : int
        How many are answered at a time.
    eval, student : str, optional
        As for `assert_faster`.

    Raises
    ------
    AssertionError
        When it is slower.
    DistillError
        When it cannot be measured.
    """
    __tracebackhide__ = True
    ask(Throughput(min, examples), eval, student)


def assert_memory(
    max: str | int,
    *,
    examples: int = EXAMPLES,
    eval: str | None = None,
    student: str | None = None,
) -> None:
    """Assert how much memory the student takes at most while it answers.

    On CUDA that of its tensors; on the CPU that of a process of its own, Python included.

    Parameters
    ----------
    max : str or int
        ``"1 GB"``, or bytes.
    examples : int
        How many of the longest examples are answered.
    eval, student : str, optional
        As for `assert_faster`.

    Raises
    ------
    AssertionError
        When it takes more.
    DistillError
        When it cannot be measured.
    """
    __tracebackhide__ = True
    ask(MemoryUse(max, examples), eval, student)
