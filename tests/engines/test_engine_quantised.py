"""Checkpoints whose weights are packed by a library of quantisation, as far as a CPU runs them."""

from __future__ import annotations

import importlib.util
import inspect
import json
import shutil
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from pytest_distill import ModelError
from pytest_distill.engines.transformers import TransformersEngine, measuring
from pytest_distill.engines.transformers.fast.onednn import OneDNN
from pytest_distill.engines.transformers.options import Spec
from pytest_distill.engines.transformers.quantisation import Packing
from pytest_distill.engines.transformers.weights import bytes_held, run_once
from pytest_distill.evals.tasks.classification import ClassificationRequest
from pytest_distill.evals.tasks.decoding import Decoding, GenerationRequest
from pytest_distill.evals.tasks.multiple_choice import ChoiceRequest
from pytest_distill.evals.tasks.perplexity import PerplexityRequest

from .tiny import CORPUS, TEXTS, Make, hf, predicted, saved

# Of the libraries themselves: at their import, and when the tests save with them.
pytestmark = pytest.mark.filterwarnings("ignore")

UP = "model.layers.1.mlp.up_proj"
INT4: Any = getattr(torch, "int4", None)  # torch says nothing of it to type checkers


@dataclass(frozen=True)
class Kind:
    """One way to pack weights.

    Parameters
    ----------
    make : callable
        Plain folder, new folder -> the quantised checkpoint in there.
    package : str
        What has to be installed.
    told : str
        What the report says of it.
    stays : bool
        Whether the weights stay packed in memory.
    within : float
        How far a log-likelihood of some tokens is from that of the same text alone: where
        activations are rounded to 8 bits, or all numbers to bfloat16, a last bit becomes a step.
    """

    make: Callable[[Path, Path], None]
    package: str
    told: str
    stays: bool
    within: float = 1e-4


def _by_transformers(quantisation: Callable[[], Any], dtype: str = "float32") -> Any:
    """Quantise when it is loaded, and save."""

    def make(plain: Path, folder: Path) -> None:
        model = hf.AutoModelForCausalLM.from_pretrained(
            plain, quantization_config=quantisation(), dtype=dtype, device_map={"": "cpu"}
        )
        model.save_pretrained(folder)

    return make


def _compressed(preset: str, **inputs: Any) -> Any:
    """Round to the nearest, and save with compressed-tensors as its compressor writes it."""

    def make(plain: Path, folder: Path) -> None:
        from compressed_tensors.compressors import ModelCompressor
        from compressed_tensors.quantization import (
            QuantizationConfig,
            QuantizationStatus,
            apply_quantization_config,
            preset_name_to_scheme,
        )
        from compressed_tensors.quantization.utils import calculate_qparams

        model = hf.AutoModelForCausalLM.from_pretrained(plain)
        scheme = preset_name_to_scheme(preset, ["Linear"])
        if scheme.weights.group_size:
            scheme.weights.group_size = 32
        for name, value in inputs.items():
            setattr(scheme.input_activations, name, value)
        apply_quantization_config(
            model,
            QuantizationConfig(
                config_groups={"group_0": scheme},
                ignore=["lm_head"],
                quantization_status=QuantizationStatus.INITIALIZED,
            ),
        )
        for module in model.modules():
            if hasattr(module, "weight_scale"):
                rows = module.weight.detach().reshape(*module.weight_scale.shape, -1)
                scales, _ = calculate_qparams(rows.amin(-1), rows.amax(-1), scheme.weights)
                module.weight_scale.data.copy_(scales)
            if hasattr(module, "quantization_status"):
                module.quantization_status = QuantizationStatus.FROZEN
        compressor = ModelCompressor.from_pretrained_model(model)
        compressor.compress_model(model)
        model.save_pretrained(folder)
        compressor.update_config(str(folder))

    return make


def _bitsandbytes(**config: Any) -> Callable[[], Any]:
    return lambda: hf.BitsAndBytesConfig(**config)


