"""The file of an accepted run: exact, small, and refused where it is not whole."""

from __future__ import annotations

import json
import os
import tracemalloc
import zlib
from base64 import b64encode
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pytest_distill.comparison.baseline.file import (
    MOST_BYTES,
    AcceptedEval,
    AcceptedModel,
    AcceptedScores,
    BaselineFile,
    age_text,
    examples_of,
    read_baseline,
    rows_of,
    write_baseline,
)
from pytest_distill.comparison.baseline.packing import pack, pack_digests, unpack, unpack_digests
from pytest_distill.comparison.baseline.pairing import pair
from pytest_distill.errors import ConfigError

MODELS = ("teacher", "student", "sft")
NOW = datetime(2026, 11, 27, tzinfo=UTC)


def digests(n: int, seed: int = 0) -> np.ndarray[Any, np.dtype[np.uint64]]:
    """Return what no compression makes smaller, as digests are."""
    return np.random.default_rng(seed).integers(0, 2**63, n, dtype=np.uint64)


def scores(make: Callable[[], Any], columns: int | None = None) -> AcceptedScores:
    """Return the scores of the three models by one metric."""
    return AcceptedScores(
        higher_is_better=True,
        range=(0.0, 1.0),
        columns=columns,
        labels=None,
        rows={name: pack(make()) for name in MODELS},
    )


def baseline(n: int = 3, **metrics: AcceptedScores) -> BaselineFile:
    """Return an accepted run with one eval."""
    own = metrics or {"accuracy": scores(lambda: np.arange(n) % 2.0)}
    on = AcceptedEval(
        gold="a" * 64,
        settings="b" * 64,
        asked=pack_digests(digests(n)),
        expected=pack_digests(digests(n, 1)),
        clusters=None,
        metrics=own,
    )
    return BaselineFile(
        version="1",
        made=NOW,
        commit="abcdef0",
        outcome="SHIP",
        reason="",
        models=[AcceptedModel(name=n, role=n, digest=None) for n in MODELS],  # type: ignore[arg-type]
        evals={"reviews": on},
        gates=[],
        looks={},
    )


@pytest.mark.parametrize(
    "numbers",
    [
        np.array([0.0, 1.0, 1.0]),
        np.array([0.0, 255.0]),
        np.array([0.0, 65_535.0, 7.0]),
        np.array([2.0**32 - 1]),
        np.array([2.0**32]),
        np.array([-3.0, 127.0, -128.0]),
        np.array([2.0**60, 1.0]),
        np.array([[2.0**52, -(2.0**52)], [0.0, 7.0]]),
        np.array([[5.0, 3.0, 1.0], [9.0, 7.0, 5.0], [2.0, 0.0, 0.0]]),
        np.zeros((0,)),
        np.zeros((0, 3)),
        np.array([0.1, 1e-300, -0.25]),
        np.random.default_rng(0).normal(size=(7, 3)),
        np.arange(12.0).reshape(4, 3),
    ],
)
def test_numbers_come_back_exactly(numbers: np.ndarray[Any, np.dtype[np.float64]]) -> None:
    """What is packed is unpacked bit for bit, whatever form it was given."""
    found = unpack(pack(numbers), numbers.shape)
    assert found.tobytes() == np.ascontiguousarray(numbers).tobytes()
    assert found.shape == numbers.shape


def test_digests_come_back_exactly() -> None:
    """All 64 bits of a digest count, the highest too."""
    given = np.array([0, 1, 2**64 - 1], np.uint64)
    assert (unpack_digests(pack_digests(given)) == given).all()


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "no known kind"),
        ("i9:AAAA", "no known kind"),
        ("f8:!!!", "no base64"),
        ("f8:é", "no base64"),
        ("f8:AAAA", "cannot be decompressed"),
        (pack(np.array([3.0, 4.0, 5.0])).replace(";0", ";1"), "columns that it does not have"),
        (pack(np.array([3.0, 4.0, 5.0])).replace(";0", ";x"), "columns that it does not have"),
        (pack(np.arange(4.0) / 3), "does not hold 3 numbers"),
        (pack(np.arange(2.0) / 3), "does not hold 3 numbers"),
        (f"f8:{b64encode(zlib.compress(bytes([255] * 24))).decode()}", "not finite"),
        (pack(np.array([0.5, 0.25, 0.125]))[:-8], "no base64|does not hold"),
    ],
)
def test_what_holds_no_such_numbers_is_refused(text: str, problem: str) -> None:
    """A text that was cut off, or holds more or fewer numbers, is an error and never a score."""
    with pytest.raises(ValueError, match=problem):
        unpack(text, (3,))


