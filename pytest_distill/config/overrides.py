"""What the file of a task of lm-evaluation-harness may say, and ``override:`` otherwise than it."""

from __future__ import annotations

from importlib import import_module
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, ConfigDict, ValidationError, ValidationInfo

from pytest_distill.config.problems import known_keys, sentence
from pytest_distill.config.schema import Count, Entry
from pytest_distill.errors import ConfigError, did_you_mean
from pytest_distill.evals.lm_eval import harness
from pytest_distill.evals.lm_eval.declared import DeclaredTask

_OF_FILE = "a file"
_OF_INDEX = ("task", "tag", "group", "include", "task_list")
"""What a file says of where its task stands, not of how it is asked."""


def _parsed(said: Any) -> Any:
    """Refuse a template that is none; texts without braces stand for themselves, or a column."""
    for text in said if isinstance(said, list) else [said]:
        if isinstance(text, str) and ("{{" in text or "{%" in text):
            jinja2 = import_module("jinja2")
            try:
                harness.module("utils").env.from_string(text)
            except jinja2.TemplateSyntaxError as error:
                raise ValueError(f"is no template of Jinja: {error.message}") from None
    return said


_Template = Annotated[str | int | list[Any] | dict[str, Any] | None, AfterValidator(_parsed)]


def _step(name: str, info: ValidationInfo) -> str:
    """Refuse a step that lm-evaluation-harness has not; a task's own code may bring one."""
    if info.context == _OF_FILE:
        return name
    harness.module("filters")  # which registers its own
    known = [*harness.module("api.registry").filter_registry]
    if name not in known:
        raise ValueError(f"no such step of a filter; {did_you_mean(name, known)}")
    return name


class _Further(Entry):
    """A mapping that may say more than what is looked at here."""

    model_config = ConfigDict(extra="allow")


class SaidMetric(_Further):
    """A number of the task; all other keys are arguments of its function."""

    metric: str
    aggregation: str | None = None
    higher_is_better: bool | None = None


class SaidStep(_Further):
    """One step of a filter; all other keys are its arguments."""

    function: Annotated[str, AfterValidator(_step)]


class SaidFilter(_Further):
    """A filter: steps that make one answer of all of them."""

    name: str
    filter: list[SaidStep]


class SaidShots(Entry):
    """Where solved examples come from, and how they are written."""

    sampler: str = "default"
    split: str | None = None
    process_docs: str | None = None
    fewshot_indices: list[int] | None = None
    samples: list[dict[str, Any]] | str | None = None
    doc_to_text: _Template = None
    doc_to_choice: _Template = None
    doc_to_target: _Template = None
    gen_prefix: _Template = None
    fewshot_delimiter: str | None = None
    target_delimiter: str | None = None


class Said(Entry):
    """What a task says of how it is asked and scored: lm-evaluation-harness's ``TaskConfig``."""

    task_alias: str | None = None
    custom_dataset: str | None = None
    dataset_path: str | None = None
    dataset_name: str | None = None
    dataset_kwargs: dict[str, Any] | None = None
    training_split: str | None = None
    validation_split: str | None = None
    test_split: str | None = None
    fewshot_split: str | None = None
    process_docs: str | None = None
    doc_to_text: _Template = None
    doc_to_target: _Template = None
    doc_to_choice: _Template = None
    doc_to_image: str | list[str] | None = None
    doc_to_audio: str | list[str] | None = None
    unsafe_code: bool = False
    process_results: str | None = None
    use_prompt: str | None = None
    description: _Template = None
    target_delimiter: str | None = None
    fewshot_delimiter: str | None = None
    fewshot_config: SaidShots | None = None
    num_fewshot: Count | None = None
    metric_list: list[SaidMetric] | None = None
    output_type: Literal[
        "generate_until", "loglikelihood", "loglikelihood_rolling", "multiple_choice"
    ] = "generate_until"
    generation_kwargs: dict[str, Any] | None = None
    repeats: Count = 1
    filter_list: list[SaidFilter] | None = None
    should_decontaminate: bool = False
    doc_to_decontamination_query: str | None = None
    gen_prefix: _Template = None
    metadata: dict[str, Any] | None = None


def check_file(task: DeclaredTask) -> None:
    """Raise ConfigError, naming the file and the key, where a task says what none can say."""
    if "class" in task.said:
        return  # which may say what it likes
    said = {key: value for key, value in task.said.items() if key not in _OF_INDEX}
    try:
        Said.model_validate(said, context=_OF_FILE)
    except ValidationError as error:
        (first, *_) = error.errors()
        key = ".".join(map(str, first["loc"]))
        told = sentence(first, known_keys(Said, first["loc"]))
        raise ConfigError(f"task: {task.path}: {key}: {told}") from None
