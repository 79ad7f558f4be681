"""A project that ``python -m pytest_distill init`` made runs as it stands."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers
from tokenizers import Tokenizer, models, pre_tokenizers

from pytest_distill.cli import main

from .project import Run

HF: Any = transformers  # its constructors carry no types
# Imported here: pytester drops the modules that an inner run imports, and torch's can't come twice.
CLASSIFIER, CLASSIFIER_CONFIG = HF.BertForSequenceClassification, HF.BertConfig
CAUSAL, CAUSAL_CONFIG = HF.LlamaForCausalLM, HF.LlamaConfig
TOKENIZER = HF.PreTrainedTokenizerFast
WORDS = ("[PAD]", "[UNK]", "[EOS]", "good", "bad", "a", "film", "it", "is")
N = 40


@pytest.fixture(autouse=True)
def _folder(pytester: pytest.Pytester) -> None:
    """Make the folder of an inner run a root of its own."""
    pytester.makeini("[pytest]\n")


def save(name: str, model: Any) -> None:
    """Write a checkpoint, with a tokenizer of a few words."""
    inner = Tokenizer(models.WordLevel({word: i for i, word in enumerate(WORDS)}, "[UNK]"))
    inner.pre_tokenizer = pre_tokenizers.Whitespace()
    special = {"pad_token": "[PAD]", "unk_token": "[UNK]", "eos_token": "[EOS]"}
    tokenizer = TOKENIZER(tokenizer_object=inner, **special)
    model.save_pretrained(name)
    tokenizer.save_pretrained(name)


def write(name: str, rows: Iterable[Mapping[str, Any]]) -> None:
    """Write rows as JSON lines."""
    Path(name).write_text("".join(f"{json.dumps(row)}\n" for row in rows), encoding="utf-8")


def reviews() -> list[dict[str, Any]]:
    """Return a gold set: no two texts are alike."""
    return [
        {
            "id": i,
            "text": " ".join(WORDS[3 + (i >> bit & 1) + bit % 4] for bit in range(6)),
            "label": ("bad", "good")[i % 2],
        }
        for i in range(N)
    ]


def test_checkpoints_that_classify_are_judged(run: Run) -> None:
    """All three questions get a verdict, whatever it is of models that learnt nothing."""
    for name, hidden in (("teacher", 32), ("student", 8), ("sft", 8)):
        torch.manual_seed(len(name))
        config = CLASSIFIER_CONFIG(
            vocab_size=len(WORDS),
            hidden_size=hidden,
            intermediate_size=hidden,
            num_hidden_layers=1,
            num_attention_heads=1,
            max_position_embeddings=16,
            initializer_range=1.0,
            id2label={0: "bad", 1: "good"},
            label2id={"bad": 0, "good": 1},
        )
        save(f"models/{name}", CLASSIFIER(config))
    write("reviews.jsonl", reviews())
    folders = (f"models/{name}" for name in ("teacher", "student", "sft"))
    assert main(["init", *folders, "--gold", "reviews.jsonl"]) == 0
    report = verdicts(run)
    assert list(report) == ["quality_retained", "beats_sft", "smaller"]
    assert "NOT RUN" not in report.values()
    assert report["smaller"] == "PASSED"


def verdicts(run: Run) -> dict[str, str]:
    """Run the project as the command says; return gate -> outcome."""
    run("--distill-report", "--distill-json", "report.json")
    told = json.loads(Path("report.json").read_text(encoding="utf-8"))
    return {gate["gate"]: gate["outcome"] for gate in told["gates"]}


def test_causal_models_choose(run: Run) -> None:
    """With choices in the gold set they are asked for the likeliest one."""
    for name, layers in (("teacher", 2), ("student", 1)):
        torch.manual_seed(layers)
        config = CAUSAL_CONFIG(
            vocab_size=len(WORDS),
            hidden_size=16,
            intermediate_size=16,
            num_hidden_layers=layers,
            num_attention_heads=1,
            max_position_embeddings=16,
            initializer_range=0.3,
            pad_token_id=0,
            bos_token_id=2,
            eos_token_id=2,
        )
        save(name, CAUSAL(config))
    asked = ({**row, "choices": ["good", "bad"], "label": i % 2} for i, row in enumerate(reviews()))
    write("gold.jsonl", asked)
    assert main(["init", "teacher", "student", "--gold", "gold.jsonl"]) == 0
    report = verdicts(run)
    assert list(report) == ["quality_retained", "smaller"]
    assert "NOT RUN" not in report.values()


def test_recorded_predictions_are_judged(run: Run) -> None:
    """From files alone: the student that answers as the teacher does keeps all, and ships."""
    gold = reviews()
    write("gold.jsonl", gold)
    for name, wrong in (("teacher", 1), ("student", 2)):
        answers = {row["id"]: row["label"] for row in gold} | {wrong: "good", 0: "good"}
        write(f"{name}.jsonl", ({"id": id, "prediction": said} for id, said in answers.items()))
    assert main(["init", "teacher.jsonl", "student.jsonl", "--gold", "gold.jsonl"]) == 0
    assert verdicts(run) == {"quality_retained": "PASSED"}


def test_without_a_gold_set_the_run_says_what_is_lacking(run: Run) -> None:
    """It fails, and says which file is not there: nothing passes in silence."""
    for name in ("teacher", "student"):
        write(f"{name}.jsonl", ({"id": i, "prediction": "good"} for i in range(N)))
    assert main(["init", "teacher.jsonl", "student.jsonl"]) == 0
    result = run("--distill-report")
    assert result.ret == 1
    result.stdout.fnmatch_lines(["*NOT RUN  quality_retained  TODO-gold-set.jsonl: no such file"])
