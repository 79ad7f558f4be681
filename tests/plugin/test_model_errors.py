"""A checkpoint whose own code fails: one screen in the terminal, and no frame of ours."""

from __future__ import annotations

import json

import pytest

# pytester drops the modules that are first imported in a test, and torch can't be imported twice.
import torch
from safetensors.torch import save_file

from .project import (
    Project,
    Run,
    decision_of,
    failing_lines,
    outcomes_of,
    refuse_package_frames,
    review_eval,
    said,
    write_gates,
)

CODE = """
import torch
from transformers import PretrainedConfig, PreTrainedModel
from transformers.modeling_outputs import SequenceClassifierOutput

class OwnConfig(PretrainedConfig):
    model_type = "own"

class OwnForSequenceClassification(PreTrainedModel):
    config_class = OwnConfig

    def __init__(self, config):
        super().__init__(config)
        self.embed = torch.nn.Embedding(8, 2)
        self.post_init()
        BUILT

    def get_input_embeddings(self):
        return self.embed

    def deeper(self, depth, error):
        if depth:
            return self.deeper(depth - 1, error)
        raise error

    def forward(self, input_ids, attention_mask=None, **_):
        RUN
"""
REPORTS = ("--distill-report", "--distill-json", "out.json")
ONE_SCREEN = 40


@pytest.fixture
def own_code(project: Project) -> Project:
    """Return a project whose student is a classifier with code of its own."""
    config = {
        "architectures": ["OwnForSequenceClassification"],
        "model_type": "own",
        "id2label": {"0": "pos", "1": "neg"},
        "auto_map": {
            "AutoConfig": "own.OwnConfig",
            "AutoModelForSequenceClassification": "own.OwnForSequenceClassification",
        },
    }
    project.file("own/config.json", json.dumps(config))
    project.file("own/vocab.txt", "[PAD]\n[UNK]\n[CLS]\n[SEP]\n[MASK]\ntext\n")
    project.file("own/tokenizer_config.json", '{"tokenizer_class": "BertTokenizer"}')
    save_file({"embed.weight": torch.ones(8, 2)}, project.path / "own" / "model.safetensors")
    project.models["student"] = {"path": "own", "device": "cpu", "trust_remote_code": True}
    project.evals["reviews"] = review_eval()
    project.save()
    write_gates(project, it="assert_score(0.5)")
    return project


@pytest.mark.parametrize(
    ("built", "run_", "message"),
    [
        ("pass", "return self.deeper(60, IndexError('far out'))", "raised IndexError: far out"),
        ("pass", "return (self.embed(input_ids).sum(1),)", "has no attribute 'logits'"),
        ("raise ValueError('heads')", "pass", "raised ValueError: heads"),
    ],
)
def test_code_that_fails_is_one_screen(
    own_code: Project, run_models: Run, built: str, run_: str, message: str
) -> None:
    """The model, its class, what was raised and the line in its code; the gate did not run."""
    own_code.file("own/own.py", CODE.replace("BUILT", built).replace("RUN", run_))
    result = run_models(*REPORTS)
    told = failing_lines(result)[-1]
    assert "model 'student' (OwnForSequenceClassification) fails while" in told
    assert message in told
    assert "own.py:" in told or "has no attribute" in told
    assert outcomes_of(own_code) == {"it": "NOT RUN"}
    assert decision_of(result)[0] == "INCOMPLETE"
    refuse_package_frames(result)
    assert len(said(result).splitlines()) < ONE_SCREEN


def test_the_whole_traceback_can_be_had(own_code: Project, run_models: Run) -> None:
    """Where pytest is asked for it."""
    own_code.file("own/own.py", CODE.replace("BUILT", "pass").replace("RUN", "return [][1]"))
    printed = said(run_models("--full-trace"))
    assert "IndexError: list index out of range" in printed
    assert "The above exception was the direct cause" in printed
