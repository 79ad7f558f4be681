"""The page: what it tells, that no text of it is markup, and that it carries every answer."""

from __future__ import annotations

import gzip
import hashlib
import json
import random
import re
from base64 import b64decode, b64encode
from dataclasses import replace
from html.parser import HTMLParser
from typing import Any

import pytest

from pytest_distill._util.format import score_text, shown_score
from pytest_distill.errors import printable
from pytest_distill.report.examples import ExampleTable, ModelAnswers
from pytest_distill.report.html.packing import LOST_KEEP, packed
from pytest_distill.report.html.told import gates_told
from pytest_distill.report.html_file import text
from pytest_distill.report.records.comparisons import PairRow
from pytest_distill.report.records.report import Reason, Report
from tests.unit.test_markdown_file import (
    FAILED,
    HOSTILE,
    MODELS,
    NOT_RUN,
    PASSED,
    SCORES,
    SLICE,
    everywhere,
)

TABLE = ExampleTable(
    config="distill.yaml",
    eval="reviews",
    metric="accuracy",
    higher_is_better=True,
    right_or_wrong=True,
    ids=("a", "b", "c"),
    inputs=("good\nfilm", "bad film", "no film"),
    targets=("pos", "neg", ""),
    slices={"lang": ("en", "de", "en")},
    models=(
        ModelAnswers("teacher", "teacher", ("pos", "neg", "neg"), (1.0, 1.0, 0.0)),
        ModelAnswers(
            "student", "student", ("pos", "pos", "neg"), (1.0, 0.0, 0.0), (0.0, -1.0, 0.0)
        ),
        ModelAnswers("sft", "sft", (), (0.0, 0.0, 1.0), (-1.0, -1.0, 1.0)),
    ),
)


Tags = list[tuple[str, set[str]]]


class Page(HTMLParser):
    """What a browser is handed: the tags with their attributes, and the text outside of scripts."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.scripts: list[str] = []
        self._open = ""
        self.feed(page)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Keep the tag."""
        self.tags.append((tag, dict(attrs)))
        self._open = tag

    def handle_endtag(self, tag: str) -> None:  # noqa: ARG002 (a callback's)
        """Go on with text."""
        self._open = ""

    def handle_data(self, data: str) -> None:
        """Keep the text."""
        if self._open == "script":
            self.scripts.append(data)
        elif self._open != "style":
            self.text += data


def rows_of(page: str) -> list[dict[str, Any]]:
    """Return what the page's script reads of each table."""
    told = re.findall(r'<script type="text/plain" class="rows">([^<]*)</script>', page)
    return [json.loads(gzip.decompress(b64decode(each))) for each in told]


def texts_of(rows: dict[str, Any]) -> list[list[str]]:
    """Return the columns of texts with what is told once in every place."""
    columns = rows["texts"]
    return [
        [columns[told][row] if isinstance(told, int) else told for row, told in enumerate(column)]
        for column in columns
    ]


def many(n: int, words: int) -> ExampleTable:
    """Return a table of `n` examples that are hard to compress."""
    draw = random.Random(1)  # noqa: S311
    vocabulary = [f"{draw.getrandbits(40):x}" for _ in range(5000)]
    right = {
        name: tuple(float(draw.random() < share) for _ in range(n))
        for name, share in {"teacher": 0.9, "student": 0.85, "sft": 0.8}.items()
    }
    return replace(
        TABLE,
        ids=tuple(f"r{i}" for i in range(n)),
        inputs=tuple(" ".join(draw.choices(vocabulary, k=words)) for _ in range(n)),
        targets=("pos",) * n,
        slices={"lang": tuple(draw.choice(("en", "de")) for _ in range(n))},
        models=tuple(
            ModelAnswers(
                name,
                name,
                tuple("pos" if score else "neg" for score in scores),
                scores,
                ()
                if name == "teacher"
                else tuple(a - b for a, b in zip(scores, right["teacher"], strict=True)),
            )
            for name, scores in right.items()
        ),
    )


REPORT = Report(
    outcome="DO NOT SHIP",
    reasons=(Reason("1 gate of 3 did not pass", (FAILED.nodeid,)),),
    tally=("1 of 3 gates passed",),
    models=MODELS,
    comparisons=(SCORES,),
    gates=(
        replace(PASSED, nodeid="test_a.py::test_all"),
        replace(
            FAILED,
            details={"slices": [{**SLICE, "slice": "lang=de"}]},
            lost_examples=('{"id": "b"}',),
            lost_more=4,
            lost=1,
        ),
        NOT_RUN,
    ),
    pairs=(
        PairRow("distill.yaml", "reviews", "accuracy", True, "student", "sft", "sft", 3, 2, 15),
    ),
    worth=("this student beats this SFT student",),
    remarks=("a file was skipped",),
)


