"""The entry under ``of:``: a model that one engine has another one run."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import replace
from typing import Any, Final, Self, TypeVar, cast, get_args

from pydantic import (
    BaseModel,
    ModelWrapValidatorHandler,
    PrivateAttr,
    ValidationError,
    ValidationInfo,
    model_validator,
)
from pydantic_core import ErrorDetails, InitErrorDetails, PydanticCustomError
from pydantic_core.core_schema import ErrorType

from pytest_distill._util.keys import known_keys, names_of, unknown_key
from pytest_distill._util.strict import STRICT
from pytest_distill._util.user_code import unless_ours
from pytest_distill.engines.lookup import (
    DEFAULT,
    engine_class,
    handed_on,
    known_class,
    options_class,
)
from pytest_distill.engines.spec import Device, ModelSpec, located
from pytest_distill.errors import ConfigError

BESIDE: Final = ("role", "trained", "latency_ms", "cost_per_1k", "parameters", "bytes")
"""What is said of a model whatever runs it: it stands beside ``of``."""

ENGINES_OF_HOOKS: Final = "engines"
"""Key of pydantic's validation context: name -> class of the engines that hooks add."""

OPTIONS_AROUND: Final = "options"
"""Key of pydantic's validation context: the options class of the engine that has the model run."""

_SHARED: Final = ("engine", "path", "device")
T = TypeVar("T")
_KINDS = frozenset(get_args(ErrorType))


class Inner(BaseModel):
    """The model that another engine has run: what its own engine is built with.

    Its further keys are those of its engine, and validated by that engine's ``Options``.
    """

    model_config = STRICT

    engine: str = DEFAULT
    """What runs the model: `transformers`, another engine that loads it, or one of your own."""
    path: str = ""
    """A folder or file with the model, or a hub id."""
    device: Device = "auto"
    """`auto`, `cpu`, `cuda` or `cuda:N`, where the model runs."""
    options: Any = None
    _kind: Any = PrivateAttr(default=None)

    @model_validator(mode="wrap")
    @classmethod
    def _as_its_engine_says(
        cls, entry: Any, handler: ModelWrapValidatorHandler[Self], info: ValidationInfo
    ) -> Self:
        """Validate the keys of every inner model here, and all others by the engine's options."""
        if not isinstance(entry, Mapping):
            return handler(entry)
        try:
            kind = _class_of(entry.get("engine", DEFAULT), info.context)
        except ConfigError as error:
            raise _refused(cls, [_said(str(error), "engine", entry.get("engine"))]) from None
        return cls._made(entry, handler, kind, info)

    @classmethod
    def _made(
        cls, entry: Mapping[Any, Any], handler: Callable[[Any], Self], kind: Any, info: Any
    ) -> Self:
        """Return the entry of an engine of this kind; an error for each key that is wrong."""
        problems: list[InitErrorDetails] = []
        try:
            with unless_ours(kind, "Options", ConfigError):
                options = options_class(kind, {*_SHARED, *BESIDE})
                taken = {key: value for key, value in entry.items() if key not in _SHARED}
                around = (info.context or {}).get(OPTIONS_AROUND)
                own = [*_own_keys(taken, options, around, problems)]
                made = _tried(
                    lambda: options.model_validate(dict(own), context=info.context),
                    options,
                    problems,
                )
        except ConfigError as error:  # of the engine's author
            raise _refused(cls, [_said(str(error), "engine", entry.get("engine"))]) from None
        said = {key: entry[key] for key in entry if key in _SHARED}
        if getattr(kind, "loads_checkpoint", False) and "path" not in said:
            problems.append({"type": "missing", "loc": ("path",), "input": dict(entry)})
        elif "path" in said and said["path"] == "":
            problems.append(_said("must not be empty", "path", ""))
        whole = _tried(lambda: handler({**said, "options": made}), cls, problems)
        if problems or whole is None:
            raise _refused(cls, problems)
        whole._kind = kind
        return whole

    @property
    def kind(self) -> Any:
        """The class of its engine; ConfigError where that can't be imported here."""
        if self._kind is not None:
            return self._kind
        return engine_class(self.engine, {}, f"engine '{self.engine}'")

    @property
    def kind_here(self) -> Any:
        """The class of its engine; None where it couldn't be imported when the file was read."""
        return self._kind

    @property
    def loads_checkpoint(self) -> bool:
        """Whether its size is measured, not declared."""
        return bool(getattr(self._kind, "loads_checkpoint", False))

    def spec(self, outer: ModelSpec) -> ModelSpec:
        """Return what its engine is built with, in the place of the engine that runs it.

        Parameters
        ----------
        outer : ModelSpec
            What that one is built with: all that is no key under ``of`` is the same.
        """
        path = located(self.path, outer.folder) if self.path else ""
        return replace(outer, path=path, device=self.device, options=handed_on(self.options))


