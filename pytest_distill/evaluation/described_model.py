"""A model that its engine describes: what that says of it is checked before it is believed."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, suppress
from dataclasses import KW_ONLY, dataclass, field, replace
from functools import cached_property
from typing import Any

from pytest_distill._util.user_code import is_ours, unless_ours, user_code, warn_of
from pytest_distill.engines import (
    Dated,
    Elsewhere,
    Engine,
    FileDigests,
    Identified,
    Metered,
    ModelInfo,
    Unsteady,
    plain,
)
from pytest_distill.engines.inner import inner_of, inner_path
from pytest_distill.errors import ModelError, ModelWarning
from pytest_distill.evals.requests import Request
from pytest_distill.evaluation.model import Model, with_declared
from pytest_distill.evaluation.store.keeping import Keeper


@dataclass(eq=False, repr=False)
class DescribedModel(Model):
    """A model that its engine describes: what that says of it is checked before it is believed.

    Parameters
    ----------
    name, role : str
        As for every model.
    start : callable
        Builds the engine; called when the model is first needed.
    keeper : Keeper, optional
        Knows what was evaluated before.
    digests : FileDigests, optional
        The digests of the model's files, which must not change while the model is in use; where
        there is none, those that the engine's own `ModelSpec` has.
    """

    start: Callable[[], Engine]
    _: KW_ONLY
    keeper: Keeper | None = None
    digests: FileDigests | None = None
    _started: Engine | None = field(default=None, init=False)
    _info: ModelInfo | None = field(default=None, init=False)
    _notes: list[str] = field(default_factory=list, init=False)
    _spent: str = field(default="", init=False)
    _placed: str | None = field(default=None, init=False)

    @property
    def runner(self) -> Engine:
        """The engine, whether its model is in memory or not."""
        if self._started is None:
            self._started = self.start()
        return self._started

    def asking(self) -> AbstractContextManager[None]:
        """Let whatever the engine raises in the block be the error of the gate that asks."""
        return unless_ours(self.runner, f"the engine of model '{self.name}'", ModelError)

    @property
    def info(self) -> ModelInfo:
        """What is known of the model, under the name and role that it has here."""
        if self._info is None:
            identity = self.identity
            if self.keeper is not None and identity is not None:
                known = self.keeper.info(identity, self._described)
            else:
                known = self._described()
            with self.asking():
                spec = getattr(self.runner, "spec", None)
                inner, here = inner_path(spec), getattr(spec, "path", None)
            path = inner or self.elsewhere or (str(here) if here else known.path)
            known = replace(known, name=self.name, role=self.role, path=path)
            self._info = with_declared(known, self.declared)
        return replace(self._info, device=self._placed or self._info.device)

    @property
    def asked_at(self) -> str | None:
        """As what and where it is asked, as far as its engine was looked at: none is started."""
        told: str | None = vars(self).get("elsewhere")
        return told

    @cached_property
    def elsewhere(self) -> str | None:
        """As what and where it is asked; None where it runs on this machine."""
        with self.asking():
            return str(self.runner.asked_at) if isinstance(self.runner, Elsewhere) else None

    @property
    def is_known(self) -> bool:
        """Whether what answers is known here, though it runs elsewhere: its own engine says it."""
        with self.asking():
            spec = getattr(self.runner, "spec", None)
        return inner_of(getattr(spec, "options", None)) is not None

    @property
    def placement(self) -> Mapping[str, Any]:
        """What its engine says of the devices, now that the model is loaded; else nothing."""
        with self.asking():
            return dict(getattr(self.runner, "placement", ()))

    def _described(self) -> ModelInfo:
        """Return what the engine knows of its model; this may load it."""
        with self.asking():
            info: object = self.runner.info
            if not isinstance(info, ModelInfo):
                raise ModelError(f"{self.told_by('info')}: {plain.shown(info)} is no ModelInfo")
        return info

    def told_by(self, field: str) -> str:
        """Return what a message about a field of the engine begins with."""
        return _of_engine(self.name, self.runner, field)

    @property
    def known(self) -> ModelInfo:
        """What the engine said of the model, if it was asked."""
        return self.info if self._info is not None else ModelInfo(self.name, self.role)

    @property
    def notes(self) -> Sequence[str]:
        """What the engine said of its own: what could not run the fast way, what did not fit."""
        return [*self._notes, self._spent] if self._spent else self._notes

    def _keep_notes(self) -> None:
        """Keep what the engine says now: the report does not ask it, and notes outlive it.

        That is also where its model lies, which may not be known before it is loaded.
        """
        with self.asking():
            given = getattr(self.runner, "notes", ())
            said = [str(note) for note in ([given] if isinstance(given, str) else given)]
            if isinstance(self.runner, Metered):
                self._spent = str(self.runner.spent)
        self._notes = list(dict.fromkeys([*self._notes, *said]))
        self._placed = self.placement.get("device", self._placed)

    @cached_property  # asked for again when the engine may be closed
    def identity(self) -> Mapping[str, Any] | None:
        """What makes the model's answers; None where its engine cannot say. Nothing is loaded.

        Raises
        ------
        ModelError
            Where it holds what is not JSON-able, so that it could not be found again.
        """
        with self.asking():
            return identity_of(self.name, self.runner)

    def refuse_changed(self) -> None:
        """Raise ModelError where the files that were hashed are no longer what they were."""
        spec = getattr(self._started, "spec", None)
        digests = self.digests or getattr(spec, "hash_file", None)
        if isinstance(digests, FileDigests):
            digests.refuse_changed()

    def _changed(self) -> bool:
        try:
            self.refuse_changed()
        except ModelError:
            return True
        return False

    @property
    def _noise_check(self) -> int:
        """How many examples of an eval are asked twice."""
        with self.asking():
            if not isinstance(self.runner, Unsteady) or self.runner.noise_check is None:
                return 0
            try:
                return plain.whole(self.runner.noise_check)
            except ValueError as error:
                raise ModelError(f"{self.told_by('noise_check')}: {error}") from None

    def dated_prompts(self, requests: Sequence[Request]) -> Mapping[str, str]:
        """Return by id the whole prompts of requests that the model is asked with a date in them.

        Raises
        ------
        ModelError
            Where an engine of the user's gives anything else than texts by id.
        """
        with self.asking():
            if not isinstance(self.runner, Dated):
                return {}
            given: object = self.runner.dated_prompts(requests)
            if not isinstance(given, Mapping) or not all(
                isinstance(text, str) for pair in given.items() for text in pair
            ):
                raise ModelError(f"{self.told_by('dated_prompts')}: must map ids to texts")
        if given:
            self._keep_notes()  # they say which date it is
        return given

    def close(self) -> None:
        """Free the model's memory. Where its engine fails at that, what it answered stands."""
        if self._started is None:
            return
        try:
            with user_code(f"closing the engine of model '{self.name}'", ModelError):
                try:
                    self._keep_notes()
                finally:
                    self._started.close()
        except ModelError as error:
            self._notes.append(str(error))
            with suppress(ModelWarning):  # `-W error` must not fail the gate of another model
                warn_of(error, ModelWarning)
        finally:
            self._started = None


