from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ..hub_runs import NOWHERE, Ended, Suite
from ..hub_server import Hub, serving

pytest.importorskip("datasets")

CARD = b"""---
configs:
- config_name: de
  data_files: [{split: test, path: de/test.jsonl}]
- config_name: en
  data_files: [{split: test, path: en/test.jsonl}]
---
Reviews in two languages.
"""


def rows(n: int) -> bytes:
    """Return so many examples; each second one is positive."""
    labels = ("neg", "pos")
    made = [{"id": f"e{i}", "input": f"text {i}", "target": labels[i % 2]} for i in range(n)]
    return "".join(json.dumps(row) + "\n" for row in made).encode()


@pytest.fixture(scope="module")
def hub() -> Iterator[Hub]:
    """Return a hub that runs as long as this module's tests."""
    with serving() as running:
        yield running


def suite_of(hub: Hub, folder: Path, **evals: dict[str, Any]) -> Suite:
    """Return a suite with a test for each eval, whose models say ``pos`` to 8 examples."""
    suite = Suite(folder, hub)
    ask(suite, **evals)
    return suite


def ask(suite: Suite, **evals: dict[str, Any]) -> None:
    """Let a suite ask for the score on each eval; `n` is how many examples there should be."""
    for n in range(4, 9):
        suite.rows(f"{n}.jsonl", ({"id": f"e{i}", "prediction": "pos"} for i in range(n)))
    files = {name: f"{entry.pop('n', 6)}.jsonl" for name, entry in evals.items()}
    model = {"engine": "recorded", "predictions": files}
    plain = {"task": "classification", "split": "test"}
    suite.write(
        {
            "models": {"teacher": model, "student": model},
            "evals": {name: plain | entry for name, entry in evals.items()},
        },
        **{name: f"assert_score(0.1, eval='{name}', confidence=None)" for name in evals},
    )


def gold_sets(ended: Ended) -> dict[str, str]:
    """Return what the report says of each eval's gold set."""
    notes = {row["eval"]: " ".join(row["notes"]) for row in ended.report["evaluations"]}
    return {name: note.removeprefix("gold set: ") for name, note in notes.items()}


def sizes(ended: Ended) -> dict[str, int]:
    """Return how many examples each eval has."""
    return {row["eval"]: row["n"] for row in ended.report["evaluations"]}


@pytest.fixture(scope="module")
def asked(
    hub: Hub, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Suite, Ended, dict[str, str]]:
    """Return a run over data sets that can be read and others that cannot, and their commits."""
    marker = tmp_path_factory.mktemp("code") / "ran"
    files = {
        "plain": {"test.jsonl": rows(6), "train.jsonl": rows(3), "README.md": b"Reviews."},
        "dotted-v1.1": {"test.jsonl": rows(6)},
        "langs": {"de/test.jsonl": rows(6), "en/test.jsonl": rows(8), "README.md": CARD},
        "code": {"code.py": f"open({str(marker)!r}, 'w')".encode(), "test.jsonl": rows(6)},
        "gated": {"test.jsonl": rows(6)},
        "broken": {"test.jsonl": b'{"id": "a"}\n{"id":'},
        "empty": {"README.md": b"Nothing yet."},
    }
    commits = {n: hub.commit(f"org/{n}", f, kind="datasets") for n, f in files.items()}
    hub.protect("org/gated", "hf_of_somebody", kind="datasets")
    suite = suite_of(
        hub,
        tmp_path_factory.mktemp("data"),
        plain={"data": "org/plain"},
        pinned={"data": "org/plain", "revision": commits["plain"]},
        dotted={"data": "org/dotted-v1.1"},
        de={"data": "org/langs", "config": "de"},
        en={"data": "org/langs", "config": "en", "n": 8},
        noconfig={"data": "org/langs"},
        fr={"data": "org/langs", "config": "fr"},
        **{
            name: {"data": f"org/{name}"} for name in ("code", "gated", "broken", "empty", "absent")
        },
        revision={"data": "org/plain", "revision": "v9"},
        nosplit={"data": "org/plain", "split": "tset"},
    )
    ended = suite.run()
    assert not marker.exists()
    return suite, ended, commits


def test_a_data_set_is_read_by_name_config_and_revision(
    asked: tuple[Suite, Ended, dict[str, str]],
) -> None:
    """Each eval has the examples of its own config, and the report says which commit they are."""
    _, ended, commits = asked
    assert sizes(ended) == {"plain": 6, "pinned": 6, "dotted": 6, "de": 6, "en": 8}
    assert gold_sets(ended) == {
        "plain": f"org/plain is commit {commits['plain']} (main)",
        "pinned": f"org/plain is commit {commits['plain']}",
        "dotted": f"org/dotted-v1.1 is commit {commits['dotted-v1.1']} (main)",
        "de": f"org/langs is commit {commits['langs']} (main)",
        "en": f"org/langs is commit {commits['langs']} (main)",
    }
    assert f"gold set: org/plain is commit {commits['plain']} (main)\n" in ended.text