def _torchao(name: str, **config: Any) -> Callable[[], Any]:
    def made() -> Any:
        import torchao.quantization as ao

        given = {key: value(ao) if callable(value) else value for key, value in config.items()}
        return hf.TorchAoConfig(getattr(ao, name)(**given))

    return made


def _fp8(plain: Path, folder: Path) -> None:
    """Write weights as DeepSeek's are: 8 bits, and a scale a block of 128 by 128."""
    model = hf.AutoModelForCausalLM.from_pretrained(plain, dtype=torch.bfloat16)
    model.save_pretrained(folder)
    tensors = load_file(folder / "model.safetensors")
    for name in [name for name in tensors if "proj.weight" in name]:
        weight = tensors[name].float()
        scale = weight.abs().max() / 448
        tensors[name] = (weight / scale).to(torch.float8_e4m3fn)
        tensors[f"{name}_scale_inv"] = scale.reshape(1, 1)
    save_file(tensors, folder / "model.safetensors", {"format": "pt"})
    _change(
        folder,
        quant_method="fp8",
        fmt="e4m3",
        weight_block_size=[128, 128],
        activation_scheme="dynamic",
    )


def _change(folder: Path, **quantisation: Any) -> None:
    """Put other keys into the quantisation of a config.json; without any, take it out."""
    config = json.loads((folder / "config.json").read_text())
    before = config.pop("quantization_config", {})
    if quantisation:
        config["quantization_config"] = before | quantisation
    (folder / "config.json").write_text(json.dumps(config))


NESTED = {"bnb_4bit_use_double_quant": True, "bnb_4bit_compute_dtype": torch.bfloat16}
KINDS = {
    "int8": Kind(
        _by_transformers(_bitsandbytes(load_in_8bit=True)),
        "bitsandbytes",
        "bitsandbytes, 8 bits",
        stays=True,
        within=0.5,
    ),
    "nf4": Kind(
        _by_transformers(_bitsandbytes(load_in_4bit=True, bnb_4bit_quant_type="nf4")),
        "bitsandbytes",
        "bitsandbytes, 4 bits (nf4)",
        stays=True,
    ),
    "fp4-nested": Kind(
        _by_transformers(_bitsandbytes(load_in_4bit=True, **NESTED), "bfloat16"),
        "bitsandbytes",
        "bitsandbytes, 4 bits (fp4)",
        stays=True,
        within=0.5,
    ),
    "w4a16": Kind(
        _compressed("W4A16"),
        "compressed_tensors",
        "compressed-tensors, 4 bits (int weights)",
        stays=False,
    ),
    "w8a8": Kind(
        _compressed("W8A8"),
        "compressed_tensors",
        "compressed-tensors, 8 bits (int weights, 8-bit activations)",
        stays=False,
        within=0.5,
    ),
    "fp8-dynamic": Kind(
        _compressed("FP8_DYNAMIC"),
        "compressed_tensors",
        "compressed-tensors, 8 bits (float weights, 8-bit activations)",
        stays=False,
        within=0.5,
    ),
    "int8-weights": Kind(
        _by_transformers(_torchao("Int8WeightOnlyConfig")),
        "torchao",
        "torchao, 8 bits (Int8WeightOnly)",
        stays=True,
    ),
    "int4-weights": Kind(
        _by_transformers(
            _torchao(
                "IntxWeightOnlyConfig",
                weight_dtype=INT4,
                granularity=lambda ao: ao.PerGroup(32),
            )
        ),
        "torchao",
        "torchao, 4 bits (IntxWeightOnly)",
        stays=True,
    ),
    "fp8": Kind(
        _fp8,
        "transformers.integrations.finegrained_fp8",  # older ones need triton for it
        "fp8, 8 bits (e4m3)",
        stays=False,
        within=0.5,
    ),
}


