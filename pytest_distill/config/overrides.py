"""What the file of a task of lm-evaluation-harness may say, and ``override:`` otherwise than it."""

from __future__ import annotations

from importlib import import_module
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, ConfigDict, ValidationError, ValidationInfo

from pytest_distill.config.problems import problems
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
    """Name of a metric of lm-evaluation-harness, or of `evaluate`."""
    aggregation: str | None = None
    """What makes one number of all examples' scores; by default the metric's own."""
    higher_is_better: bool | None = None
    """Whether a higher score is the better one; by default as the metric says."""


class SaidStep(_Further):
    """One step of a filter; all other keys are its arguments."""

    function: Annotated[str, AfterValidator(_step)]
    """Name of the step."""


class SaidFilter(_Further):
    """A filter: steps that make one answer of all of them."""

    name: str
    """What numbers that it leads to are told apart by."""
    filter: list[SaidStep]
    """Its steps, in their order."""


class SaidShots(Entry):
    """Where solved examples come from, and how they are written."""

    sampler: str = "default"
    """How they are chosen: `default` draws them, `first_n` takes the first ones."""
    split: str | None = None
    """The split that they are taken from."""
    process_docs: str | None = None
    """A function that changes the documents of that split."""
    fewshot_indices: list[int] | None = None
    """The documents that may be taken, by their number from 0."""
    samples: list[dict[str, Any]] | str | None = None
    """The solved examples themselves, or a function that gives them."""
    doc_to_text: _Template = None
    """The prompt of a solved example, where it is not the task's."""
    doc_to_choice: _Template = None
    """The choices of a solved example, where they are not the task's."""
    doc_to_target: _Template = None
    """The answer of a solved example, where it is not the task's."""
    gen_prefix: _Template = None
    """What the answer of a solved example begins with."""
    fewshot_delimiter: str | None = None
    """What stands between two solved examples."""
    target_delimiter: str | None = None
    """What stands between a prompt and its answer."""


class Said(Entry):
    """What a task says of how it is asked and scored: lm-evaluation-harness's ``TaskConfig``."""

    task_alias: str | None = None
    """Another name for tables."""
    custom_dataset: str | None = None
    """A function that gives the documents."""
    dataset_path: str | None = None
    """The data set: a name on the hub, or a kind of file."""
    dataset_name: str | None = None
    """Which config of it."""
    dataset_kwargs: dict[str, Any] | None = None
    """Further arguments of what loads it."""
    training_split: str | None = None
    """Its split for training."""
    validation_split: str | None = None
    """Its split for validation: asked where there is none for tests."""
    test_split: str | None = None
    """Its split for tests: what is asked."""
    fewshot_split: str | None = None
    """The split of the solved examples."""
    process_docs: str | None = None
    """A function that changes the documents before they are asked."""
    doc_to_text: _Template = None
    """The prompt: a jinja2 template over a document, or its column."""
    doc_to_target: _Template = None
    """What counts as right: a template, a column, or the number of the right choice."""
    doc_to_choice: _Template = None
    """The choices: a list, or a template or column that gives one."""
    doc_to_image: str | list[str] | None = None
    """The images of a document."""
    doc_to_audio: str | list[str] | None = None
    """The sounds of a document."""
    unsafe_code: bool = False
    """Whether code that a model wrote is run to score it."""
    process_results: str | None = None
    """A function that scores an answer."""
    use_prompt: str | None = None
    """A prompt of promptsource."""
    description: _Template = None
    """What stands before all solved examples and the prompt."""
    target_delimiter: str | None = None
    """What stands between a prompt and its answer; by default a blank."""
    fewshot_delimiter: str | None = None
    """What stands between two solved examples; by default an empty line."""
    fewshot_config: SaidShots | None = None
    """Where solved examples come from, and how they are written."""
    num_fewshot: Count | None = None
    """How many solved examples stand before a prompt."""
    metric_list: list[SaidMetric] | None = None
    """The numbers that the task is scored by."""
    output_type: Literal[
        "generate_until", "loglikelihood", "loglikelihood_rolling", "multiple_choice"
    ] = "generate_until"
    """What a model is asked for."""
    generation_kwargs: dict[str, Any] | None = None
    """How a text is generated: `until`, `max_gen_toks`, `do_sample`, `temperature` and others."""
    repeats: Count = 1
    """How many times a document is asked."""
    filter_list: list[SaidFilter] | None = None
    """What makes an answer of what a model wrote."""
    should_decontaminate: bool = False
    """Whether documents that stand in training data are looked for."""
    doc_to_decontamination_query: str | None = None
    """What is looked for then."""
    gen_prefix: _Template = None
    """What an answer begins with."""
    metadata: dict[str, Any] | None = None
    """What is told of the task, such as its version."""


def check_file(task: DeclaredTask) -> None:
    """Raise ConfigError, naming the file and the key, where a task says what none can say."""
    if "class" in task.said:
        return  # which may say what it likes
    said = {key: value for key, value in task.said.items() if key not in _OF_INDEX}
    try:
        Said.model_validate(said, context=_OF_FILE)
    except ValidationError as error:
        at, told = next(problems(error, Said, said))
        key = ".".join(map(str, at))
        raise ConfigError(f"task: {task.path}: {key}: {told}") from None