ERRORS = {
    "noconfig": "org/langs: no such folder here, and the split 'test' cannot be had from the hub: "
    "Config name is missing. Please pick one among the available configs: ['de', 'en']",
    "fr": "org/langs (fr): no such folder here, and the split 'test' cannot be had from the hub: "
    "BuilderConfig 'fr' not found. Available: ['de', 'en']",
    "code": "org/code: no such folder here, and the split 'test' cannot be had from the hub: "
    "Dataset scripts are no longer supported, but found code.py",
    "gated": "org/gated: no such folder here, and the split 'test' cannot be had from the hub: "
    "Dataset 'org/gated' is a gated dataset on the Hub. You must be authenticated to access it. "
    "Set HF_TOKEN to a token that may read it",
    "broken": "org/broken: no such folder here, and the split 'test' cannot be had from the hub: "
    "JSON parse error",
    "empty": "org/empty: no such folder here, and the split 'test' cannot be had from the hub: "
    "The directory at hf://datasets/org/empty@",
    "absent": "org/absent: no such folder here, and the hub doesn't give the data set: there is no "
    "such data set, or it is private: correct the name, or set HF_TOKEN to a token that may read "
    "it",
    "revision": "org/plain: no such folder here, and the hub doesn't give the data set: it has no "
    "revision 'v9': name a branch, a tag or all 40 digits of a commit",
    "nosplit": "org/plain: no such folder here, and the split 'tset' cannot be had from the hub: "
    "Unknown split \"tset\". Should be one of ['train', 'test']",
}


@pytest.mark.parametrize("name", ERRORS)
def test_what_cannot_be_read_is_one_line(
    asked: tuple[Suite, Ended, dict[str, str]], name: str
) -> None:
    """It says which data set, what is the matter and what to do; no code of it is run."""
    (line,) = asked[1].errors[name]
    assert line.startswith(f"pytest_distill.GoldSetError: {ERRORS[name]}")


def test_a_warm_cache_needs_no_network(asked: tuple[Suite, Ended, dict[str, str]]) -> None:
    """Offline nothing is asked, each config is its own, and the report says how old it may be."""
    suite, _, commits = asked
    again = suite.run(
        "-k", "plain or pinned or test_de or test_en or noconfig", HF_DATASETS_OFFLINE="1"
    )
    assert suite.hub.requests == []
    assert sizes(again) == {"plain": 6, "pinned": 6, "de": 6, "en": 8}
    offline = "HF_HUB_OFFLINE or HF_DATASETS_OFFLINE is set"
    assert gold_sets(again)["plain"] == (
        f"org/plain is commit {commits['plain']}, which main was when the hub was last asked; now "
        f"{offline}"
    )
    assert again.errors == {
        "noconfig": [
            "pytest_distill.GoldSetError: org/langs: no such folder here, and the hub doesn't give "
            f"the data set: the cache has its config de, en: set 'config', since {offline}: run "
            "once without it, to fill the cache"
        ]
    }


def test_without_a_cache_one_line(hub: Hub, tmp_path: Path) -> None:
    """Offline, or where nobody listens, the error says what to do."""
    suite = suite_of(hub, tmp_path, plain={"data": "org/plain"})
    start = "pytest_distill.GoldSetError: org/plain: no such folder here, and the hub doesn't give"
    (line,) = suite.run(HF_HUB_OFFLINE="1").errors["plain"]
    assert line == (
        f"{start} the data set: HF_HUB_OFFLINE or HF_DATASETS_OFFLINE is set: run once without it, "
        "to fill the cache"
    )
    (line,) = suite.run(HF_ENDPOINT=NOWHERE).errors["plain"]
    assert line == (
        f"{start} the data set: {NOWHERE} cannot be reached ([Errno 111] Connection refused): look "
        "at the network, or try later"
    )


def test_a_branch_that_moved_is_read_anew(hub: Hub, tmp_path: Path) -> None:
    """A pinned commit stays what it was, also where the cache has a newer one; a branch does not.

    Where the hub fails on the way, nothing older is taken for what it has.
    """
    first = hub.commit("org/moving", {"test.jsonl": rows(5), "README.md": b"1"}, kind="datasets")
    evals = {
        "moving": {"data": "org/moving", "n": 7},
        "pinned": {"data": "org/moving", "revision": first, "n": 5},
    }
    suite = suite_of(hub, tmp_path, **{n: dict(e, n=5) for n, e in evals.items()})
    assert sizes(suite.run()) == {"moving": 5, "pinned": 5}

    second = hub.commit("org/moving", {"test.jsonl": rows(7), "README.md": b"2"}, kind="datasets")
    ask(suite, **evals)
    tree = hub.fault(f"tree/{second}", status=403)
    (line,) = suite.run("-k", "test_moving").errors["moving"]
    assert line.endswith(
        "org/moving: no such folder here, and the hub doesn't give the data set: it stopped "
        "answering on the way: run again"
    )
    assert tree.begun.is_set()

    hub.forget()
    ended = suite.run()
    assert sizes(ended) == {"moving": 7, "pinned": 5}
    assert gold_sets(ended)["moving"] == f"org/moving is commit {second} (main)"
    assert sizes(suite.run(HF_HUB_OFFLINE="1")) == {"moving": 7, "pinned": 5}

    hub.requests.clear()
    assert sizes(suite.run("-k", "pinned")) == {"pinned": 5}
    assert hub.asked("org/moving") == []
