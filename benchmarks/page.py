"""How quick the page of ``--distill-html`` is with 100,000 examples.

Beside it, in the same Chromium and in turns: the same rows as itables writes them
(`to_html_datatable` with its bundle in the file, which is DataTables), as somebody would put them
into a page by hand. Both are opened without a network. Seconds are those that a reader waits, so
that other work on the machine lengthens them: look at the ratios. itables has no filter by outcome:
its search box is asked for the word. Run from the repository's root; prints Markdown:

    python benchmarks/page.py [--rows 100000] [--rounds 3]
"""

from __future__ import annotations

import argparse
import random
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path

from playwright.sync_api import Browser, sync_playwright
from processes import machine, table

sys.path.insert(0, str(Path(__file__).parents[1]))

from pytest_distill.report.examples import ExampleTable, ModelAnswers
from pytest_distill.report.html_file import text
from pytest_distill.report.records.report import Report
from tests.browser.chromium import chromium

WORDS = 25
"""Of an input: about as long as a review's sentence."""
Steps = Mapping[str, str]

OURS: Steps = {
    "seen": "document.querySelector('#answers tbody th')",
    "told": "document.querySelector('#answers-count').textContent"
    " + document.querySelector('#answers tbody').textContent.slice(0, 200)",
    "filter": "[...document.querySelectorAll('#answers-filters button')]"
    ".find((each) => each.textContent.startsWith('Won')).click()",
    "all": "[...document.querySelectorAll('#answers-filters button')]"
    ".find((each) => each.textContent.startsWith('All')).click()",
    "search": "const box = document.querySelector('#answers-search'); box.value = WORD;"
    " box.dispatchEvent(new Event('input', { bubbles: true }))",
    "sort": "[...document.querySelectorAll('#answers thead button')]"
    ".find((each) => each.textContent.startsWith('Input')).click()",
}
PEER: Steps = {
    "seen": "document.querySelector('.dt-container tbody td')",
    "told": "document.querySelector('.dt-info').textContent"
    " + document.querySelector('.dt-container tbody').textContent.slice(0, 200)",
    "filter": OURS["search"]
    .replace("#answers-search", ".dt-search input")
    .replace("WORD", "'won'"),
    "all": OURS["search"].replace("#answers-search", ".dt-search input").replace("WORD", "''"),
    "search": OURS["search"].replace("#answers-search", ".dt-search input"),
    "sort": "[...document.querySelectorAll('.dt-container thead th')]"
    ".find((each) => each.textContent.startsWith('input'))"
    ".querySelector('.dt-column-order').click()",
}
"""JavaScript: what shows the first rows, what changes with each step, and the steps."""

FIRST = """new Promise((found) => {
    const done = () => found(performance.now());
    const look = () => SEEN ? requestAnimationFrame(() => setTimeout(done)) : setTimeout(look);
    look();
})"""
"""Milliseconds from the start of the navigation until the first rows are drawn."""
STEP = """new Promise((found, lost) => {
    const told = () => TOLD;
    const before = told(), start = performance.now();
    { ACT }
    const done = () => found(performance.now() - start);
    const look = () => {
        if (told() !== before) requestAnimationFrame(() => setTimeout(done));
        else if (performance.now() - start > 10000) lost(new Error(`nothing changes: ${before}`));
        else setTimeout(look);
    };
    look();
})"""
"""Milliseconds from what somebody does until what it changes is drawn."""


def examples(rows: int, seed: int) -> ExampleTable:
    """Return reviews of words that are drawn by Zipf's law, and models that err at random."""
    draw = random.Random(seed)
    words = ["".join(draw.choices("etaoinshrdlu", k=draw.randint(2, 9))) for _ in range(20_000)]
    weights = [1 / (rank + 1) for rank in range(len(words))]
    right = {
        name: [float(draw.random() < share) for _ in range(rows)]
        for name, share in (("teacher", 0.92), ("student", 0.9), ("sft", 0.85))
    }
    return ExampleTable(
        config="distill.yaml",
        eval="reviews",
        metric="accuracy",
        higher_is_better=True,
        right_or_wrong=True,
        ids=tuple(f"review-{number:06}" for number in range(rows)),
        inputs=tuple(" ".join(draw.choices(words, weights, k=WORDS)) for _ in range(rows)),
        targets=tuple(draw.choices(("positive", "negative"), k=rows)),
        slices={"lang": tuple(draw.choices(("de", "en", "fr"), k=rows))},
        models=tuple(
            ModelAnswers(
                name,
                name,
                tuple("positive" if score else "negative" for score in scores),
                tuple(scores),
                ()
                if name == "teacher"
                else tuple(a - b for a, b in zip(scores, right["teacher"], strict=True)),
            )
            for name, scores in right.items()
        ),
    )


