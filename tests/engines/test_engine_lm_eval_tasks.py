"""The tasks of lm-evaluation-harness through this package, against itself, document by document."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from pytest_distill.engines.transformers import TransformersEngine
from tests.lm_eval_cases import CASES
from tests.lm_eval_tasks import differences, no_model_of_lm_eval, ours, theirs

from .tiny import hf, saved, spec_of

pytestmark = [
    pytest.mark.lm_eval,
    pytest.mark.filterwarnings("ignore"),  # of lm-evaluation-harness and datasets, not ours
]


@pytest.fixture(scope="module")
def roomy(causal_folder: Path, tmp_path_factory: pytest.TempPathFactory, tokenizer: Any) -> Path:
    """Return the tiny model with room for long prompts."""
    model = hf.LlamaForCausalLM.from_pretrained(causal_folder, max_position_embeddings=2048)
    return saved(model, tokenizer, tmp_path_factory.mktemp("roomy"))


@pytest.fixture(scope="module")
def harness(roomy: Path) -> Any:
    """Return lm-evaluation-harness's own model on the checkpoint."""
    from lm_eval.models.huggingface import HFLM

    return HFLM(pretrained=str(roomy), device="cpu", batch_size=4)


@pytest.fixture(scope="module")
def distill(roomy: Path) -> TransformersEngine:
    """Return our engine on the checkpoint."""
    return TransformersEngine(spec_of(roomy))


@pytest.mark.parametrize("name", CASES)
def test_a_task_is_equal_document_by_document_and_in_every_aggregate(
    name: str, harness: Any, distill: TransformersEngine, tmp_path: Path
) -> None:
    """Prompts, responses, what each filter makes of them, every value, and every aggregate."""
    case = CASES[name]
    data = case.written(tmp_path, first=4)
    found = ours(case, data, distill)
    assert differences(found, theirs(case, data, harness)) == []


@pytest.fixture(scope="module")
def real(smollm2: Path) -> tuple[Any, TransformersEngine]:
    """Return lm-evaluation-harness's own model of SmolLM2, and our engine."""
    from lm_eval.models.huggingface import HFLM

    theirs_ = HFLM(pretrained=str(smollm2), device="cpu", batch_size=4)
    return theirs_, TransformersEngine(spec_of(smollm2))


@pytest.mark.parametrize("name", ["piqa", "lambada_openai"])
def test_a_real_model_is_equal_too(
    name: str, real: tuple[Any, TransformersEngine], tmp_path: Path
) -> None:
    """SmolLM2, on two documents without solved examples."""
    case = CASES[name]
    model, engine = real
    data = case.written(tmp_path, first=2)
    found = ours(case, data, engine, num_fewshot=0)
    assert differences(found, theirs(case, data, model, num_fewshot=0)) == []


def test_no_model_of_lm_evals_own_is_made_on_our_side() -> None:
    """The guard under which every answer of ours is made here raises where one is."""
    from lm_eval.models import huggingface
    from lm_eval.models.dummy import DummyLM

    with no_model_of_lm_eval():
        for make in (huggingface.HFLM, DummyLM):
            with pytest.raises(AssertionError, match="a model of lm-evaluation-harness was made"):
                make()
    assert DummyLM()