@pytest.fixture(scope="module")
def plain_folder(tmp_path_factory: pytest.TempPathFactory, tokenizer: Any) -> Path:
    """Return a random Llama whose layers are as wide as bitsandbytes' blocks of 64 need them."""
    torch.manual_seed(4)
    config = hf.LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=64,
        intermediate_size=128,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=96,
        bos_token_id=0,
        eos_token_id=1,
        pad_token_id=2,
        initializer_range=0.2,
    )
    return saved(hf.LlamaForCausalLM(config), tokenizer, tmp_path_factory.mktemp("plain"))


@pytest.fixture(scope="module")
def quantised(
    plain_folder: Path, tokenizer: Any, tmp_path_factory: pytest.TempPathFactory
) -> Callable[[str], Path]:
    """Return a function that gives the checkpoint of a kind; it is made once, or skipped."""
    made: dict[str, Path] = {}

    def give(name: str) -> Path:
        kind = KINDS[name]
        pytest.importorskip(kind.package)
        if name not in made:
            folder = tmp_path_factory.mktemp(name)
            kind.make(plain_folder, folder)
            tokenizer.save_pretrained(folder)
            made[name] = folder
        return made[name]

    return give


@pytest.fixture
def broken(quantised: Callable[[str], Path], tmp_path: Path) -> Callable[..., Path]:
    """Return a function that copies a quantised checkpoint without the tensors of some name."""

    def give(name: str, without: str = "\0") -> Path:
        folder = shutil.copytree(quantised(name), tmp_path / "broken")
        file = folder / "model.safetensors"
        with safe_open(file, "pt") as tensors:
            about = tensors.metadata()
        kept = {key: value for key, value in load_file(file).items() if without not in key}
        save_file(kept, file, about)
        return folder

    return give


def _alone(made: TransformersEngine, prompt: list[int], answer: list[int]) -> float:
    with torch.no_grad():
        row = torch.tensor([[*prompt, *answer]], device=made.model.device)
        logits = made.model(row).logits[0]
    steps = logits.double().log_softmax(-1)
    return sum(float(steps[len(prompt) - 1 + at, token]) for at, token in enumerate(answer))


@pytest.mark.parametrize("name", KINDS)
def test_answers_are_those_of_single_passes(
    engine: Make, quantised: Callable[[str], Path], name: str
) -> None:
    """Choices, texts and generated answers are those of the loaded model, one text at a time."""
    made = engine(quantised(name), device="cpu")
    encode = made.tokenizer
    contexts = ("Question: what is the capital?\nAnswer:", "one, two,", "A")
    choices = [ChoiceRequest(c, c, (" Paris", " nine saves the worm")) for c in contexts]
    for prediction in predicted(made, choices):
        context = encode(prediction.id)["input_ids"]
        wholes = [encode(prediction.id + c)["input_ids"] for c in choices[0].continuations]
        alone = [_alone(made, context, whole[len(context) :]) for whole in wholes]
        assert prediction.loglikelihoods == pytest.approx(alone, abs=KINDS[name].within)
    texts = [PerplexityRequest(text, text) for text in (CORPUS[:60], CORPUS[60:100], "worm")]
    for prediction in predicted(made, texts):
        alone = [_alone(made, [0], encode(prediction.id)["input_ids"])]
        assert prediction.loglikelihoods == pytest.approx(alone, abs=2 * KINDS[name].within)
    if KINDS[name].within > 1e-4:
        return  # of two tokens that are nearly as likely, either may be the first
    asked = [GenerationRequest(c, c, decoding=Decoding(max_new_tokens=8)) for c in contexts]
    for prediction in predicted(made, asked):
        prompt = encode(prediction.id, return_tensors="pt").to(made.model.device)
        whole = made.model.generate(**prompt, max_new_tokens=8, do_sample=False)[0]
        answer = whole[prompt["input_ids"].shape[1] :]
        assert prediction.text == encode.decode(answer, skip_special_tokens=True)


