from __future__ import annotations

import pytest

# pytester drops the modules that are first imported in a test, and torch can't be imported twice.
import torch
import torch._dynamo  # comes by itself when a first model is made
import transformers

from .project import SHIPS, Project, Run, refuse_package_frames, review_eval, said


def devices(project: Project) -> dict[str, str]:
    """Return the device that each model's engine was given."""
    return {call["model"]: call["device"] for call in project.calls("load")}


def test_the_default_is_auto(project: Project, run: Run) -> None:
    """Without option and key, every model is started with `auto`."""
    project.use_own_engine()
    project.file("test_ship.py", SHIPS)
    run().assert_outcomes(passed=2)
    assert devices(project) == dict.fromkeys(("teacher", "student", "sft"), "auto")


def test_the_yaml_may_say_it_for_each_model(project: Project, run: Run) -> None:
    """`device:` of a model is that model's alone."""
    project.use_own_engine()
    project.models["teacher"]["device"] = "cuda:1"
    project.save()
    project.file("test_ship.py", SHIPS)
    run().assert_outcomes(passed=2)
    assert devices(project) == {"teacher": "cuda:1", "student": "auto", "sft": "auto"}


def test_the_option_overrides_every_model(project: Project, run_both: Run) -> None:
    """`--distill-device` holds for all models, in every worker."""
    project.use_own_engine(device="cuda:1")
    project.file("test_ship.py", SHIPS)
    run_both("--distill-device", "cpu").assert_outcomes(passed=2)
    assert {call["device"] for call in project.calls("load")} == {"cpu"}


@pytest.mark.parametrize("device", ["gpu", "cuda:x", "CUDA", ""])
def test_another_word_is_refused(project: Project, run: Run, device: str) -> None:
    """What is no device is an error that lists them, before any model is loaded."""
    project.use_own_engine()
    project.file("test_ship.py", SHIPS)
    result = run(f"--distill-device={device}")
    assert result.ret not in (pytest.ExitCode.OK, pytest.ExitCode.INTERNAL_ERROR)
    assert f"--distill-device {device}:" in said(result)
    assert "auto, cpu, cuda" in said(result)
    assert project.loaded() == []


def test_recorded_models_do_not_mind(project: Project, run: Run) -> None:
    """Models that do not run here have no device to override."""
    project.file("test_ship.py", SHIPS)
    run("--distill-device", "cuda").assert_outcomes(passed=2)


def test_cuda_without_cuda_is_an_error(project: Project, run: Run) -> None:
    """A real model that is told to run on CUDA where there is none says so, and runs nowhere."""
    if torch.cuda.is_available():
        pytest.skip("there is a CUDA device")
    config = transformers.BertConfig(
        vocab_size=32,
        hidden_size=8,
        intermediate_size=8,
        num_hidden_layers=1,
        num_attention_heads=1,
    )
    transformers.BertForSequenceClassification(config).save_pretrained(project.path / "tiny")
    project.file(
        "tiny/vocab.txt", "\n".join(["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "text"])
    )
    project.models["student"] = {"path": "tiny"}
    project.evals["reviews"] = review_eval(labels={"pos": 0, "neg": 1})
    project.save()
    project.file("test_ship.py", SHIPS)
    result = run("--distill-device", "cuda")
    result.assert_outcomes(failed=2)
    assert "model 'student': device 'cuda' was asked for" in said(result)
    assert "finds no CUDA device here" in said(result)
    refuse_package_frames(result)
