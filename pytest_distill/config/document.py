"""A YAML document that knows the line of each of its keys, so that errors can name it."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from pathlib import Path
from typing import Any, TypeVar, get_args

import yaml
from pydantic import BaseModel, Tag, ValidationError
from pydantic_core import ErrorDetails

from pytest_distill.errors import ConfigError, did_you_mean, one_line

Key = Sequence[str | int]
ModelT = TypeVar("ModelT", bound=BaseModel)
OptionsT = TypeVar("OptionsT", bound=BaseModel)


MOST_REPEATED = 10_000
"""How many entries aliases may add to those that are written."""

MOST_DIGITS = 100
"""No number of a ``distill.yaml`` is longer, and Python refuses to print much longer ones."""

INTEGER = "tag:yaml.org,2002:int"
BOOLEAN = "tag:yaml.org,2002:bool"


class Document:
    """One YAML file, read safely.

    Parameters
    ----------
    path : Path
        The file.

    Raises
    ------
    ConfigError
        Where the file cannot be read, is not YAML, has a key twice, holds no mapping, or stands
        for far more than it says.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._lines: dict[tuple[str | int, ...], int] = {}
        self._switches: dict[tuple[str | int, ...], str] = {}
        try:
            text = path.read_text(encoding="utf-8-sig")
            node = yaml.compose(text, Loader=yaml.SafeLoader)
            self._refuse_bomb(node)
            self.content: Any = yaml.safe_load(text)
        except OSError as error:
            raise ConfigError(f"cannot read {path}: {error.strerror}") from None
        except UnicodeDecodeError:
            raise ConfigError(f"{path}: is not UTF-8 text") from None
        except yaml.YAMLError as error:
            mark = getattr(error, "problem_mark", None)
            line = f":{mark.line + 1}" if mark else ""
            problem = getattr(error, "problem", None) or str(error)
            raise ConfigError(f"{path.name}{line}: is not valid YAML: {problem}") from None
        except RecursionError:
            raise ConfigError(f"{path.name}: is nested too deeply") from None
        except (ValueError, LookupError, TypeError, AttributeError) as error:
            # What yaml raises for a tagged value that is none, and for a date such as 2025-13-01.
            raise ConfigError(f"{path.name}: has a value that YAML cannot read: {error}") from None
        if not isinstance(self.content, dict):
            raise ConfigError(f"{path.name}: must be a mapping with the keys 'models' and 'evals'")
        self._index(node, ())

    def error(self, key: Key, problem: str) -> ConfigError:
        """Return the error that names file, line and key."""
        return ConfigError(self._located(key, problem))

    def refuse_switches(self, key: Key) -> None:
        """Raise ConfigError where a name at `key` or in it is a yes, no, on or off without quotes.

        YAML reads them as true and false, which is never meant by the name of a class.
        """
        for at, word in self._switches.items():
            inside = tuple(
                part for part in at if part != "<<"
            )  # what is merged in stands there too
            if inside[: len(key)] == tuple(key):
                value = "true" if word.lower() in ("yes", "on") else "false"
                raise self.error(
                    at,
                    f"write '{word}' in quotes: YAML reads it as {value} (where that is meant, "
                    f"write {value})",
                )

    def validated(self, kind: type[ModelT], entry: Any, key: Key) -> ModelT:
        """Return `entry`, which stands at `key`, as a `kind`.

        Raises
        ------
        ConfigError
            With a line for everything that is wrong with it.
        """
        if not isinstance(entry, dict):
            raise self.error(key, f"must be a mapping, not {entry!r}")
        try:
            return kind.model_validate(entry)
        except ValidationError as error:
            problems = [
                self._located(self._key(key, entry, e), _sentence(e, _known_keys(kind, e["loc"])))
                for e in error.errors()
            ]
            raise ConfigError("\n".join(dict.fromkeys(problems))) from None

    def validated_in_two(
        self,
        kind: type[ModelT],
        options: type[OptionsT],
        shared: Collection[str],
        entry: dict[str, Any],
        key: Key,
    ) -> tuple[ModelT, OptionsT]:
        """Return an entry at `key`: its `shared` keys as a `kind`, all others as `options`.

        Raises
        ------
        ConfigError
            With a line for everything that is wrong with it, also for keys that `options` would
            overlook.
        """
        names = [field.alias or name for name, field in options.model_fields.items()]
        known = [name for name in kind.model_fields if name in shared] + names
        any_name = options.model_config.get("extra") == "allow"
        said: dict[str, Any] = {}
        own: dict[str, Any] = {}
        problems: list[str] = []
        for name, value in entry.items():
            if name in shared:
                said[name] = value
            elif any_name or name in names:
                own[name] = value
            else:
                unknown = f"unknown key; {did_you_mean(str(name), known)}"
                problems.append(self._located([*key, name], unknown))
        made: list[Any] = []
        both: tuple[tuple[type[BaseModel], Any], ...] = ((kind, said), (options, own))
        for part, given in both:
            try:
                made.append(self.validated(part, given, key))
            except ConfigError as error:
                problems.append(str(error))
        if problems:
            raise ConfigError("\n".join(problems))
        return made[0], made[1]

    def _key(self, key: Key, entry: Any, error: ErrorDetails) -> Key:
        """Return where the error is, without what pydantic adds to the path for its unions."""
        path = list(key)
        lacking = len(error["loc"]) - 1 if error["type"] == "missing" else None
        for place, part in enumerate(error["loc"]):
            if isinstance(entry, dict) and (part in entry or place == lacking):
                path.append(part)
                entry = entry.get(part)
            elif isinstance(entry, list) and isinstance(part, int) and part < len(entry):
                path.append(part)
                entry = entry[part]
        return path

    def _refuse_bomb(self, root: yaml.Node | None) -> None:
        """Refuse aliases that stand for too much, before anything goes through all of it.

        Ten lines of aliases of aliases are a billion entries. Each node is counted once and
        weighed as often as it is meant.
        """
        weights: dict[int, int | None] = {}  # None: not yet known, its own inside is being counted

        def weight(node: yaml.Node) -> int:
            if id(node) in weights:
                known = weights[id(node)]
                if known is None:
                    raise self._at(node, "an anchor refers to itself")
                return known
            weights[id(node)] = None
            total = 1
            if isinstance(node, yaml.MappingNode):
                total += sum(weight(name) + weight(value) for name, value in node.value)
            elif isinstance(node, yaml.SequenceNode):
                total += sum(weight(value) for value in node.value)
            elif node.tag == INTEGER and len(node.value) > MOST_DIGITS:
                raise self._at(node, f"a number of {len(node.value)} digits")
            weights[id(node)] = total
            return total

        if root is not None and weight(root) - len(weights) > MOST_REPEATED:
            raise ConfigError(
                f"{self.path.name}: its aliases (*name) stand for more than {MOST_REPEATED:,} "
                "entries; write what is meant"
            )

    def _at(self, node: yaml.Node, problem: str) -> ConfigError:
        return ConfigError(f"{self.path.name}:{node.start_mark.line + 1}: {problem}")

    def _index(self, node: yaml.Node | None, key: tuple[str | int, ...]) -> None:
        """Remember the line of every key, and refuse one that is given twice: YAML drops one."""
        if isinstance(node, yaml.MappingNode):
            for name, value in node.value:
                inner = (*key, str(name.value))
                line = name.start_mark.line + 1
                if inner in self._lines and name.tag != "tag:yaml.org,2002:merge":
                    first, self._lines[inner] = self._lines[inner], line
                    raise self.error(inner, f"is given twice, first in line {first}")
                self._lines[inner] = line
                self._note_switch(name, inner)
                self._index(value, inner)
        elif isinstance(node, yaml.SequenceNode):
            for number, value in enumerate(node.value):
                self._lines[(*key, number)] = value.start_mark.line + 1
                self._index(value, (*key, number))
        elif isinstance(node, yaml.ScalarNode):
            self._note_switch(node, key)

    def _note_switch(self, node: yaml.Node, key: tuple[str | int, ...]) -> None:
        if node.tag == BOOLEAN and node.value.lower() not in ("true", "false"):
            self._switches[key] = node.value

    def _located(self, key: Key, problem: str) -> str:
        prefixes = (
            tuple(str(k) if not isinstance(k, int) else k for k in key[:n])
            for n in range(len(key), 0, -1)
        )
        line = next((f":{self._lines[p]}" for p in prefixes if p in self._lines), "")
        parts = (f"[{k}]" if isinstance(k, int) else f".{one_line(k)}" for k in key)
        dotted = "".join(parts).removeprefix(".")
        return f"{self.path.name}{line}: {dotted}{': ' if dotted else ''}{problem}"