@pytest.mark.parametrize("name", KINDS)
def test_its_size_is_told_as_it_is(
    engine: Make, plain_folder: Path, quantised: Callable[[str], Path], name: str
) -> None:
    """Parameters are the architecture's, bytes what is on disk and in memory; bits are named."""
    kind, folder = KINDS[name], quantised(name)
    made, plain = engine(folder, device="cpu"), engine(plain_folder).info
    info = made.info
    assert info.parameters == plain.parameters
    assert info.quantization == kind.told
    assert info.dtype == str(made.model.dtype).removeprefix("torch.")
    weights, tokenizer = folder / "model.safetensors", folder / "tokenizer.json"
    about = sum((folder / part).stat().st_size for part in ("chat_template.jinja",))
    about += (folder / "tokenizer_config.json").stat().st_size
    assert info.bytes == weights.stat().st_size + tokenizer.stat().st_size + about
    with safe_open(weights, "pt") as tensors:
        packed = sum(tensors.get_tensor(key).nbytes for key in tensors.keys())  # noqa: SIM118
    assert plain.parameters is not None
    unpacked = plain.parameters * made.model.dtype.itemsize
    held = bytes_held(made.model)
    assert held == pytest.approx(packed if kind.stays else unpacked, rel=0.15)
    assert held < 0.75 * unpacked if kind.stays else packed < 0.75 * held
    said = [note for note in made.notes if "unpacked in memory" in note]
    assert len(said) == (0 if kind.stays else 1)


def test_the_memory_that_a_gate_measures_is_that_of_the_packed_weights(
    engine: Make, quantised: Callable[[str], Path]
) -> None:
    """What is measured counts packed weights and their scales, not the floats they stand for."""
    made = engine(quantised("int8-weights"), device="cpu")
    requests = [PerplexityRequest("1", "worm")]
    measured = measuring.memory(made._load(), made._answer(requests), requests)
    assert (
        measured.weights == bytes_held(made.model) < sum(p.nbytes for p in made.model.parameters())
    )


def test_plain_weights_are_counted_once_with_their_buffers(
    engine: Make, plain_folder: Path
) -> None:
    """A model that nothing packs holds its parameters, tied ones once, and its buffers."""
    model = engine(plain_folder).model
    buffers = {buffer.data_ptr(): buffer.nbytes for buffer in model.buffers()}
    plain = sum(parameter.nbytes for parameter in model.parameters())
    assert bytes_held(model) == plain + sum(buffers.values())


@pytest.mark.parametrize(
    ("name", "without", "told"),
    [
        ("nf4", f"{UP}.weight.absmax", rf"lacks {UP}\.weight\.absmax, which bitsandbytes needs"),
        ("nf4", "layers.1.", r"lacks model\.layers\.1\..*which bitsandbytes needs"),
        ("fp4-nested", f"{UP}.weight.nested_absmax", rf"lacks the scales of the scales of {UP}"),
        ("int8", f"{UP}.SCB", rf"lacks {UP}\.SCB, which bitsandbytes needs"),
        ("w4a16", f"{UP}.weight_scale", rf"lacks {UP}\.weight_scale"),
        ("w8a8", "layers.1.", r"lacks model\.layers\.1\."),
        ("int8-weights", f"{UP}._weight_scale", rf"lacks {UP}\._weight_scale, which torchao needs"),
        ("int8-weights", UP, rf"lacks {UP}\.weight"),
        ("fp8", f"{UP}.weight_scale_inv", rf"holds {UP}\.weight in floats of 8 bits, and no"),
    ],
)
def test_a_checkpoint_without_some_of_its_tensors_is_refused(
    engine: Make, broken: Callable[..., Path], name: str, without: str, told: str
) -> None:
    """A scale that is missing, or a layer, is an error that names it."""
    with pytest.raises(ModelError, match=told) as raised:
        _ = engine(broken(name, without), device="cpu").model
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize("name", ["int8", "w8a8", "fp8-dynamic", "fp8"])
def test_weights_whose_config_lost_its_quantisation_are_refused(
    engine: Make, broken: Callable[..., Path], name: str
) -> None:
    """Packed weights of the shape of plain ones never run without their scales."""
    folder = broken(name)
    _change(folder)
    with pytest.raises(ModelError, match=r"as quantised weights do, and its config\.json has no"):
        _ = engine(folder, device="cpu").model


