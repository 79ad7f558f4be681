"""Checks of what an engine says of itself: identity, info, dated prompts, options."""

from __future__ import annotations

import shutil
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any

from pytest_distill._util.apart import Apart, FailedApartError, LimitExceededError
from pytest_distill.engines import Dated, Engine, ModelInfo, plain
from pytest_distill.engines.lookup import FurtherKeys
from pytest_distill.errors import ConfigError, DistillError, ModelError
from pytest_distill.evals.request_keys import canonical_sha256
from pytest_distill.evals.requests import Request
from pytest_distill.evaluation.described_model import identity_of
from pytest_distill.testing.answers import named
from pytest_distill.testing.asked import Group
from pytest_distill.testing.held import LEAST
from pytest_distill.testing.results import NotKeptError, UncheckedError, calling
from pytest_distill.testing.subject import NAME, Subject

NO_IDENTITY = "it has no identity, so that nothing that it answers is stored"
MOST_COPIED = 1_000_000_000
"""Bytes of a model that are copied to see what its identity goes by."""
_MOST_CHANGED = 20
_SECONDS = 600
"""Of processor time for an identity: it may hash all the weights."""
_MEMORY = 1 << 46

Start = Callable[[Mapping[str, Any]], Engine]
"""Makes an engine of an entry with some keys changed."""
_UNKNOWN = "no_engine_has_this_key"
_WRONG: tuple[Any, ...] = ({"neither": ["a number", "nor a text"]}, -1)
"""Values of which hardly any key can be more than one."""


def identity(engine: Engine, asked: str = "identity") -> dict[str, Any]:
    """Return an engine's identity in JSON's types; UncheckedError where it has none."""
    with calling(asked):
        try:
            found = identity_of(NAME, engine)
        except ModelError as error:
            raise NotKeptError(asked, str(error)) from None
    if found is None:
        raise UncheckedError(NO_IDENTITY)
    return found


def refuse_other_identity(asked: str, now: Mapping[str, Any], before: Mapping[str, Any]) -> None:
    """Raise NotKeptError where an identity is not what it was; order counts for nothing."""
    if canonical_sha256(now).digest() == canonical_sha256(before).digest():
        return
    odd = [key for key in {**before, **now} if now.get(key) != before.get(key)]
    told = "; ".join(
        f"'{key}' is {plain.shown(now.get(key))}, before {plain.shown(before.get(key))}"
        for key in odd[:3]
    )
    raise NotKeptError(asked, told)


def check_unloaded(held: int | None, loaded: int) -> None:
    """Compare what is held once identity is known with what is held once all is answered."""
    if held is None:
        raise UncheckedError(NO_IDENTITY)
    if loaded < LEAST:
        raise UncheckedError("it leads to no arrays that would tell whether its model is loaded")
    if held >= loaded / 2:
        raise NotKeptError(
            "identity of a new engine",
            f"it holds {held:,} bytes of arrays then, and {loaded:,} after it answered",
        )


def check_elsewhere(subject: Subject, here: Mapping[str, Any]) -> None:
    """Ask for the identity in a process of its own, where texts have other hashes."""
    if "<" in subject.name or subject.name.startswith("__main__"):
        raise UncheckedError(f"{subject.name} cannot be imported in another process")
    asked = "identity in another process"
    apart = Apart(f"{__name__}:identity_here", seconds=_SECONDS, memory=_MEMORY)
    try:
        there = apart(subject.name, dict(subject.model))
    except TypeError as error:
        raise UncheckedError(f"its entry cannot be handed to another process: {error}") from None
    except (FailedApartError, LimitExceededError) as error:
        raise NotKeptError(asked, str(error) or "its process ended") from None
    finally:
        apart.close()
    if there is None:
        raise NotKeptError(asked, "none")
    refuse_other_identity(asked, there, here)


def check_bytes(subject: Subject, before: Mapping[str, Any], start: Start) -> None:
    """Copy the model; ask for the identity of the copy, and again when a byte of it is another."""
    path = Path(subject.spec.path)
    if not subject.spec.path or not path.exists():
        raise UncheckedError("its path is no file or folder that is here")
    files = [path] if path.is_file() else [file for file in path.rglob("*") if file.is_file()]
    size = sum(file.stat().st_size for file in files)
    if size > MOST_COPIED or not files:
        raise UncheckedError(f"its {len(files):,} files have {size:,} bytes: none, or too many")
    files.sort(key=lambda file: -file.stat().st_size)
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder, path.name)
        (shutil.copytree if path.is_dir() else shutil.copy)(path, copy)
        asked = "identity of the same bytes at another path"
        refuse_other_identity(asked, _of_another({"path": str(copy)}, asked, start), before)
        for file in files[:_MOST_CHANGED]:
            _change_a_byte(copy / file.relative_to(path))
            if _is_another({"path": str(copy)}, before, start):
                break
        else:
            raise NotKeptError(f"identity after a byte of {files[0].name} was changed", "the same")
    if file is not files[0]:  # which may be none of the model's
        raise UncheckedError(
            f"identity is another after a byte of {file.name} was changed, but not of "
            f"{files[0].name}, the largest file: leave there what the model is made of"
        )