def ours(found: ExampleTable) -> str:
    """Return our page."""
    return text(Report(outcome="SHIP", reason=""), (found,))


def itables(found: ExampleTable) -> str:
    """Return the same rows as itables writes them, with its bundle."""
    import itables as package
    import pandas
    from itables.javascript import generate_init_offline_itables_html, to_html_datatable

    names = {1.0: "won", 0.0: "as good", -1.0: "lost"}
    columns = {
        "id": found.ids,
        "outcome": [names[gain] for gain in found.models[1].gains],
        "input": found.inputs,
        "target": found.targets,
        **{model.model: model.answers for model in found.models},
        **found.slices,
    }
    bundle = Path(package.__file__).parent / "html" / "dt_bundle.js"
    rows = to_html_datatable(
        pandas.DataFrame(columns), connected=False, maxBytes=0, showIndex=False, pageLength=50
    )
    return f"<!doctype html><meta charset=utf-8>{generate_init_offline_itables_html(bundle)}{rows}"


SIDES: dict[str, tuple[Callable[[ExampleTable], str], Steps]] = {
    "ours": (ours, OURS),
    "itables": (itables, PEER),
}


def waited(browser: Browser, path: Path, steps: Steps, word: str) -> dict[str, float]:
    """Return how many seconds a reader waits for what."""
    found: dict[str, float] = {}
    page = browser.new_page(offline=True)
    page.goto(path.as_uri(), wait_until="commit", timeout=120_000)
    found["first rows, s"] = page.evaluate(FIRST.replace("SEEN", steps["seen"])) / 1000
    page.wait_for_timeout(2000)  # as somebody who reads before they ask
    if steps is OURS:  # which begins with what was lost
        page.evaluate(steps["all"])
        page.wait_for_timeout(500)
    for name in ("sort", "filter", "all", "search"):
        act = steps[name].replace("WORD", repr(word))
        taken = page.evaluate(STEP.replace("TOLD", steps["told"]).replace("ACT", act)) / 1000
        if name != "all":
            found[f"{name}, s"] = taken
    page.close()
    return found


def main() -> None:
    """Run it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=100_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    print(machine("itables", "pandas", "playwright"), end="\n\n")
    found = examples(given.rows, given.seed)
    rounds: dict[str, list[dict[str, float]]] = {side: [] for side in SIDES}
    with tempfile.TemporaryDirectory() as name, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium())
        for turn in range(given.rounds):
            for side in (*SIDES,) if turn % 2 == 0 else (*reversed(SIDES),):
                write, steps = SIDES[side]
                path = Path(name) / f"{side}.html"
                started = time.perf_counter()
                path.write_text(write(found), encoding="utf-8")
                taken = {"written, s": time.perf_counter() - started}
                taken["MB"] = path.stat().st_size / 1e6
                word = f"review-{(turn + 1) * given.rows // (given.rounds + 1):06}"
                rounds[side].append(taken | waited(browser, path, steps, word))
        browser.close()
    lines = []
    for what in rounds["ours"][0]:
        mine, its = ([each[what] for each in rounds[side]] for side in SIDES)
        ratios = [a / b for a, b in zip(mine, its, strict=True)]
        lines.append(
            [
                what,
                f"{statistics.median(mine):.2f} ({min(mine):.2f} to {max(mine):.2f})",
                f"{statistics.median(its):.2f} ({min(its):.2f} to {max(its):.2f})",
                f"{statistics.median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f})",
            ]
        )
    print(table([f"{given.rows:,} examples", *SIDES, "ours / its"], lines))


if __name__ == "__main__":
    main()
