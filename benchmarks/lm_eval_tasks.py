"""Tasks of lm-evaluation-harness asked by it and by us: what differs, and what both take.

Both sides ask SmolLM2-135M-Instruct about the same documents in one process, one right after the
other. Run from the repository's root; prints Markdown:

    python benchmarks/lm_eval_tasks.py [TASK ...] [--threads 1] [--out .distill/lm-eval-tasks]

A file for each task is left in the folder, and a task that has one is not asked again. Exits with
1 where anything differs.
"""

from __future__ import annotations

import argparse
import json
import shutil
import sys
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any
from unittest import mock

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "benchmarks" / "speed")]

from common import machine  # noqa: E402
from sides import Sides  # noqa: E402

from pytest_distill.evals.lm_eval.declared import declared  # noqa: E402
from tests.lm_eval_cases import CASES, Case  # noqa: E402
from tests.lm_eval_tasks import (  # noqa: E402
    Difference,
    aggregates_of,
    alike,
    differences,
    ours,
    samples_of,
    their_config,
    theirs,
)
from tests.smollm2 import package  # noqa: E402


@dataclass(frozen=True)
class Run:
    """How a task is asked: about so many documents, after so many solved examples."""

    case: Case
    n: int
    shots: int = 0


def _saved(task: str, folder: str) -> Case:
    return Case(task, f"hf_datasets/{folder}/validation")


RUNS: Mapping[str, Run] = {
    run.case.task: run
    for run in (
        Run(CASES["arc_easy"], 100),
        Run(CASES["arc_challenge"], 100),
        Run(CASES["openbookqa"], 100),
        Run(CASES["sciq"], 100),
        Run(CASES["piqa"], 100),
        Run(CASES["boolq"], 100),
        Run(CASES["hellaswag"], 100),
        Run(_saved("commonsense_qa", "tau/commonsense_qa/none"), 200),
        Run(_saved("social_iqa", "social_i_qa/none"), 100),
        Run(_saved("sst2", "glue/sst2"), 200),
        Run(_saved("mrpc", "glue/mrpc"), 100),
        Run(_saved("rte", "glue/rte"), 100),
        Run(_saved("cb", "super_glue/cb"), 56),
        Run(CASES["lambada_openai"], 200),
        Run(CASES["pile_10k"], 40),
        Run(_saved("nq_open", "nq_open/none"), 50, 5),
        Run(_saved("triviaqa", "trivia_qa/rc.wikipedia.nocontext"), 50),
        Run(CASES["gsm8k"], 32, 5),
    )
}
"""What is asked, in the order of the table; see `group` for the last row."""

GROUP = "mmlu_stem"
OF_EACH = 3
"""How many documents of each task of the group."""

BATCH_SIZE = 8
"""Of lm-evaluation-harness's model."""


def ask(sides: Sides, run: Run, folder: Path) -> dict[str, Any]:
    """Return how the answers to a task differ, and what both sides took."""
    declared(run.case.task)  # its file is looked for once, for both sides
    data = run.case.written(folder, run.n)
    said = {"num_fewshot": run.shots}
    report, their_time = sides.theirs.timed(lambda: theirs(run.case, data, sides.hflm, **said))
    found, our_time = sides.ours.timed(lambda: ours(run.case, data, sides.engine, **said))
    there, here = aggregates_of(found, report["results"][run.case.task])
    return {
        "n": found.n,
        "shots": run.shots,
        **counted(differences(found, report)),
        "largest": largest(found, report),
        "aggregates": {name: (there[name], value) for name, value in here.items()},
        "lm_eval": their_time,
        "pytest_distill": our_time,
    }


def counted(found: Sequence[Difference]) -> dict[str, int]:
    """Return how many documents have another prompt, other answers, other scores."""
    of_answers = ("prompts", "responses", "filtered", "documents", "metrics")
    kinds: dict[str, Callable[[Difference], bool]] = {
        "prompts": lambda one: one.what in ("prompts", "documents"),
        "answers": lambda one: one.what in ("responses", "filtered"),
        "scores": lambda one: bool(one.id) and one.what not in of_answers,
        "aggregates_differ": lambda one: not one.id,
    }
    return {
        name: len({one.id or one.what for one in found if of_kind(one)})
        for name, of_kind in kinds.items()
    }


def largest(found: Any, report: Mapping[str, Any]) -> float | None:
    """Return the largest difference of a log-likelihood; None where texts are generated."""
    most = None
    for prediction, samples in zip(
        found.predictions, samples_of(found, report).values(), strict=True
    ):
        if prediction.text is not None:
            continue
        for mine, (response,) in zip(
            prediction.loglikelihoods or (), samples[0]["resps"], strict=True
        ):
            other = response if isinstance(response, float) else response[0]
            most = max(most or 0.0, abs(mine - other))
    return most


@cache
def group_files() -> Any:
    """Return a `TaskManager` that knows the group."""
    from lm_eval.tasks import TaskManager

    return TaskManager(
        include_path=str(package("lm_eval") / "tasks" / "mmlu" / "default"),
        include_defaults=False,
    )


def members() -> list[Case]:
    """Return the tasks of the group."""
    data = "hf_datasets/hails/mmlu_no_train"
    override = {"fewshot_split": "test"}  # which is opened without solved examples, too
    return [
        Case(name, f"{data}/{name.removeprefix('mmlu_')}/test", override, split="test")
        for name in sorted(group_files().task_index[f"{GROUP}_tasks"].tags)
    ]