def key_of_inner(options: Any) -> str | None:
    """Return which key of an engine holds the model that another one runs; None where none does."""
    if not (isinstance(options, type) and issubclass(options, BaseModel)):
        return None
    fields = options.model_fields.items()
    return next((name for name, field in fields if field.annotation is Inner), None)


def inner_of(options: object) -> Inner | None:
    """Return the model that another engine runs for the one with these options, if one does."""
    key = key_of_inner(type(options))
    return None if key is None else getattr(options, key)


def inner_path(spec: object) -> str:
    """Return where the model lies that another engine runs; empty where none does, or no path is.

    Parameters
    ----------
    spec : ModelSpec
        What the outer engine was built with; an engine of a user's may have kept anything.
    """
    inner = inner_of(spec.options) if isinstance(spec, ModelSpec) else None
    return "" if inner is None else inner.spec(cast("ModelSpec", spec)).path


def misplaced(
    name: str, options: type[BaseModel], entry: Mapping[str, Any], context: Mapping[str, Any] | None
) -> str | None:
    """Return what to say of a key that stands beside ``of`` and belongs under it; None for others.

    Parameters
    ----------
    name : str
        A key that the outer engine has not.
    options : type
        The options of the outer engine.
    entry : mapping
        The whole entry.
    context : mapping, optional
        As for the validation of an `Inner`.
    """
    key = key_of_inner(options)
    if key is None:
        return None
    said = entry.get(key)
    engine = said.get("engine", DEFAULT) if isinstance(said, Mapping) else DEFAULT
    known = {*_SHARED}
    with suppress(ConfigError):
        own = options_class(_class_of(engine, context), ())
        known |= {*names_of(own)}
    return f"belongs to the engine that answers: write it under '{key}'" if name in known else None


def _class_of(name: object, context: Mapping[str, Any] | None) -> Any:
    """Return the class of an engine; None where only a run can tell. ConfigError for no engine.

    What is no text is refused as every key of a wrong type is.
    """
    if not isinstance(name, str):
        return None
    added = (context or {}).get(ENGINES_OF_HOOKS, {})
    kind = known_class(name, added, lambda kind: _why_not(kind) is None)
    if why := _why_not(kind):
        raise ConfigError(f"'{name}' {why}")
    return kind


def _why_not(kind: Any) -> str | None:
    """Return why an engine of this class can't be run by another one; None where it can."""
    if hasattr(kind, "declared_as"):
        return "runs no model: its answers or scores are read from files"
    if key_of_inner(getattr(kind, "Options", None)) is not None:
        return "has another engine run a model itself: write what it runs"
    if hasattr(kind, "asked_at"):
        return (
            "asks a model that runs elsewhere: write its keys beside 'engine', without the engine "
            "around it"
        )
    return None


def _own_keys(
    entry: Mapping[Any, Any],
    options: type[BaseModel],
    around: type[BaseModel] | None,
    problems: list[InitErrorDetails],
) -> Iterator[tuple[str, Any]]:
    """Yield the keys that an engine declares, and tell of all others in `problems`."""
    known = [*_SHARED, *names_of(options)]
    inner = key_of_inner(around)
    any_key = options.model_config.get("extra") == "allow"
    for key, value in entry.items():
        if key in BESIDE:
            problem = "is said of the model whatever runs it: write it one level up"
            problems.append(_said(problem, key, value))
        elif any_key or key in known:
            yield key, value
        elif around is not None and key != inner and key in names_of(around):
            problem = f"belongs to the engine around this one: write it beside '{inner}'"
            problems.append(_said(problem, key, value))
        else:
            problems.append(_said(unknown_key(str(key), known), key, value))


def _tried(
    make: Callable[[], T], kind: type[BaseModel], problems: list[InitErrorDetails]
) -> T | None:
    """Return what is made; None where it can't be, with each reason added to `problems`."""
    try:
        return make()
    except ValidationError as error:
        problems.extend(_again(each, kind) for each in error.errors())
    return None


def _again(error: ErrorDetails, kind: type[BaseModel]) -> InitErrorDetails:
    """Return an error as another one can hold it; what only its own model knows is put in words."""
    loc = error["loc"]
    if error["type"] == "extra_forbidden":
        return _said(unknown_key(str(loc[-1]), known_keys(kind, loc)), *loc, error["input"])
    if error["type"] in _KINDS:
        said = {"type": error["type"], "loc": loc, "input": error["input"]}
        return cast("InitErrorDetails", {**said, "ctx": error.get("ctx", {})})
    own = PydanticCustomError(error["type"], error["msg"])
    return {"type": own, "loc": loc, "input": error["input"]}


def _said(problem: str, *at: Any) -> InitErrorDetails:
    """Return an error in our words: where it is, and last what stands there."""
    *loc, given = at
    about = {"error": ValueError(problem)}
    return {"type": "value_error", "loc": tuple(loc), "input": given, "ctx": about}


def _refused(kind: type[BaseModel], problems: list[InitErrorDetails]) -> ValidationError:
    return ValidationError.from_exception_data(kind.__name__, problems)