def test_a_method_that_transformers_does_not_know_is_refused(
    engine: Make, broken: Callable[..., Path]
) -> None:
    """Transformers would run such weights as they are stored."""
    folder = broken("fp8")
    _change(folder, quant_method="modelopt")
    with pytest.raises(ModelError, match=r"quantised by 'modelopt', which transformers .* know"):
        _ = engine(folder, device="cpu").model


def test_another_quantisation_in_the_config_is_another_model(
    engine: Make, broken: Callable[..., Path]
) -> None:
    """The sidecar that says how to unpack is part of the identity; so is the library's version."""
    folder = broken("int8")
    before = engine(folder).identity
    _change(folder, llm_int8_threshold=1.0)
    assert engine(folder).identity["model"] != before["model"]
    assert before["versions"].keys() == {"transformers", "torch", "bitsandbytes"}


def test_load_can_quantise_a_plain_checkpoint(
    engine: Make, plain_folder: Path, quantised: Callable[[str], Path]
) -> None:
    """A mapping in yaml does what the saved checkpoint does, and makes other weights of it."""
    asked = {"load_in_4bit": True, "bnb_4bit_quant_type": "nf4"}
    stored = engine(quantised("nf4"), device="cpu")
    made = engine(plain_folder, device="cpu", load={"quantization_config": asked})
    plain = engine(plain_folder)
    texts = [PerplexityRequest("1", CORPUS[:60])]
    (got,), (expected,) = predicted(made, texts), predicted(stored, texts)
    assert got.loglikelihoods == pytest.approx(expected.loglikelihoods, abs=1e-4)
    assert asked == {"load_in_4bit": True, "bnb_4bit_quant_type": "nf4"}
    assert made.info.quantization == stored.info.quantization
    assert made.info.weights_digest != plain.info.weights_digest
    assert made.info.bytes == plain.info.bytes
    assert made.identity["load"] == {"quantization_config": asked}


def test_a_packed_classifier_answers_as_single_passes(
    engine: Make, tokenizer: Any, tmp_path: Path
) -> None:
    """Texts of several lengths have the probabilities that each has alone."""
    pytest.importorskip("bitsandbytes")
    torch.manual_seed(9)
    config = hf.BertConfig(
        vocab_size=len(tokenizer),
        hidden_size=64,
        intermediate_size=128,
        num_hidden_layers=2,
        num_attention_heads=4,
        max_position_embeddings=96,
        pad_token_id=2,
        initializer_range=0.3,
    )
    folder = saved(hf.BertForSequenceClassification(config), tokenizer, tmp_path / "bert")
    asked = {"load_in_4bit": True, "bnb_4bit_quant_type": "nf4"}
    made = engine(folder, device="cpu", load={"quantization_config": asked})
    assert bytes_held(made.model) < bytes_held(engine(folder).model)
    for prediction in predicted(made, [ClassificationRequest(t, t) for t in TEXTS]):
        with torch.no_grad():
            logits = made.model(
                **made.tokenizer(prediction.id, return_tensors="pt").to(made.model.device)
            ).logits[0]
        alone = logits.double().softmax(-1).tolist()
        assert prediction.probabilities == pytest.approx(alone, abs=1e-4)