def _known_keys(kind: type[BaseModel], path: Sequence[str | int]) -> list[str]:
    """Return the keys that the entry has in which the last part of `path` stands."""
    tagged: dict[str | int, type[BaseModel]] = {}
    for part in path[:-1]:
        if part in tagged:
            kind = tagged[part]
        elif field := kind.model_fields.get(str(part)):
            tagged = dict(_models_in(field.annotation))
            kind = next(iter(tagged.values()), kind)
    return list(kind.model_fields)


def _models_in(hint: Any, tag: str = "") -> Iterator[tuple[str, type[BaseModel]]]:
    """Yield the models that a type allows, and what the path of an error calls each."""
    if isinstance(hint, type) and issubclass(hint, BaseModel):
        yield tag or hint.__name__, hint
    inside = get_args(hint)
    tag = next((each.tag for each in inside if isinstance(each, Tag)), tag)
    for each in inside:
        yield from _models_in(each, tag)


def _sentence(error: ErrorDetails, known: Collection[str]) -> str:
    """Return what pydantic found, in words that fit behind a key."""
    match error["type"]:
        case "extra_forbidden":
            return f"unknown key; {did_you_mean(str(error['loc'][-1]), known)}"
        case "missing":
            return "is missing"
        case "value_error":
            return str(error["ctx"]["error"])
    message = error["msg"].removeprefix("Input ")
    return f"{message[0].lower()}{message[1:]}, not {error['input']!r}"