def _is_another(
    changes: Mapping[str, Any],
    before: Mapping[str, Any],
    start: Start,
) -> bool:
    try:
        now = _of_another(changes, "identity", start)
    except NotKeptError:  # of what was no text, say: it was read
        return True
    return canonical_sha256(now).digest() != canonical_sha256(before).digest()


def _change_a_byte(file: Path) -> None:
    content = bytearray(file.read_bytes())
    file.chmod(0o600)
    file.write_bytes(content[:-1] + bytes([content[-1] ^ 1]) if content else b"x")


def identity_here(name: str, model: Mapping[str, Any]) -> dict[str, Any] | None:
    """Return the identity of an engine by its dotted path: what runs in the other process."""
    sys.path.insert(0, "")
    engine = Subject(name, model).start(datetime.now())
    return identity_of(NAME, engine)


def check_other(
    before: Mapping[str, Any],
    changes: Mapping[str, Any],
    start: Start,
) -> None:
    """Ask the engine of an entry with some keys changed for its identity."""
    asked = f"identity of the entry with {plain.shown(dict(changes))}"
    now = _of_another(changes, asked, start)
    if canonical_sha256(now).digest() == canonical_sha256(before).digest():
        raise NotKeptError(asked, "that of the entry without")


def _of_another(changes: Mapping[str, Any], asked: str, start: Start) -> dict[str, Any]:
    try:
        engine = start(changes)
    except ConfigError:  # the test's own mistake
        raise
    except DistillError as error:
        raise NotKeptError(asked, str(error)) from error
    found = identity(engine, asked)
    with suppress(Exception):  # told where closing is checked
        engine.close()
    return found


def info(engine: Engine) -> ModelInfo:
    """Return what an engine says of its model; NotKeptError where that is no ModelInfo."""
    with calling("info"):
        found: object = engine.info
    if not isinstance(found, ModelInfo):
        raise NotKeptError("info", f"{plain.shown(found)}, which is no ModelInfo")
    return found


def check_info(before: ModelInfo, after: ModelInfo) -> None:
    """Compare two, but for where the model lies, which may not be known before."""
    if replace(before, device=None) != replace(after, device=None):
        raise NotKeptError("info after predict()", f"{after}, before {before}")


def check_notes(engine: Engine) -> None:
    """Look at the notes of an engine that has some."""
    with calling("notes"):
        found: object = getattr(engine, "notes", None)
    if found is None:
        raise UncheckedError("it has no notes")
    if not isinstance(found, list | tuple) or not all(isinstance(note, str) for note in found):
        raise NotKeptError("notes", plain.shown(found))


def dated(engine: Engine, requests: Sequence[Request]) -> dict[str, str]:
    """Return an engine's dated prompts; none where it has no such method."""
    if not isinstance(engine, Dated):
        return {}
    asked = f"dated_prompts of {named(requests)}"
    with calling(asked):
        given: object = engine.dated_prompts(list(requests))
        if not isinstance(given, Mapping) or not all(
            isinstance(text, str) for pair in given.items() for text in pair
        ):
            raise NotKeptError(asked, f"{plain.shown(given)}, which does not map ids to texts")
        odd = sorted({*given} - {request.id for request in requests})
    if odd:
        raise NotKeptError(asked, f"a prompt of '{odd[0]}', which was not asked")
    return dict(given)


def check_dated(
    engine: Engine, groups: Sequence[Group], before: Mapping[str, Mapping[str, str]]
) -> None:
    """Compare an engine's dated prompts with those that another one of the same run had."""
    if not isinstance(engine, Dated):
        raise UncheckedError("it has no dated_prompts()")
    for group in groups:
        now, had = dated(engine, group.requests), before.get(group.name, {})
        if now != had:
            odd = next(id for id in {**had, **now} if had.get(id) != now.get(id))
            raise NotKeptError(
                f"dated_prompts of {named(group.requests)}, of two engines with one spec.began",
                f"for '{odd}' {plain.shown(now.get(odd))}, before {plain.shown(had.get(odd))}",
            )


def check_options(subject: Subject, start: Start) -> None:
    """Hand in keys and values that cannot be; a value may be accepted, but then all the way."""
    options = subject.entry.options
    if isinstance(options, FurtherKeys):
        raise UncheckedError("it declares no Options: whatever its entry says is handed on")
    refused = _refused(_UNKNOWN, 1, start)
    if not refused and options.model_config.get("extra") != "allow":
        raise NotKeptError(f"an entry with the unknown key '{_UNKNOWN}'", "an engine")
    for key in type(options).model_fields:
        for value in _WRONG:
            refused = _refused(key, value, start) or refused
    if not refused:
        raise UncheckedError("its Options take whatever they were given")


def _refused(key: str, value: Any, start: Start) -> bool:
    """Return whether a value is refused as it should be; NotKeptError where it is otherwise."""
    asked = f"an entry with {key}: {plain.shown(value)}"
    try:
        made = start({key: value})
    except ConfigError as error:
        if key not in str(error):
            raise NotKeptError(asked, f"ConfigError without the key: {error}") from None
        return True
    except Exception as error:
        raise NotKeptError(asked, f"{type(error).__name__}: {error}") from error
    with suppress(Exception):  # told where closing is checked
        made.close()
    return False
