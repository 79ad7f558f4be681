"""Which tasks of lm-evaluation-harness are not asked here, and why."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml

from pytest_distill.errors import ConfigError
from pytest_distill.evals.lm_eval import harness
from pytest_distill.evals.lm_eval.declared import DeclaredTask

TRUST = "trust_remote_code"
"""The key of an entry that lets Python run which comes with a task."""


def refusal(task: DeclaredTask, *, trusted: bool = False, has_data: bool = False) -> str | None:
    """Return why a task is not asked here, what it would do; None where it is.

    Nothing of the task is run to tell.

    Parameters
    ----------
    task : DeclaredTask
        The task.
    trusted : bool
        Whether Python that comes with it, or from a hub, may run.
    has_data : bool
        Whether files take the place of its data set.
    """
    return next(_reasons(task, trusted, has_data), None)


def _reasons(task: DeclaredTask, trusted: bool, has_data: bool) -> Iterator[str]:
    said = task.said
    if "class" in said:
        yield "is a Python class of its own, not declared in a file, and is not asked here"
    metrics = [str(one.get("metric")) for one in said.get("metric_list") or []]
    if said.get("unsafe_code") or any("code_eval" in metric for metric in metrics):
        yield "runs code that the model writes (unsafe_code), which is not done here"
    for key, what in (("doc_to_image", "images"), ("doc_to_audio", "audio")):
        if said.get(key):
            yield f"shows {what} to a model ({key}), and models are asked texts here"
    if said.get("use_prompt"):
        yield "takes its prompt from the package promptsource (use_prompt), which is not read here"
    if said.get("custom_dataset") and not has_data:
        yield (
            "makes its documents by Python of its own (custom_dataset), which is not run here: "
            "write them to files and name these, 'data: {SPLIT: FILE}'"
        )
    own = None if _is_packaged(task.path) else _functions(task.path)
    if own is None and (module := _own_module(task.otherwise)):
        own = module.name
    if not trusted and own is not None:
        yield f"runs Python that stands beside it ({own}): where you trust it, '{TRUST}: true'"
    fetched = [name for name in _fetched(said) if not trusted]
    if fetched:
        yield (
            f"scores by '{fetched[0]}', whose Python comes from a hub: where you trust it, "
            f"'{TRUST}: true'"
        )


def _is_packaged(path: Path) -> bool:
    return path.resolve().is_relative_to(harness.tasks_folder().resolve())


def _functions(path: Path, seen: frozenset[Path] = frozenset()) -> str | None:
    """Return the first function or class that a file of the user's names; None without one.

    What it includes counts too, unless that comes with lm-evaluation-harness.
    """
    path = path.resolve()
    if path in seen or _is_packaged(path):
        return None
    try:
        text = path.read_text(encoding="utf-8")
        for token in yaml.scan(text):
            if isinstance(token, yaml.TagToken) and token.value[1] == "function":
                return f"{path.name}, line {token.start_mark.line + 1}: !function"
        said = yaml.load(text, Loader=_Plain)  # noqa: S506 (of yaml.SafeLoader)
    except (OSError, ValueError, yaml.YAMLError) as error:
        raise ConfigError(f"include_path: {path}: {error}") from None
    if "class" in said:
        return f"{path.name}: class"
    includes = said.get("include") or []
    for include in [includes] if isinstance(includes, str) else includes:
        if found := _functions(path.parent / include, seen | {path}):
            return found
    return None


class _Plain(yaml.SafeLoader):
    """A loader to which what has a tag is nothing."""


_Plain.add_multi_constructor("", lambda *_: None)


def without_hub_metrics(said: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return what a task says, without asking for metrics that it would fetch and never call.

    Only texts are scored by a metric's own function; but lm-evaluation-harness looks each up, where
    the task says ``hf_evaluate`` on a hub.
    """
    listed = said.get("metric_list")
    if not listed or said.get("output_type", "generate_until") == "generate_until":
        return said
    return {
        **said,
        "metric_list": [{k: v for k, v in one.items() if k != "hf_evaluate"} for one in listed],
    }


def _fetched(said: Mapping[str, Any]) -> Iterator[str]:
    """Yield the metrics of a task that lm-evaluation-harness would fetch from a hub."""
    if said.get("process_results") or said.get("output_type", "generate_until") != "generate_until":
        return
    harness.module("api.metrics")  # which registers its own
    known = harness.module("api.registry").metric_registry
    for one in said.get("metric_list") or []:
        name = str(one.get("metric"))
        if one.get("hf_evaluate") or (name not in known and "/" not in name):
            yield name


def with_functions(said: Any) -> Any:
    """Return what a group says with its functions, which stand there by their names, imported."""
    if isinstance(said, Mapping):
        return {key: with_functions(value) for key, value in said.items()}
    if isinstance(said, list):
        return [with_functions(value) for value in said]
    if isinstance(said, str) and _module(said) is not None:
        return harness.module("tasks._yaml_loader")._import_fun_from_str(said)
    return said


def _module(said: str) -> Path | None:
    """Return the file of a function that stands by its name, as lm-evaluation-harness reads it."""
    path = Path(f"{said.rpartition('.')[0]}.py") if said.startswith("/") else None
    return path if path is not None and path.is_file() else None


def _own_module(said: Any) -> Path | None:
    """Return a file with a function that a group names and that lm-evaluation-harness has not."""
    if isinstance(said, str):
        path = _module(said)
        return None if path is None or _is_packaged(path) else path
    inside = said.values() if isinstance(said, Mapping) else said if isinstance(said, list) else ()
    return next((found for each in inside if (found := _own_module(each))), None)
