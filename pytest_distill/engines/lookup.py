"""From a name under ``engine:`` to the class that it stands for."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict

from pytest_distill._util.user_code import load_object
from pytest_distill.engines.spec import ModelSpec
from pytest_distill.errors import ConfigError, refuse_unknown

ENGINES: Mapping[str, str] = {
    "transformers": "pytest_distill.engines.transformers:TransformersEngine",
    "vllm": "pytest_distill.engines.vllm:VLLMEngine",
    "openai": "pytest_distill.engines.openai:OpenAIEngine",
    "ray": "pytest_distill.engines.ray:RayEngine",
    "recorded": "pytest_distill.evaluation.sources.recorded:RecordedModel",
    "reported": "pytest_distill.evaluation.sources.reported:ReportedModel",
}
"""Where the class of each built-in engine is, as ``module:name``; it is imported when asked for."""

DEFAULT = "transformers"
"""The engine of an entry that names none."""


class FurtherKeys(BaseModel):
    """The options of an engine that declares none: whatever else the entry has is handed on."""

    model_config = ConfigDict(extra="allow", frozen=True)


def engine_class(name: str, added: Mapping[str, Any], where: str) -> Any:
    """Return the class that a name stands for.

    Parameters
    ----------
    name : str
        A built-in engine, one that a hook adds, or a dotted path.
    added : mapping
        Classes that hooks add, by name.
    where : str
        File and key, for messages.

    Raises
    ------
    ConfigError
        Where it cannot be imported, or is no class.
    """
    if name in added:
        return added[name]
    found = load_object(ENGINES.get(name, name), where)
    if not callable(found):
        raise ConfigError(f"{where}: '{name}' is {found!r}, not a class")
    return found


def known_class(
    name: str, added: Mapping[str, Any], suits: Callable[[Any], bool] = lambda _: True
) -> Any:
    """Return what `engine_class` does; None where it cannot be imported now, but when it is used.

    A machine that judges predictions of another one need not have what the engine needs.

    Parameters
    ----------
    suits : callable
        Whether a class may be named here: a message about a name that is none lists those alone.

    Raises
    ------
    ConfigError
        Where no engine is called so.
    """
    if "." not in name and ":" not in name:
        what = f"unknown engine '{name}'"
        own = " (an engine of your own is a dotted path)"
        known = {*ENGINES, *added}
        if name not in known:
            known = {each for each in known if suits(known_class(each, added))}
        refuse_unknown(name, known, what, lambda said: ConfigError(said + own))
    with suppress(ConfigError):
        return engine_class(name, added, "")
    return None


def options_class(engine: Any, shared: Collection[str]) -> type[BaseModel]:
    """Return what an engine declares of its own keys, beside those that all models share.

    Raises
    ------
    ConfigError
        Where it is no pydantic model, or declares one of the `shared` keys.
    """
    declared = getattr(engine, "Options", FurtherKeys)
    who = f"Options of {getattr(engine, '__qualname__', engine)}"
    if not (isinstance(declared, type) and issubclass(declared, BaseModel)):
        raise ConfigError(f"{who} must be derived from pydantic.BaseModel, it is {declared!r}")
    for name in declared.model_fields:
        if name in shared:
            raise ConfigError(f"{who} has '{name}', which is a key of every model: rename it")
    return declared


def handed_on(options: Any) -> Any:
    """Return the options of an entry as its engine gets them: declared ones as they are."""
    return options.model_extra if isinstance(options, FurtherKeys) else options


def is_here(engine: Any, spec: ModelSpec) -> bool:
    """Return whether a model can be run or asked on this machine, as far as its entry tells.

    Where its path is neither file nor folder, its engine may know better, by ``is_here(spec)``.
    """
    if spec.path and Path(spec.path).exists():
        return True
    asked = getattr(engine, "is_here", None)
    return not spec.path if asked is None else bool(asked(spec))


def shared_cards(engine: Any, spec: ModelSpec) -> tuple[str, ...]:
    """Return the GPUs that a model will use and that other workers of the run may use too.

    An engine says it by ``shared_cards(spec)``, in names that are the same in all of them.
    """
    asked = getattr(engine, "shared_cards", None)
    return () if asked is None else tuple(asked(spec))


def weights_named(engine: Any, spec: ModelSpec) -> tuple[object, ...] | None:
    """Return what names the weights of a model, before any file is read; None where nothing does.

    An engine says it by ``weights_named(spec)``.
    """
    asked = getattr(engine, "weights_named", None)
    return None if asked is None else tuple(asked(spec))