def test_a_packed_seq2seq_model_generates_as_transformers_does(
    engine: Make, tokenizer: Any, tmp_path: Path
) -> None:
    """T5 looks into the weights of its layers, packed or not."""
    pytest.importorskip("bitsandbytes")
    torch.manual_seed(10)
    config = hf.T5Config(
        vocab_size=len(tokenizer),
        d_model=64,
        d_kv=16,
        d_ff=128,
        num_layers=2,
        num_heads=4,
        pad_token_id=2,
        eos_token_id=1,
        decoder_start_token_id=2,
        initializer_factor=3.0,
    )
    folder = saved(hf.T5ForConditionalGeneration(config), tokenizer, tmp_path / "t5")
    asked = {"load_in_4bit": True, "bnb_4bit_quant_type": "nf4"}
    made = engine(folder, device="cpu", load={"quantization_config": asked})
    asks = [GenerationRequest(t, t, decoding=Decoding(max_new_tokens=6)) for t in TEXTS]
    for prediction in predicted(made, asks):
        prompt = made.tokenizer(prediction.id, return_tensors="pt").to(made.model.device)
        answer = made.model.generate(**prompt, max_new_tokens=6, do_sample=False)[0]
        text = made.tokenizer.decode(answer, skip_special_tokens=True)
        assert prediction.text == text


def test_load_can_say_how_to_read_packed_weights(
    engine: Make, quantised: Callable[[str], Path]
) -> None:
    """Beside a quantisation of the checkpoint's own `load:` sets what the library lets it."""
    if "dequantize" not in inspect.signature(hf.CompressedTensorsConfig).parameters:
        pytest.skip("this transformers has no such option")
    folder = quantised("w4a16")
    asked = {"quant_method": "compressed-tensors", "dequantize": True}
    made = engine(folder, device="cpu", load={"quantization_config": asked})
    texts = [PerplexityRequest("1", CORPUS[:60])]
    (got,), (expected,) = predicted(made, texts), predicted(engine(folder, device="cpu"), texts)
    assert got.loglikelihoods == pytest.approx(expected.loglikelihoods, abs=1e-4)
    assert not hasattr(made.model.model.layers[0].mlp.up_proj, "weight_scale")
    assert made.info.weights_digest == engine(folder).info.weights_digest


@pytest.mark.parametrize(
    ("asked", "told"),
    [
        ("nf4", r"load: quantization_config must be a mapping, .* not 'nf4'"),
        ({"bits": 4}, r"load: quantization_config names no quant_method"),
        ({"quant_method": "nf4"}, r"quantised by 'nf4', which transformers .* doesn't know"),
        ({"quant_method": "fp8"}, r"can't be quantised, fp8, 8 bits: No GPU or XPU found"),
        ({"quant_method": "gptq", "bits": 4}, r"by gptq, which needs the package gptqmodel: pip"),
    ],
)
def test_what_cannot_be_quantised_here_is_one_line(
    engine: Make, plain_folder: Path, monkeypatch: pytest.MonkeyPatch, asked: Any, told: str
) -> None:
    """A mistake in `load:`, a method for GPUs and a package that is missing are told at once."""
    monkeypatch.setitem(sys.modules, "gptqmodel", None)
    with pytest.raises(ModelError, match=told) as raised:
        _ = engine(plain_folder, device="cpu", load={"quantization_config": asked}).model
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize(
    ("name", "package"),
    [
        ("nf4", "bitsandbytes"),
        ("w4a16", "compressed_tensors"),
        ("int8-weights", "torchao"),
    ],
)
def test_a_missing_package_is_named_with_its_extra(
    engine: Make,
    quantised: Callable[[str], Path],
    monkeypatch: pytest.MonkeyPatch,
    name: str,
    package: str,
) -> None:
    """Without the library the error says what to install; size and bits are known all the same."""
    made = engine(quantised(name), device="cpu")
    monkeypatch.setitem(sys.modules, package, None)
    told = package.replace("_", "-")
    with pytest.raises(
        ModelError, match=rf"package {told}: pip install 'pytest-distill\[quantised\]'$"
    ):
        _ = made.model
    assert made.info.quantization == KINDS[name].told


