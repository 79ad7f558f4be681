"""Generation and perplexity against lm-evaluation-harness's ``hf`` model at its best batch size.

The last rows compare two ways of ours to score long texts: overlapping windows that are read anew,
and those that share their cache.

Run from the repository's root; prints Markdown:

    python benchmarks/speed/generation_perplexity.py [--rounds 3] [--threads 1] [--torch-products]
"""

from __future__ import annotations

import random
from argparse import Namespace
from collections.abc import Callable
from math import exp
from typing import Any

from common import SMOLLM2, Measured, best, data, header, interleaved, machine, options, our_engine

from pytest_distill.engines.transformers import TransformersEngine
from pytest_distill.evals.requests import Request
from pytest_distill.evals.tasks.decoding import Decoding, GenerationRequest
from pytest_distill.evals.tasks.perplexity import PerplexityRequest

STOP = ("\n", "Question:")
NEW_TOKENS = 32
TEXTS, PROMPTS, SHOT_PROMPTS = 10, 24, 16
SHOTS = 5
WINDOWS = ((512, 256), (512, 128))  # and by how many tokens they move
LONG_TEXTS, LONG = 2, 7000  # characters


def passages() -> list[str]:
    """Return texts of many lengths: SciQ's support texts."""
    return [row["support"] for row in data("sciq/none/validation") if len(row["support"]) > 20]


def questions() -> list[str]:
    """Return ARC-Easy's questions as prompts."""
    return [f"Question: {q['question']}\nAnswer:" for q in data("ai2_arc/ARC-Easy/validation")]


def few_shot() -> list[str]:
    """Return the questions after five solved ones."""
    rows = data("ai2_arc/ARC-Easy/validation")
    solved = ""
    for row in list(rows)[-SHOTS:]:
        right = row["choices"]["text"][row["choices"]["label"].index(row["answerKey"])]
        solved += f"Question: {row['question']}\nAnswer: {right}\n\n"
    return [solved + prompt for prompt in questions()[:-SHOTS]]


def answers(engine: TransformersEngine, requests: list[Request]) -> dict[str, Any]:
    """Return our predictions by id."""
    return {prediction.id: prediction for prediction in engine.predict(requests)}


def our_perplexity(engine: TransformersEngine, texts: list[str]) -> list[float]:
    """Return the total log-likelihood of every text."""
    got = answers(engine, [PerplexityRequest(str(n), text) for n, text in enumerate(texts)])
    return [got[str(n)].loglikelihoods[0] for n in range(len(texts))]


def our_generation(engine: TransformersEngine, prompts: list[str]) -> list[str]:
    """Return the text after every prompt."""
    decoding = Decoding(max_new_tokens=NEW_TOKENS, stop=STOP)
    got = answers(
        engine, [GenerationRequest(str(n), p, decoding=decoding) for n, p in enumerate(prompts)]
    )
    return [got[str(n)].text for n in range(len(prompts))]


def their_perplexity(harness: Any, texts: list[str], batch_size: int) -> list[float]:
    """Return lm-evaluation-harness's total log-likelihood of every text."""
    from lm_eval.api.instance import Instance

    harness.batch_size_per_gpu = batch_size
    instances = [Instance("loglikelihood_rolling", {}, (text,), n) for n, text in enumerate(texts)]
    return list(harness.loglikelihood_rolling(instances, disable_tqdm=True))


def their_generation(harness: Any, prompts: list[str], batch_size: int) -> list[str]:
    """Return lm-evaluation-harness's text after every prompt."""
    from lm_eval.api.instance import Instance

    harness.batch_size_per_gpu = batch_size
    options = {"until": list(STOP), "max_gen_toks": NEW_TOKENS, "do_sample": False}
    instances = [
        Instance("generate_until", {}, (prompt, dict(options)), n)
        for n, prompt in enumerate(prompts)
    ]
    return list(harness.generate_until(instances, disable_tqdm=True))