def dated(models: Sequence[Model], requests: Sequence[Request]) -> dict[str, Any]:
    """Return the prompts of requests that do not say all of it, for what a figure depends on."""
    found = [m.dated_prompts(requests) if isinstance(m, DescribedModel) else {} for m in models]
    return {"dated": [dict(prompts) for prompts in found]} if any(found) else {}


def identity_of(name: str, engine: Engine) -> dict[str, Any] | None:
    """Return what makes a model's answers; None where its engine cannot say.

    Raises
    ------
    ModelError
        Where it is not JSON-able, so that the answers could not be found again.
    """
    if not isinstance(engine, Identified):
        return None
    identity: object = engine.identity
    if identity is None and is_ours(engine):  # of one that has another one answer
        return None
    where = _of_engine(name, engine, "identity")
    try:
        said = plain.json_able(identity)
    except ValueError as error:
        raise ModelError(f"{where}: {error}") from None
    if not isinstance(said, dict) or not said:
        raise ModelError(
            f"{where}: must be a mapping of what makes the answers, not {plain.shown(identity)}"
        )
    return said


def _of_engine(name: str, engine: Engine, field: str) -> str:
    """Return what a message about a field of an engine begins with."""
    return f"model '{name}': {field} of its engine {type(engine).__qualname__}"