def test_a_bomb_is_not_inflated() -> None:
    """A short text that stands for a gigabyte costs no more memory than the numbers asked for."""
    bomb = f"f8:{b64encode(zlib.compress(bytes(300_000_000))).decode()}"
    tracemalloc.start()
    with pytest.raises(ValueError, match="does not hold"):
        unpack(bomb, (3,))
    assert tracemalloc.get_traced_memory()[1] < 20_000_000
    tracemalloc.stop()


def test_a_claim_of_too_many_numbers_is_refused() -> None:
    """Nothing is allocated for a number of columns that no metric has."""
    with pytest.raises(ValueError, match="more than"):
        unpack("f8:AAAA", (10_000, 10**9))


def test_ten_thousand_real_scores_of_three_models_and_two_metrics_are_under_a_megabyte(
    tmp_path: Path,
) -> None:
    """Scores that nothing compresses, to the last bit, fit beside the digests of the examples."""
    random = np.random.default_rng(0)
    kept = baseline(
        10_000,
        token_f1=scores(lambda: random.random(10_000)),
        judge=scores(lambda: random.normal(size=10_000)),
    )
    write_baseline(tmp_path / "b.json", kept)
    assert (tmp_path / "b.json").stat().st_size < 1_000_000


def test_ten_thousand_right_or_wrong_answers_are_small(tmp_path: Path) -> None:
    """A 0/1 score takes a bit, and macro-F1's statistics of 20 labels not much more."""
    random = np.random.default_rng(0)

    def label_counts() -> Any:
        gold, predicted = random.integers(0, 20, (2, 10_000))
        rows = np.zeros((10_000, 3, 20))
        rows[np.arange(10_000), 1, predicted] = rows[np.arange(10_000), 2, gold] = 1
        rows[:, 0] = rows[:, 1] * rows[:, 2]
        return rows.reshape(10_000, -1)

    kept = baseline(
        10_000,
        accuracy=scores(lambda: random.integers(0, 2, 10_000)),
        macro_f1=scores(label_counts, columns=60),
    )
    write_baseline(tmp_path / "b.json", kept)
    assert (tmp_path / "b.json").stat().st_size < 500_000


def test_ten_thousand_texts_by_bleu_and_chrf_are_under_a_megabyte(tmp_path: Path) -> None:
    """Counts of n-grams follow from lengths: what one column says another need not say again."""
    random = np.random.default_rng(0)

    def ngrams(orders: int, a_word: int) -> Callable[[], Any]:
        def counts() -> Any:
            output, answer = (a_word * random.integers(4, 45, 10_000) for _ in range(2))
            matches = random.binomial(np.minimum(output, answer), 0.6)
            columns = []
            for n in range(orders):
                columns += [np.maximum(output - n, 0), np.maximum(answer - n, 0), matches]
                matches = random.binomial(matches, 0.7)
            return np.column_stack(columns).astype(float)

        return counts

    kept = baseline(
        10_000,
        bleu=scores(ngrams(4, 1), columns=12),
        chrf=scores(ngrams(6, 5), columns=18),
    )
    write_baseline(tmp_path / "b.json", kept)
    assert (tmp_path / "b.json").stat().st_size < 1_000_000


def test_what_is_written_is_read(tmp_path: Path) -> None:
    """The file gives back the whole run, whatever its names."""
    path, kept = tmp_path / "b.json", baseline()
    write_baseline(path, kept)
    read = read_baseline(path)
    assert read == kept
    on = read.evals["reviews"]
    assert len(examples_of("b.json", "reviews", on).asked) == 3
    rows = rows_of("b.json", "reviews", on, "accuracy", "sft", 3)
    assert rows is not None
    assert rows.tolist() == [0, 1, 0]
    assert rows_of("b.json", "reviews", on, "accuracy", "other", 3) is None
    assert rows_of("b.json", "reviews", on, "f1", "sft", 3) is None


def edited(change: Callable[[dict[str, Any]], object]) -> Callable[[str], str]:
    """Return what changes the content of a file by hand."""

    def edit(text: str) -> str:
        content = json.loads(text)
        change(content)
        return json.dumps(content)

    return edit