def ask_group(sides: Sides, folder: Path) -> dict[str, Any]:
    """Return the same of a group, which has a number of its own over all of its tasks."""
    cases = members()
    data = {case.task: case.written(folder, OF_EACH) for case in cases}
    report, their_time = sides.theirs.timed(lambda: their_group(cases, data, sides.hflm, folder))
    each, our_time = sides.ours.timed(
        lambda: [ours(case, data[case.task], sides.engine) for case in cases]
    )
    counts: Counter[str] = Counter()
    for found in each:
        counts.update(counted(differences(found, report)))
    n = sum(found.n for found in each)
    weighted = sum(found.score("acc") * found.n for found in each) / n
    said = report["groups"][GROUP]["acc,none"]
    counts["aggregates_differ"] += not alike(said, weighted)
    return {
        "n": n,
        "shots": 0,
        **counts,
        "largest": max(largest(found, report) or 0.0 for found in each),
        "aggregates": {"acc,none": (said, weighted)},
        "lm_eval": their_time,
        "pytest_distill": our_time,
    }


def their_group(
    cases: Sequence[Case], data: Mapping[str, Path], model: Any, folder: Path
) -> Mapping[str, Any]:
    """Return the results of `lm_eval.simple_evaluate` on a group whose tasks read files."""
    import lm_eval
    import yaml
    from lm_eval.tasks import TaskManager

    there = folder / GROUP
    there.mkdir()
    for case in cases:
        config = their_config(case, data[case.task], case.override)
        (there / f"{case.task}.yaml").write_text(yaml.safe_dump(config), encoding="utf-8")
    shutil.copy(group_files().task_index[GROUP].yaml_path, there)
    known = TaskManager(include_path=str(there), include_defaults=False)
    with mock.patch("lm_eval.evaluator.add_env_info"):
        return lm_eval.simple_evaluate(
            model=model, tasks=[GROUP], task_manager=known, bootstrap_iters=0
        )


HEAD = (
    "task",
    "n",
    "shots",
    "lm-eval",
    "pytest-distill",
    "prompts",
    "answers",
    "scores",
    "largest diff.",
    "lm-eval, CPU s",
    "pytest-distill, CPU s",
    "ratio",
    "around the model, CPU s",
)


def table(kept: Mapping[str, Mapping[str, Any]]) -> Iterator[str]:
    """Yield the lines of the table; prompts, answers and scores: of how many documents differ."""
    yield "| " + " | ".join(HEAD) + " |"
    yield "|" + " --- |" * len(HEAD)
    for name, one in kept.items():
        yield f"| {name} | " + " | ".join(cells(one)) + " |"


def cells(one: Mapping[str, Any]) -> Iterator[str]:
    """Yield the cells of a row."""
    yield from (str(one["n"]), str(one["shots"]))
    there, here = zip(*one["aggregates"].values(), strict=True)
    names = [name.removesuffix(",none") for name in one["aggregates"]]
    yield ", ".join(f"{name} {value:.4g}" for name, value in zip(names, there, strict=True))
    yield "equal" if not one["aggregates_differ"] else ", ".join(f"{value:.4g}" for value in here)
    yield from (str(one[kind]) for kind in ("prompts", "answers", "scores"))
    yield "" if one["largest"] is None else f"{one['largest']:.0e}"
    both = one["lm_eval"], one["pytest_distill"]
    their_time, our_time = (side["all"][1] for side in both)
    yield from (f"{their_time:.1f}", f"{our_time:.1f}", f"{their_time / our_time:.2f}")
    yield " / ".join(f"{side['all'][1] - side['model'][1]:.1f}" for side in both)


def main() -> None:
    """Ask the tasks that have no file yet, and print the table of all."""
    chosen = arguments()
    chosen.out.mkdir(parents=True, exist_ok=True)
    wanted = chosen.tasks or [*RUNS, GROUP]
    files = {name: chosen.out / f"{name}.json" for name in wanted}
    lacking = [name for name, file in files.items() if not file.exists()]
    sides = ready(chosen) if lacking else None
    for name in lacking:
        assert sides is not None
        with tempfile.TemporaryDirectory() as made:
            folder = Path(made)
            one = ask_group(sides, folder) if name == GROUP else ask(sides, RUNS[name], folder)
        one["machine"] = machine(chosen)
        files[name].write_text(json.dumps(one), encoding="utf-8")
        print(name, *cells(one), sep=" | ", file=sys.stderr, flush=True)
    kept = {name: json.loads(file.read_text(encoding="utf-8")) for name, file in files.items()}
    for said in dict.fromkeys(one["machine"] for one in kept.values()):
        print(f"{said}\n")
    print(*table(kept), sep="\n")
    counts = ("prompts", "answers", "scores", "aggregates_differ")
    sys.exit(any(one[kind] for one in kept.values() for kind in counts))


def ready(chosen: argparse.Namespace) -> Sides:
    """Return both sides after what an engine tries once a model: no task shall pay for it."""
    sides = Sides(chosen, BATCH_SIZE)
    with tempfile.TemporaryDirectory() as made:
        ask(sides, Run(CASES["boolq"], 4), Path(made))
    return sides


def arguments() -> argparse.Namespace:
    """Return what the command line says."""
    import torch

    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("tasks", nargs="*", metavar="TASK", choices=[*RUNS, GROUP, []])
    parser.add_argument("--threads", type=int, default=1, help="torch's threads, for both sides")
    parser.add_argument("--out", type=Path, default=ROOT / ".distill" / "lm-eval-tasks")
    parser.set_defaults(torch_products=False)
    chosen = parser.parse_args()
    torch.set_num_threads(chosen.threads)
    return chosen


if __name__ == "__main__":
    main()
