"""The engine on this machine's GPU: each figure beside its peer, its bar and the card's limits.

    python benchmarks/cuda/measure.py FOLDER [--small] [--json FILE] [--only TEXT]

FOLDER is what `models.py` wrote, and where `run.sh` left what its other parts found. Each case is a
fresh process, since what a first pass costs (plans, kernels, allocations) is part of what is
measured: *cold* is the first time that a case runs there, *warm* the second. ``--small`` runs all
cases in one process, with few texts, to show on a machine without a GPU that they run; its figures
mean nothing.
"""

from __future__ import annotations

import argparse
import json
import platform
import statistics
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "speed"))

from generation_perplexity import passages, their_generation
from generation_perplexity import questions as prompts
from multiple_choice import Question, arc_easy, ask_harness, ask_ours, few_shot, sciq

PEAK_FLOPS = {"H100 80GB HBM3": 989e12, "H200": 989e12, "A100": 312e12, "L40S": 362e12}
"""Dense bfloat16 operations a second, by what the name of a card holds; NVIDIA's data sheets."""
NEW_TOKENS = 64

Figures = dict[str, float]


@dataclass(frozen=True)
class Machine:
    """Where the models are, and how much they are asked."""

    folder: Path
    small: bool

    def some(self, number: int) -> int:
        """Return how many texts a case has."""
        return max(6, number // 40) if self.small else number

    @property
    def batches(self) -> tuple[int, ...]:
        """The batch sizes of lm-evaluation-harness that are tried: the best counts."""
        return (8,) if self.small else (16, 64, 128)

    def engine(self, name: str) -> Any:
        """Return our engine of a model, not loaded yet."""
        from pytest_distill.engines import ModelSpec
        from pytest_distill.engines.transformers import TransformersEngine

        return TransformersEngine(ModelSpec(name, "student", path=str(self.folder / name)))

    def harness(self, name: str) -> Any:
        """Return lm-evaluation-harness's ``hf`` model of it."""
        import torch
        from lm_eval.models.huggingface import HFLM

        cuda = torch.cuda.is_available()
        return HFLM(
            pretrained=str(self.folder / name),
            device="cuda" if cuda else "cpu",
            dtype="bfloat16" if cuda else "float32",
            batch_size=self.batches[0],
        )


def seconds(run: Callable[[], Any]) -> float:
    """Return how long a call took, what it left to the GPU included."""
    import torch

    wait = torch.cuda.synchronize if torch.cuda.is_available() else lambda: None
    wait()
    began = time.perf_counter()
    run()
    wait()
    return time.perf_counter() - began


@dataclass
class Passes:
    """What went through the first layer of a model: tokens a pass, and when each pass began."""

    tokens: int
    steps: list[float]
    held: list[int]


@contextmanager
def watched(model: Any) -> Iterator[Passes]:
    """Watch the passes of a Llama; a pass of one token a row is a step of generation."""
    import torch

    seen = Passes(0, [], [])

    def note(_layer: Any, args: tuple[Any, ...], _options: Any) -> None:
        rows, length = args[0].shape[:2]
        seen.tokens += rows * length
        if length == 1:
            seen.steps.append(time.perf_counter())
            seen.held.append(torch.cuda.memory_allocated() if torch.cuda.is_available() else 0)

    hook = model.model.layers[0].register_forward_pre_hook(note, with_kwargs=True)
    try:
        yield seen
    finally:
        hook.remove()


def cold_and_warm(model: Any, run: Callable[[], Any]) -> Figures:
    """Run a case twice, and once more to count the tokens that go through a loaded model.

    Each is multiplied with all parameters but those of the two tables.
    """
    cold, warm = seconds(run), seconds(run)
    with watched(model) as seen:
        run()
    weights = sum(parameter.numel() for parameter in model.model.layers.parameters())
    return {"cold": cold, "warm": warm, "flops": 2 * weights * seen.tokens / warm}


CHOICES: dict[str, tuple[Callable[[], list[Question]], int]] = {
    "0 shots": (arc_easy, 565),
    "5 shots": (few_shot, 200),
    "passage": (sciq, 200),
}


def choices(machine: Machine, case: str, model: str = "teacher") -> Figures:
    """Ask a model questions."""
    load, number = CHOICES[case]
    asked, engine = load()[: machine.some(number)], machine.engine(model)
    return cold_and_warm(engine.model, lambda: ask_ours(engine, asked))


def their_choices(machine: Machine, case: str) -> Figures:
    """Ask lm-evaluation-harness's model the same, at each of its batch sizes."""
    load, number = CHOICES[case]
    asked, harness = load()[: machine.some(number)], machine.harness("teacher")
    cold = min(seconds(lambda b=b: ask_harness(harness, asked, b)) for b in machine.batches)
    warm = min(seconds(lambda b=b: ask_harness(harness, asked, b)) for b in machine.batches)
    return {"cold": cold, "warm": warm}


def perplexity(machine: Machine) -> Figures:
    """Score passages."""
    from pytest_distill.evals.tasks.perplexity import PerplexityRequest

    texts = passages()[: machine.some(600)]
    requests = [PerplexityRequest(str(n), text) for n, text in enumerate(texts)]
    engine = machine.engine("teacher")
    return cold_and_warm(engine.model, lambda: list(engine.predict(requests)))


def generation(machine: Machine) -> Figures:
    """Generate greedily, sample, and let ``model.generate`` do the same in one batch."""
    import torch

    from pytest_distill.evals.tasks.decoding import Decoding, GenerationRequest

    texts, engine = prompts()[: machine.some(149)], machine.engine("teacher")
    model, tokenizer = engine.model, engine.tokenizer

    def asked(**how: Any) -> list[GenerationRequest]:
        decoding = Decoding(max_new_tokens=NEW_TOKENS, **how)
        return [GenerationRequest(str(n), text, decoding=decoding) for n, text in enumerate(texts)]

    cold = seconds(lambda: list(engine.predict(asked())))
    if torch.cuda.is_available():
        torch.cuda.reset_peak_memory_stats()
    with watched(model) as seen:
        greedy = seconds(lambda: list(engine.predict(asked())))
    sampled = seconds(lambda: list(engine.predict(asked(do_sample=True, seed=1))))
    batch = tokenizer(texts, return_tensors="pt", padding=True, padding_side="left")
    options = {"max_new_tokens": NEW_TOKENS, "min_new_tokens": NEW_TOKENS, "do_sample": False}

    def theirs() -> None:
        with torch.inference_mode():
            model.generate(**batch.to(model.device), **options)

    seconds(theirs)
    weights = sum(parameter.numel() * parameter.element_size() for parameter in model.parameters())
    middle = seen.held[len(seen.held) // 4 :]
    return {
        "cold": cold,
        "warm": greedy,
        "step": statistics.median(b - a for a, b in zip(seen.steps, seen.steps[1:], strict=False)),
        "their_step": seconds(theirs) / NEW_TOKENS,
        "sampled": sampled / greedy,
        "weights": weights,
        "least_held": min(middle),
        "most_held": max(middle),
    }


def their_generations(machine: Machine) -> Figures:
    """Let lm-evaluation-harness generate, which stops where ours would not."""
    texts, harness = prompts()[: machine.some(149)], machine.harness("teacher")
    took = [seconds(lambda b=b: their_generation(harness, texts, b)) for b in machine.batches]
    return {"warm": min(took)}


def hashing(machine: Machine) -> Figures:
    """Hash a model's files, load it, and do both at once."""
    from pytest_distill.engines import FileDigests

    engine = machine.engine("teacher")
    files = engine.checkpoint.files
    alone = FileDigests()

    def hashed() -> None:
        alone.begin(files)
        for path in files:
            alone(path)

    took = seconds(hashed)
    return {
        "hash": took,
        "load_and_hash": seconds(lambda: engine.model),
        "bytes": sum(path.stat().st_size for path in files),
    }


def likeness(machine: Machine) -> Figures:
    """Compare two models token by token, and score the same texts with each."""
    from pytest_distill.evals.requests import GoldText
    from pytest_distill.evals.tasks.perplexity import PerplexityRequest

    texts = passages()[: machine.some(400)]
    requests = [PerplexityRequest(str(n), text) for n, text in enumerate(texts)]
    gold = [GoldText(request) for request in requests]
    teacher, student = machine.engine("teacher"), machine.engine("student")
    for _ in range(2):  # the first warms up
        passes = seconds(lambda: [list(of.predict(requests)) for of in (teacher, student)])
        compared = seconds(lambda: list(student.token_likeness(teacher, gold)))
    return {"passes": passes, "compared": compared}


def latency(machine: Machine) -> Figures:
    """Time one text as `assert_latency` does, and as a bare pass of the same tokens, in turns."""
    import torch

    from pytest_distill.evals.tasks.perplexity import PerplexityRequest

    engine = machine.engine("student")
    model, tokenizer = engine.model, engine.tokenizer
    timed, bare = [], []
    for number, text in enumerate(passages()[: machine.some(200)]):
        tokens = tokenizer(text, return_tensors="pt").input_ids.to(model.device)

        def forward(tokens: Any = tokens) -> None:
            with torch.inference_mode():
                model(tokens)

        forward()  # a peer that is warm
        timed.append(engine.time_one(PerplexityRequest(str(number), text)).seconds)
        bare.append(seconds(forward))
    return {"timed": statistics.median(timed), "bare": statistics.median(bare)}


def limits(machine: Machine) -> Figures:
    """Measure what the card does at best: one big product, one big copy."""
    import torch

    cuda = torch.cuda.is_available()
    kind = {
        "device": "cuda" if cuda else "cpu",
        "dtype": torch.bfloat16 if cuda else torch.float32,
    }
    side, numbers = (512, 2**22) if machine.small else (8192, 2**30)
    left, right = (torch.randn(side, side, **kind) for _ in range(2))
    source = torch.zeros(numbers, **kind)
    target = torch.empty_like(source)
    for _ in range(3):
        product = seconds(lambda: left @ right)
        copy = seconds(lambda: target.copy_(source))
    measured = 2 * side**3 / product
    name = torch.cuda.get_device_name() if cuda else platform.processor() or "CPU"
    return {
        "measured_flops": measured,
        "peak_flops": next((f for part, f in PEAK_FLOPS.items() if part in name), measured),
        "bandwidth": 2 * source.numel() * source.element_size() / copy,
    }


CASES: dict[str, Callable[[Machine], Figures]] = {
    "limits": limits,
    **{f"choices, {case}": lambda m, c=case: choices(m, c) for case in CHOICES},
    **{f"lm-eval's choices, {case}": lambda m, c=case: their_choices(m, c) for case in CHOICES},
    "choices of the student, 5 shots": lambda m: choices(m, "5 shots", "student"),
    "perplexity": perplexity,
    "generation": generation,
    "lm-eval's generation": their_generations,
    "hashing": hashing,
    "likeness": likeness,
    "latency": latency,
}


@dataclass(frozen=True)
class Row:
    """A row of the table: a figure and what it should be."""

    what: str
    figure: float
    unit: str
    relation: str = ""
    bar: float | None = None
    beside: str = ""

    @property
    def met(self) -> bool | None:
        """Whether the figure is what it should be; None where it may be anything."""
        if self.bar is None:
            return None
        return self.figure <= self.bar if self.relation == "<=" else self.figure >= self.bar

    def cells(self) -> tuple[str, ...]:
        """Return the cells of the table."""
        bar = "" if self.bar is None else f"{self.relation} {self.bar:g}{self.unit}"
        met = {None: "", True: "met", False: "missed"}[self.met]
        return (self.what, f"{self.figure:.3g}{self.unit}", bar, met, self.beside)


BARS = {"0 shots": (2.5, 4.6), "5 shots": (6.0, 8.9), "passage": (3.0, 2.9)}
"""How many times as fast as lm-evaluation-harness multiple choice should be, cold and warm."""


def rows(got: dict[str, Figures]) -> Iterator[Row]:
    """Yield a row for each figure that has a bar, of the cases that ran."""
    limit = got.get("limits")
    for case, (cold, warm) in BARS.items():
        ours, theirs = got.get(f"choices, {case}"), got.get(f"lm-eval's choices, {case}")
        if ours and theirs:
            for kind, bar in (("cold", cold), ("warm", warm)):
                beside = f"{ours[kind]:.2f} s, lm-eval {theirs[kind]:.2f} s"
                ratio = theirs[kind] / ours[kind]
                yield Row(f"choices, {case}, {kind}: times as fast", ratio, "", ">=", bar, beside)
    for case in (*(f"choices, {case}" for case in CHOICES), "perplexity"):
        if limit and (ours := got.get(case)):
            share = ours["flops"] / limit["peak_flops"]
            beside = f"{ours['flops'] / limit['measured_flops']:.2f} of a bare product here"
            yield Row(f"{case}: utilisation, warm", share, "", ">=", 0.45, beside)
    if ours := got.get("choices, 0 shots"):
        yield Row("choices, 0 shots: 565 questions, cold", ours["cold"], " s", "<=", 1.6)
    if ours := got.get("choices of the student, 5 shots"):
        yield Row("choices of the student, 5 shots, warm", ours["warm"], " s", "<=", 0.4)
    if ours := got.get("generation"):
        beside = f"model.generate {1e3 * ours['their_step']:.1f} ms"
        if limit:
            beside += f"; the weights alone {1e3 * ours['weights'] / limit['bandwidth']:.1f} ms"
        if theirs := got.get("lm-eval's generation"):
            beside += f"; whole {ours['warm']:.1f} s, lm-eval {theirs['warm']:.1f} s"
        yield Row("generation: a step", 1e3 * ours["step"], " ms", "<=", 20, beside)
        yield Row("generation: sampled / greedy", ours["sampled"], "", "<=", 1.25)
        if ours["least_held"]:
            beside = f"{ours['least_held'] / 1e9:.1f} to {ours['most_held'] / 1e9:.1f} GB"
            flat = ours["most_held"] / ours["least_held"]
            yield Row("generation: most / least memory", flat, "", "<=", 1.1, beside)
    if ours := got.get("hashing"):
        beside = f"{ours['bytes'] / 1e9:.1f} GB; loading and hashing {ours['load_and_hash']:.1f} s"
        yield Row("hashing the teacher", ours["hash"], " s", "<=", 3, beside)
    if ours := got.get("likeness"):
        ratio = ours["compared"] / ours["passes"]
        beside = f"{ours['compared']:.2f} s, passes {ours['passes']:.2f} s"
        yield Row("token likeness / the passes", ratio, "", "<=", 1.3, beside)
    if ours := got.get("latency"):
        ratio = ours["timed"] / ours["bare"]
        beside = f"{1e3 * ours['timed']:.2f} ms, bare {1e3 * ours['bare']:.2f} ms"
        yield Row("latency / a bare forward pass", ratio, "", "<=", 1.2, beside)


def of_the_run(folder: Path) -> Iterator[Row]:
    """Yield a row for each of the other parts of `run.sh` that left a file there."""
    if (tests := folder / "tests.xml").exists():
        suite = ElementTree.parse(tests).getroot()[0].attrib  # noqa: S314 - written by ourselves
        failed = int(suite["failures"]) + int(suite["errors"])
        beside = f"of {suite['tests']}, {suite['skipped']} skipped, {float(suite['time']):.0f} s"
        yield Row("tests that failed", failed, "", "<=", 0, beside)
    if (report := folder / "report.json").exists():
        outcomes = Counter(gate["outcome"] for gate in json.loads(report.read_text())["gates"])
        judged = sum(outcomes[of] for of in ("PASSED", "FAILED", "INCONCLUSIVE"))
        beside = ", ".join(f"{number} {outcome}" for outcome, number in outcomes.items())
        yield Row("gates with a verdict", judged, "", ">=", outcomes.total(), beside)
    if (sampled := folder / "utilisation.csv").exists():
        samples = [[float(n) for n in line.split(",")] for line in sampled.read_text().splitlines()]
        busy, held = zip(*samples, strict=True)
        beside = f"up to {max(held) / 1024:.1f} GiB held, {len(samples)} samples"
        yield Row(
            "GPU utilisation while they ran, mean", statistics.mean(busy), " %", beside=beside
        )


def fresh(case: str, machine: Machine) -> Figures:
    """Run a case in a process of its own."""
    command = [sys.executable, __file__, str(machine.folder), "--case", case]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    found: Figures = json.loads(done.stdout.splitlines()[-1])
    return found


def about() -> dict[str, str]:
    """Return the machine and the versions."""
    from importlib.metadata import version

    import torch

    names = ("torch", "transformers", "tokenizers", "lm-eval", "numpy")
    device = torch.cuda.get_device_name() if torch.cuda.is_available() else "CPU"
    return {
        "device": device,
        "python": platform.python_version(),
        **{n: version(n) for n in names},
    }


def main() -> None:
    """Run the cases, and print and write the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--small", action="store_true")
    parser.add_argument("--json", type=Path)
    parser.add_argument("--only", default="", help="the cases whose name contains this")
    parser.add_argument("--case", help="run this one here, and print its figures")
    chosen = parser.parse_args()
    machine = Machine(chosen.folder, chosen.small)
    if chosen.case:
        print(json.dumps(CASES[chosen.case](machine)))
        return
    got: dict[str, Figures] = {}
    for case, run in CASES.items():
        if chosen.only in case:
            began = time.perf_counter()
            try:
                got[case] = run(machine) if machine.small else fresh(case, machine)
            except subprocess.CalledProcessError as error:  # the others are still worth having
                print(f"{case}: exit status {error.returncode}", file=sys.stderr)
            print(f"{case}: {time.perf_counter() - began:.0f} s", file=sys.stderr, flush=True)
    table = [*rows(got), *of_the_run(chosen.folder)]
    about_it = about()
    print(", ".join(f"{name} {value}" for name, value in about_it.items()), "\n")
    for cells in (("what", "here", "bar", "", "beside"), ("---",) * 5, *(r.cells() for r in table)):
        print("| " + " | ".join(cells) + " |")
    if chosen.json:
        told = [{**vars(row), "met": row.met} for row in table]
        chosen.json.write_text(
            json.dumps({"about": about_it, "figures": got, "rows": told}, indent=1)
        )
    if len(got) < len([case for case in CASES if chosen.only in case]):
        sys.exit("not every case ran")


if __name__ == "__main__":
    main()