@pytest.mark.parametrize(
    ("edit", "problem"),
    [
        (lambda text: text[: len(text) // 2], "is no JSON"),
        (lambda _: "", "is no JSON"),
        (lambda _: "[" * 100_000, "is no JSON"),
        (lambda _: "[1]", "is no baseline"),
        (lambda _: '{"results": 1}', "is no baseline"),
        (edited(lambda c: c.update(outcome="DO NOT SHIP")), "checksum"),
        (edited(lambda c: c["models"][1].update(name="other")), "checksum"),
        (edited(lambda c: c.pop("checksum")), "checksum"),
        (edited(lambda c: c.pop("gates")), "checksum"),
        (lambda _: '{"schema": 1, "x": ' + "[" * 960 + "]" * 960 + "}", "checksum|is no JSON"),
    ],
)
def test_a_file_that_is_not_whole_is_refused(
    tmp_path: Path, edit: Callable[[str], str], problem: str
) -> None:
    """What was cut off or edited is an error that says what to do, in one line."""
    path = tmp_path / "b.json"
    write_baseline(path, baseline())
    path.write_text(edit(path.read_text()))
    with pytest.raises(ConfigError, match=problem) as caught:
        read_baseline(path)
    assert "restore it" in str(caught.value)
    assert "baseline save" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_file_of_another_version_says_so(tmp_path: Path) -> None:
    """A form that this version does not know is told by its number, whatever else it holds."""
    path = tmp_path / "b.json"
    path.write_text('{"schema": 9, "version": "3.0"}')
    with pytest.raises(ConfigError, match=r"version 3.0 .* \(9\)"):
        read_baseline(path)


def test_a_file_that_is_no_text_or_too_big_or_a_folder_is_refused(tmp_path: Path) -> None:
    """Nothing is read of a file that can be no baseline."""
    (tmp_path / "bytes").write_bytes(b"\xff\xfe\x00")
    with (tmp_path / "big").open("wb") as file:
        file.truncate(MOST_BYTES + 1)
    (tmp_path / "folder").mkdir()
    os.mkfifo(tmp_path / "fifo")
    (tmp_path / "endless").symlink_to("/dev/zero")
    for name, problem in (
        ("bytes", "decode"),
        ("big", "more than"),
        ("folder", "is no file"),
        ("fifo", "is no file"),
        ("endless", "is no file"),
    ):
        with pytest.raises(ConfigError, match=problem):
            read_baseline(tmp_path / name)


def test_examples_are_paired_by_what_is_asked() -> None:
    """Moved examples are found; those added, gone and relabelled are counted."""
    asked = np.array([1, 2, 3, 4], np.uint64)
    labels = np.array([10, 20, 30, 40], np.uint64)
    asked_now = np.array([9, 3, 2, 1], np.uint64)
    labels_now = np.array([90, 30, 21, 10], np.uint64)
    found = pair(asked, labels, asked_now, labels_now)
    assert found.before.tolist() == [2, 0]
    assert found.now.tolist() == [1, 3]
    assert (found.common, found.added, found.gone, found.relabelled) == (2, 1, 1, 1)


def test_examples_that_ask_the_same_are_paired_by_their_label_first() -> None:
    """Of two that ask one thing with two labels, each finds its own, in whatever order."""
    asked = np.array([1, 1, 1], np.uint64)
    found = pair(asked, np.array([5, 6, 5], np.uint64), asked[:2], np.array([6, 5], np.uint64))
    assert found.before.tolist() == [1, 0]
    assert (found.added, found.gone, found.relabelled) == (0, 1, 0)


@pytest.mark.parametrize(
    ("age", "said"),
    [
        (timedelta(seconds=3), "less than a minute old"),
        (timedelta(minutes=1), "1 minute old"),
        (timedelta(hours=23), "23 hours old"),
        (timedelta(days=400), "400 days old"),
        (timedelta(seconds=-5), "less than a minute old"),
        (timedelta(days=-1), "dated in the future"),
    ],
)
def test_an_age_is_told_in_one_unit(age: timedelta, said: str) -> None:
    """The largest unit of which there is one; a clock that goes wrong is told."""
    assert age_text(NOW - age, NOW) == said


@pytest.mark.parametrize("labels", [[], ["a" * 16] * 4])
def test_columns_that_no_labels_have_are_refused(labels: list[str]) -> None:
    """Statistics of labels that do not fit them are an error of the file."""
    own = scores(lambda: np.zeros((3, 6)), columns=6).model_copy(update={"labels": labels})
    on = baseline(3, macro_f1=own).evals["reviews"]
    with pytest.raises(ConfigError, match="6 columns of"):
        rows_of("b.json", "reviews", on, "macro_f1", "sft", 3)


@pytest.mark.parametrize("score", [2.0, -1.0])
def test_scores_that_the_metric_cannot_give_are_refused(score: float) -> None:
    """What was edited by hand, checksum and all, moves no student's score out of the range."""
    own = scores(lambda: np.array([0.0, 1.0, score]))
    on = baseline(3, accuracy=own).evals["reviews"]
    with pytest.raises(ConfigError, match=r"outside of 0\.0 to 1\.0"):
        rows_of("b.json", "reviews", on, "accuracy", "sft", 3)


@pytest.mark.parametrize("number", [-1.0, 1e15])
def test_clusters_that_there_are_not_are_refused(number: float) -> None:
    """There are at most as many clusters as examples."""
    clusters = pack(np.array([0.0, 1.0, number]))
    on = baseline(3).evals["reviews"].model_copy(update={"clusters": clusters})
    with pytest.raises(ConfigError, match=r"evals\.reviews\.clusters"):
        examples_of("b.json", "reviews", on)
