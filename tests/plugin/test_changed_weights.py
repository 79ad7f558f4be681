"""A student that is its teacher with an adapter, or with packed weights."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

# pytester drops the modules that are first imported in a test, and torch can't be imported twice.
import torch
import torch._dynamo  # comes by itself when a first model is made
import transformers

from .project import HEAD, Project, Run, gates_of, outcomes_of, write_gates

tokenizers = pytest.importorskip("tokenizers")
peft = pytest.importorskip("peft")
with suppress(ImportError):
    import bitsandbytes  # noqa: F401
pytestmark = pytest.mark.filterwarnings("ignore")  # of peft, when the tests save adapters
REPORTS = ("--distill-report", "--distill-json", "out.json")
END = "</s>"
TEXTS = ("abba", "cafe", "deadbeef", "gaga", "head", "bag")
KEEPS = {"keeps": "assert_quality_retained(0.5, confidence=None)"}
ABOUT_TEXTS = HEAD.replace('"reviews"', '"texts"')


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a tiny causal model, whose tokens are letters."""
    library: Any = transformers  # published with types that mypy strict does not pass
    folder = tmp_path_factory.mktemp("base")
    torch.set_num_threads(1)
    words = {word: i for i, word in enumerate(("<s>", END, *"abcdefgh"))}
    inner = tokenizers.Tokenizer(tokenizers.models.WordLevel(words, unk_token=END))
    inner.pre_tokenizer = tokenizers.pre_tokenizers.Split("", "isolated")
    special = {"bos_token": "<s>", "eos_token": END}
    library.PreTrainedTokenizerFast(tokenizer_object=inner, **special).save_pretrained(folder)
    torch.manual_seed(1)
    config = library.LlamaConfig(
        vocab_size=len(words),
        hidden_size=64,
        intermediate_size=128,
        num_hidden_layers=1,
        num_attention_heads=2,
        num_key_value_heads=2,
        max_position_embeddings=32,
        bos_token_id=0,
        eos_token_id=1,
        pad_token_id=1,
        initializer_range=0.2,
    )
    library.utils.logging.disable_progress_bar()
    library.LlamaForCausalLM(config).save_pretrained(folder)
    return folder


@pytest.fixture
def of_texts(project: Project, base: Path) -> Project:
    """Return a project whose teacher is the tiny model, with texts and one gate."""
    project.config = {
        "models": {"teacher": {"path": str(base), "device": "cpu"}},
        "evals": {"texts": {"task": "perplexity", "data": "texts.jsonl", "input": "text"}},
    }
    project.rows("texts.jsonl", ({"id": t, "text": t} for t in TEXTS))
    write_gates(project, head=ABOUT_TEXTS, **KEEPS)
    return project


def test_an_adapter_without_effect_is_told_by_its_answers_and_by_its_weights(
    of_texts: Project, base: Path, run: Run, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """A fresh LoRA keeps all of its base: never firm, and a note says why, from the store too."""
    library: Any = transformers
    folder = tmp_path_factory.mktemp("adapter")
    config = peft.LoraConfig(target_modules=["q_proj"], task_type="CAUSAL_LM")
    model = library.LlamaForCausalLM.from_pretrained(base)
    peft.get_peft_model(model, config).save_pretrained(folder)
    of_texts.models["student"] = {"path": str(base), "adapter": str(folder), "device": "cpu"}
    of_texts.save()
    for _ in range(2):
        result = run(*REPORTS)
        printed = " ".join(result.stdout.str().split())
        assert outcomes_of(of_texts) == {"keeps": "PASSED"}
        assert gates_of(of_texts)["keeps"]["firm"] is False
        assert "teacher and student gave identical answers to every example" in printed
        assert "changes nothing: its weights are those that it had before any training" in printed


def test_a_teacher_quantised_when_it_is_loaded_is_a_student(
    of_texts: Project, base: Path, run: Run
) -> None:
    """What packing costs can be asked of one checkpoint: its packed weights are others."""
    if "bitsandbytes" not in globals():
        pytest.skip("bitsandbytes is not installed")
    packed = {"load_in_4bit": True, "bnb_4bit_quant_type": "nf4"}
    student = {"path": str(base), "device": "cpu", "load": {"quantization_config": packed}}
    of_texts.models["student"] = student
    of_texts.save()
    write_gates(of_texts, head=ABOUT_TEXTS, **KEEPS, small='assert_smaller(0.9, by="bytes")')
    result = run(*REPORTS)
    assert outcomes_of(of_texts) == {"keeps": "PASSED", "small": "FAILED"}  # the files are one
    assert "bitsandbytes, 4 bits (nf4)" in result.stdout.str()
    teacher, other = sorted(of_texts.json()["models"], key=lambda m: m["role"], reverse=True)
    assert other["quantization"] == "bitsandbytes, 4 bits (nf4)"
    assert teacher["quantization"] is None
    assert teacher["parameters"] == other["parameters"]