Case = tuple[
    Callable[[], list[str]],
    int,
    float,
    tuple[int, ...],
    Callable[[Any, list[str], int], list[Any]],
    Callable[[TransformersEngine, list[str]], list[Any]],
]
CASES: dict[str, Case] = {
    "perplexity, passages": (passages, TEXTS, 1.3, (4, 1, 8), their_perplexity, our_perplexity),
    "generation, 0 shots": (questions, PROMPTS, 1.3, (24, 8, 16), their_generation, our_generation),
    "generation, 5 shots": (
        few_shot,
        SHOT_PROMPTS,
        1.3,
        (16, 4, 8),
        their_generation,
        our_generation,
    ),
}


def same(theirs: list[Any], ours: list[Any]) -> float:
    """Return the share of equal answers; log-likelihoods are equal within 1e-2."""
    equal = [
        abs(a - b) < 1e-2 if isinstance(a, float) else a.strip() == b.strip()
        for a, b in zip(theirs, ours, strict=True)
    ]
    return sum(equal) / len(equal)


def articles(seed: int) -> list[str]:
    """Return long texts: BoolQ's passages, some after the other."""
    passages = sorted({row["passage"] for row in data("boolq/none/validation")})
    random.Random(seed).shuffle(passages)
    text = "\n\n".join(passages)
    return [text[n * LONG : (n + 1) * LONG] for n in range(LONG_TEXTS)]


def perplexities(
    engine: TransformersEngine, texts: list[str], window: int, stride: int, share: bool
) -> list[float]:
    """Return the perplexity of every text."""
    requests = [
        PerplexityRequest(str(n), text, window, stride, share) for n, text in enumerate(texts)
    ]
    got = answers(engine, requests)
    return [exp(-got[r.id].loglikelihoods[0] / got[r.id].tokens) for r in requests]


def overlapping(engine: TransformersEngine, chosen: Namespace) -> None:
    """Measure overlapping windows and print their table."""
    print("\n" + header("read anew", "largest difference in perplexity", "mean"))
    for window, stride in WINDOWS:
        name = f"windows of {window} tokens that move by {stride}"
        if chosen.only not in name:
            continue
        measured, differences = Measured(name), []
        perplexities(engine, articles(chosen.seed - 1)[:1], window, stride, True)
        for turn in range(chosen.rounds):
            texts = articles(chosen.seed + turn)
            anew, sharing = interleaved(
                measured,
                turn,
                lambda t=texts, w=window, s=stride: perplexities(engine, t, w, s, False),
                lambda t=texts, w=window, s=stride: perplexities(engine, t, w, s, True),
            )
            differences += [b / a - 1 for a, b in zip(anew, sharing, strict=True)]
        mean = sum(differences) / len(differences)
        print(measured.row(f"{max(map(abs, differences)):.1%}", f"{mean:+.1%}"), flush=True)


def main() -> None:
    """Measure all cases and print the table."""
    chosen = options(__doc__, rounds=3)
    from lm_eval.models.huggingface import HFLM

    harness = HFLM(pretrained=str(SMOLLM2), device="cpu", batch_size=8)
    engine = our_engine(SMOLLM2, chosen)
    print(machine(chosen), "\n")
    print(header("lm-eval", "aim", "its batch size", "texts", "equal answers"))
    for name, (load, size, bar, batch_sizes, theirs_of, ours_of) in CASES.items():
        if chosen.only not in name:
            continue
        texts = load()
        sample = random.Random(chosen.seed - 1).sample(texts, size // 2)
        batch = best(batch_sizes, lambda b, s=sample, f=theirs_of: f(harness, s, b))
        ours_of(engine, sample[:2])
        measured, shares = Measured(name), []
        for turn in range(chosen.rounds):
            asked = random.Random(chosen.seed + turn).sample(texts, size)
            theirs, ours = interleaved(
                measured,
                turn,
                lambda a=asked, b=batch, f=theirs_of: f(harness, a, b),
                lambda a=asked, f=ours_of: f(engine, a),
            )
            shares.append(same(theirs, ours))
        equal = f"{sum(shares) / len(shares):.1%}"
        print(measured.row(f"{bar}", str(batch), str(size), equal), flush=True)
    overlapping(engine, chosen)


if __name__ == "__main__":
    main()
