"""Runs of lm-evaluation-harness with tiny random models: the files that it writes itself.

`made` returns the folder. Beside the four kinds of requests they have
a document that stands twice, two filters, several samples, and metrics that are no mean.
"""

from __future__ import annotations

import hashlib
import os
import tempfile
import warnings
from collections.abc import Mapping, Sequence
from contextlib import suppress
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import Any
from unittest import mock

from tests.smollm2 import KEPT

PETS = [
    {"question": f"what is {i}?", "choices": ["a fox", "a dog", "worm"], "answer": i % 3}
    for i in range(12)
]
SUMS = [{"question": f"what is {i}?", "answer": f"step #### {i}"} for i in range(4)]
PAGES = [{"page": "the early bird gets the worm\nand more " * (i + 1)} for i in range(3)]

MEAN = {"aggregation": "mean", "higher_is_better": True}

TASKS: Mapping[str, tuple[Sequence[Mapping[str, Any]], Mapping[str, Any]]] = {
    "pets": (
        [*PETS, PETS[0]],
        {
            "output_type": "multiple_choice",
            "doc_to_text": "Q: {{question}}\nA:",
            "doc_to_choice": "{{choices}}",
            "doc_to_target": "answer",
            "metric_list": [
                {"metric": "acc", **MEAN},
                {"metric": "acc_norm", **MEAN},
                {
                    "metric": "mcc",
                    "aggregation": "matthews_corrcoef",
                    "higher_is_better": True,
                },
                {"metric": "acc_mutual_info", **MEAN},
            ],
        },
    ),
    "sums": (
        SUMS,
        {
            "output_type": "generate_until",
            "doc_to_text": "Q: {{question}}\nA:",
            "doc_to_target": "{{answer.split('#### ')[-1]}}",
            "generation_kwargs": {
                "until": ["\n"],
                "max_gen_toks": 8,
                "do_sample": True,
                "temperature": 1.0,
            },
            "repeats": 2,
            "filter_list": [
                {
                    "name": name,
                    "filter": [
                        {"function": "regex", "regex_pattern": pattern},
                        *([{"function": "majority_vote"}] if name == "vote" else []),
                        {"function": "take_first"},
                    ],
                }
                for name, pattern in (("strict", r"#### (\d+)"), ("vote", "([a-z])"))
            ],
            "metric_list": [{"metric": "exact_match", **MEAN}],
        },
    ),
    "last": (
        SUMS,
        {
            "output_type": "loglikelihood",
            "doc_to_text": "Q: {{question}}\nA:",
            "doc_to_target": " {{answer}}",
            "metric_list": [
                {"metric": "perplexity", "aggregation": "perplexity", "higher_is_better": False},
                {"metric": "acc", **MEAN},
            ],
        },
    ),
    "pages": (
        PAGES,
        {
            "output_type": "loglikelihood_rolling",
            "doc_to_text": "",
            "doc_to_target": "{{page}}",
            "metric_list": [
                {"metric": m} for m in ("word_perplexity", "byte_perplexity", "bits_per_byte")
            ],
        },
    ),
}
"""Name -> its documents, and what its file says beside them."""


@cache
def made() -> Path:
    """Return a folder with the runs of two models, ``big`` and ``small``, each in its own.

    They are made once and kept, as long as this module and lm-evaluation-harness are the same.
    """
    of = Path(__file__).read_bytes() + version("lm_eval").encode()
    kept = KEPT / f"lm-eval-{hashlib.sha256(of).hexdigest()[:12]}"
    if not kept.is_dir():
        KEPT.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=KEPT) as name:
            folder = Path(name, "runs")
            for seed, model in enumerate(("big", "small")):
                write(folder / model, tuple(TASKS), seed=seed)
            with suppress(OSError):  # another process was faster
                folder.rename(kept)
    return kept


def samples(folder: Path, task: str, model: str = "big") -> Path:
    """Return the file with the samples of a task."""
    (found,) = (folder / model).rglob(f"samples_{task}_*.jsonl")
    return found


def write(
    folder: Path,
    tasks: Sequence[str | dict[str, Any]],
    *,
    seed: int = 0,
    said: Mapping[str, Any] | None = None,
    **asked: Any,
) -> Path:
    """Let lm-evaluation-harness evaluate a random model, and write what it logs, into a folder.

    Parameters
    ----------
    folder : Path
        Where to.
    tasks : sequence
        Names in `TASKS`, or tasks as lm-evaluation-harness takes them.
    seed : int
        Of the model's weights.
    said : mapping, optional
        What the tasks say otherwise.
    **asked
        Arguments of ``simple_evaluate``.
    """
    os.environ.setdefault("HF_HUB_OFFLINE", "1")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # theirs
        return _written(folder, tasks, seed, said or {}, **asked)


def _written(
    folder: Path,
    tasks: Sequence[str | dict[str, Any]],
    seed: int,
    otherwise: Mapping[str, Any],
    **asked: Any,
) -> Path:
    import datasets
    import lm_eval
    from lm_eval.loggers import EvaluationTracker
    from lm_eval.models.huggingface import HFLM
    from lm_eval.tasks import TaskManager

    def config(name: str | dict[str, Any]) -> dict[str, Any]:
        if isinstance(name, dict):
            return name
        rows, said = TASKS[name]
        data = {"test": datasets.Dataset.from_list([dict(row) for row in rows])}
        return {
            "task": name,
            "custom_dataset": lambda **_: data,
            "test_split": "test",
            **said,
            **otherwise,
        }

    tracker = EvaluationTracker(output_path=str(folder))
    with mock.patch("lm_eval.evaluator.add_env_info"):  # a second of asking for versions
        found = lm_eval.simple_evaluate(
            model=HFLM(**_model(seed), device="cpu", batch_size=8),
            tasks=[config(name) for name in tasks],
            task_manager=TaskManager(include_defaults=False),
            log_samples=True,
            evaluation_tracker=tracker,
            bootstrap_iters=0,
            **asked,
        )
    logged = found.pop("samples")
    tracker.save_results_aggregated(results=found, samples=logged)
    for name, rows in logged.items():
        tracker.save_results_samples(task_name=name, samples=rows)
    return folder


def _model(seed: int) -> dict[str, Any]:
    """Return a random Llama of two layers and its tokenizer."""
    import torch
    import transformers
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

    from tests.engines.tiny import CHAT_TEMPLATE, CORPUS, SMALL, SPECIAL_TOKENS

    inner = Tokenizer(models.BPE())
    inner.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    inner.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=300,
        special_tokens=list(SPECIAL_TOKENS.values()),
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    inner.train_from_iterator([CORPUS], trainer)
    hf: Any = transformers
    tokenizer = hf.PreTrainedTokenizerFast(tokenizer_object=inner, **SPECIAL_TOKENS)
    tokenizer.chat_template = CHAT_TEMPLATE
    torch.manual_seed(seed)
    model = hf.LlamaForCausalLM(hf.LlamaConfig(vocab_size=len(tokenizer), **SMALL))
    return {"pretrained": model.eval(), "tokenizer": tokenizer}