def test_it_tells_all_that_the_report_holds() -> None:
    """The verdict, the models, each gate with what it rests on, notes, and the answers."""
    page = Page(text(REPORT, [TABLE]))
    told = " ".join(page.text.split())
    assert "<title>DO NOT SHIP: student (distill.yaml)</title>" in text(REPORT, [TABLE])
    for part in (
        "DO NOT SHIP",
        "1 gate of 3 did not pass: test_keeps",
        "1 of 3 gates passed",
        "this student beats this SFT student",
        "reviews, 20 examples",
        "student 100 2 kB 0.8000 0.8888",
        "Wins, losses and ties",
        "FAILED 0.8000 >= 0.92 quality_retained reviews, accuracy, student",
        "Did student keep at least 0.92 of the teacher's quality?",
        "The two-sided 95 % interval is 0.9223 to 0.9619 (score).",
        "lang=de 9 0.9000 0.8000 0.8800 FAILED",
        '{"id": "b"}',
        "and 4 more lost examples",
        "The test test_skipped did NOT RUN",
        "The reason: skipped.",
        "a file was skipped",
        "The answers side by side",
    ):
        assert part in told
    # The worst gate first, and the verdict's link leads to it.
    ids = [attrs["id"] for tag, attrs in page.tags if tag == "details" and "id" in attrs]
    assert ids == ["gate-1", "gate-2", "gate-3"]
    links = [attrs["href"] for tag, attrs in page.tags if tag == "a"]
    assert "#gate-1" in links


def test_its_links_lead_somewhere_and_ids_are_of_one() -> None:
    """An anchor that nothing has leads nowhere, one that two have leads to the wrong one."""
    for examples in ([], [TABLE]):
        page = Page(text(REPORT, examples))
        ids = [attrs["id"] for _, attrs in page.tags if "id" in attrs]
        assert len(ids) == len(set(ids))
        links = [attrs["href"] or "" for tag, attrs in page.tags if tag == "a"]
        assert links
        assert {link.removeprefix("#") for link in links} <= set(ids)


def test_it_loads_nothing_and_runs_no_script_but_its_own() -> None:
    """The policy names the one script by its digest; no address is anywhere."""
    page = Page(text(REPORT, [TABLE]))
    policy = next(a["content"] or "" for _, a in page.tags if "http-equiv" in a)
    digest = b64encode(hashlib.sha256(page.scripts[-1].encode()).digest()).decode()
    assert f"script-src 'sha256-{digest}';" in policy
    assert policy.startswith("default-src 'none';")
    assert [attrs.get("type") for tag, attrs in page.tags if tag == "script"] == [
        "text/plain",
        None,
    ]
    for tag, attrs in page.tags:
        assert tag not in ("img", "iframe", "object", "embed", "base")
        assert not any(name.startswith("on") or name in ("src", "srcset") for name in attrs)
        if "href" in attrs:
            assert (attrs["href"] or "").startswith(("#", "data:image/svg+xml,"))


def named(name: str) -> ExampleTable:
    """Return answers that have a name wherever one can stand."""
    return replace(
        TABLE,
        eval=name,
        ids=(name, "b", "c"),
        inputs=(name,) * 3,
        slices={name: (name, "de", "en")},
        models=tuple(replace(model, model=f"{i}{name}") for i, model in enumerate(TABLE.models)),
    )


@pytest.fixture(scope="module")
def harmless() -> Tags:
    """Return the tags of a page of a name that tries nothing, and which attributes they have."""
    page = Page(text(everywhere("name"), [named("name")]))
    return [(tag, set(attrs)) for tag, attrs in page.tags]


@pytest.mark.parametrize("name", HOSTILE, ids=lambda name: repr(name[:24]))
def test_nothing_that_comes_from_data_is_markup(name: str, harmless: Tags) -> None:
    """The page of a hostile name has the tags and attributes of any other's, and shows the name."""
    table = named(name)
    told = text(everywhere(name), [table])
    page = Page(told)
    assert [(tag, set(attrs)) for tag, attrs in page.tags] == harmless
    assert printable(name) in page.text
    (rows,) = rows_of(told)
    assert rows["ids"][0] == name
    assert texts_of(rows)[0] == [name] * 3


def test_the_same_report_is_the_same_page() -> None:
    """Two pages of one run can be compared."""
    assert text(REPORT, [TABLE]) == text(REPORT, [TABLE])