def test_weights_that_do_not_run_on_their_device_are_one_line() -> None:
    """What a library raises at the first pass is told when the model is loaded, whatever it is."""

    class NoKernel:
        device, dtype = torch.device("cpu"), torch.float32

        def __call__(self, **_: Any) -> Any:
            raise AssertionError("no kernel for cpu\nmore")

    packed = Packing({"quant_method": "torchao", "quant_type": "int4_weight_only"})
    with pytest.raises(ModelError) as raised:
        run_once(Spec("student", "student"), NoKernel(), "causal", packed)
    assert str(raised.value) == (
        "model 'student': its weights are quantised, torchao, 4 bits (int4_weight_only), and don't "
        "run on cpu in float32: no kernel for cpu"
    )


def test_a_type_that_the_library_ignores_is_refused(
    engine: Make, quantised: Callable[[str], Path]
) -> None:
    """Weights of bitsandbytes run in the type that was saved; none is said that is not so."""
    made = engine(quantised("nf4"), device="cpu", dtype="bfloat16")
    try:
        runs_in = made.model.dtype
    except ModelError as error:
        assert "bfloat16 was asked for, but weights quantised by bitsandbytes" in str(error)  # noqa: PT017
    else:
        assert runs_in is torch.bfloat16  # as with older versions of transformers


def test_onednn_leaves_packed_weights_to_their_library(
    engine: Make, quantised: Callable[[str], Path]
) -> None:
    """The mode that sends products of plain weights elsewhere changes no bit of a packed one."""
    layer = engine(quantised("int8-weights"), device="cpu").model.model.layers[0].mlp.up_proj
    rows = torch.ones(2048, 64)  # as many as oneDNN takes
    with torch.inference_mode():
        expected = layer(rows)
        with OneDNN():
            assert torch.equal(layer(rows), expected)


def test_an_adapter_runs_over_packed_weights(
    engine: Make, quantised: Callable[[str], Path], tmp_path: Path
) -> None:
    """QLoRA: the answers are peft's own; the base stays packed."""
    peft = pytest.importorskip("peft")
    base = quantised("nf4")
    model = hf.AutoModelForCausalLM.from_pretrained(base, device_map={"": "cpu"})
    adapted = peft.get_peft_model(
        model, peft.LoraConfig(r=4, target_modules=["q_proj"], task_type="CAUSAL_LM")
    )
    torch.manual_seed(5)
    with torch.no_grad():
        for name, parameter in adapted.named_parameters():
            if "lora_" in name:
                parameter.normal_(std=0.3)
    adapted.save_pretrained(tmp_path)
    adapted.eval()
    made = engine(base, device="cpu", adapter=str(tmp_path))
    (prediction,) = predicted(made, [PerplexityRequest("1", CORPUS[:60])])
    tokens = [0, *made.tokenizer(CORPUS[:60])["input_ids"]]
    with torch.no_grad():
        steps = adapted(torch.tensor([tokens])).logits[0].double().log_softmax(-1)
    expected = sum(float(steps[at - 1, tokens[at]]) for at in range(1, len(tokens)))
    assert prediction.loglikelihoods == pytest.approx([expected], abs=1e-4)
    (plain,) = predicted(engine(base, device="cpu"), [PerplexityRequest("1", CORPUS[:60])])
    assert plain.loglikelihoods != pytest.approx([expected], abs=1e-2)
    assert bytes_held(made.model) < bytes_held(engine(base, device="cpu").model) + 2**14


def test_quanto_quantises_when_it_is_loaded(engine: Make, plain_folder: Path) -> None:
    """What can't be saved can be asked for."""
    if importlib.util.find_spec("optimum") is None:
        pytest.skip("optimum-quanto is not installed")
    pytest.importorskip("optimum.quanto")
    asked = {"quant_method": "quanto", "weights": "int8"}
    made = engine(plain_folder, device="cpu", load={"quantization_config": asked})
    assert made.info.quantization == "quanto (int8)"
    (prediction,) = predicted(made, [PerplexityRequest("1", CORPUS[:60])])
    alone = [_alone(made, [0], made.tokenizer(CORPUS[:60])["input_ids"])]
    assert prediction.loglikelihoods == pytest.approx(alone, abs=1e-4)
    assert bytes_held(made.model) < 0.75 * sum(p.nbytes for p in made.model.parameters())