def test_every_answer_and_score_is_there() -> None:
    """What the page's script reads is what the models answered, and who was better where."""
    (rows,) = rows_of(text(REPORT, [TABLE]))
    assert rows["ids"] == ["a", "b", "c"]
    inputs, targets, teacher, student, sft = texts_of(rows)
    assert (inputs, targets) == ([*TABLE.inputs], [*TABLE.targets])
    assert (teacher, student) == (["pos", "neg", "neg"], ["pos", "pos", "neg"])
    assert sft == ["", "", ""]
    assert [model["answers"] for model in rows["models"]] == [True, True, False]
    assert rows["scores"] == [[1, 1, 0], [1, 0, 0], [0, 0, 1]]
    assert rows["slices"] == {"lang": {"values": ["de", "en"], "at": [1, 0, 1]}}
    signs = {(each["model"], each["other"]): each["signs"] for each in rows["pairs"]}
    assert signs == {(1, 0): "=-=", (1, 2): "+=-", (2, 0): "--+"}


def test_who_is_better_is_told_of_exact_scores() -> None:
    """Scores that look the same differ, and a lower one is better where the metric says so."""
    near = (
        ModelAnswers("teacher", "teacher", (), (0.12341, 2.0, 1.0)),
        ModelAnswers("student", "student", (), (0.12342, 1.0, 1.0)),
    )
    for higher, signs in ((True, "+-="), (False, "-+=")):
        table = replace(TABLE, higher_is_better=higher, right_or_wrong=False, models=near)
        (rows,) = rows_of(text(REPORT, [table]))
        assert rows["pairs"][0]["signs"] == signs
        assert rows["scores"][0][0] == (0.1234 if higher else 0.1235)


def test_shown_scores_are_those_of_the_report() -> None:
    """Quickly shown numbers are the ones that the exact way shows, near a rounding too."""
    draw = random.Random(1)  # noqa: S311
    for _ in range(3000):
        score = draw.choice((draw.random(), round(draw.random(), 4), draw.gauss(0, 1e9), -0.0))
        for higher in (True, False):
            told = score_text(score, higher_is_better=higher)
            assert shown_score(score, higher_is_better=higher) == float(told)


def test_a_hundred_thousand_examples_fit() -> None:
    """Every id, score and lost text's beginning is there, in less than 5 MB."""
    table = many(100_000, words=12)
    page = text(REPORT, [table])
    assert len(page.encode()) < 5_000_000
    (rows,) = rows_of(page)
    assert rows["ids"] == [*table.ids]
    assert all(len(column) == 100_000 for column in (*rows["texts"], *rows["scores"]))
    assert rows["scores"][1] == [*map(int, table.models[1].scores)]
    cut = int(re.findall("cut at ([0-9,]+) characters", page)[0].replace(",", ""))
    lost = [gain < 0 for gain in table.models[1].gains]
    for row, (told, whole) in enumerate(zip(rows["texts"][0], table.inputs, strict=True)):
        most = LOST_KEEP * cut if lost[row] else cut
        assert told == (whole if len(whole) <= most else whole[:most] + "\N{HORIZONTAL ELLIPSIS}")
    assert cut > 40


def test_few_long_texts_are_cut_evenly_and_no_more_than_they_must() -> None:
    """The longest cut that fits: with one tenth more the page would be too large."""
    table = many(300, words=1500)
    made = packed([table])
    assert made.cut is not None
    assert 0.9 * 1_400_000 < len(made.tables[0]) <= 1_400_000 + 300 * 30
    whole = packed([many(300, words=5)])
    assert whole.cut is None


def test_a_gate_leads_to_the_answers_that_it_looked_at() -> None:
    """By another metric, or within a budget of tokens, other examples are lost."""
    kept = replace(PASSED, lost=1)
    asked = (kept, replace(kept, metric="macro_f1"), replace(kept, at_tokens=64))
    told = gates_told(replace(REPORT, gates=asked), [TABLE])
    assert [gate.table for gate in told] == [0, None, None]


def test_one_text_that_is_longer_than_all_others_is_cut() -> None:
    """Wherever it stands: not all texts are looked at to see how long they may be."""
    texts = [""] * 3000
    texts[99] = "".join(f"{random.Random(i).getrandbits(64):x}" for i in range(180_000))  # noqa: S311
    made = packed([replace(many(3000, words=1), inputs=tuple(texts))])
    assert made.cut is not None
    assert len(made.tables[0]) <= 1_400_000 + 3000 * 30
