"""A YAML document that knows the line of each of its keys, so that errors can name it."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import yaml
from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from pytest_distill._util.keys import names_of, unknown_key
from pytest_distill.config.problems import problems
from pytest_distill.config.written import NULL, TEXT, Scalar, advice, syntax_advice
from pytest_distill.engines.inner import misplaced
from pytest_distill.errors import ConfigError, one_line

Key = Sequence[str | int]
ModelT = TypeVar("ModelT", bound=BaseModel)
OptionsT = TypeVar("OptionsT", bound=BaseModel)


MOST_REPEATED = 10_000
"""How many entries aliases may add to those that are written."""

MOST_DIGITS = 100
"""No number of a ``distill.yaml`` is longer, and Python refuses to print much longer ones."""

INTEGER = "tag:yaml.org,2002:int"


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
        self._scalars: dict[tuple[str | int, ...], Scalar] = {}
        self._keys: dict[tuple[str | int, ...], Scalar] = {}
        text = ""
        try:
            text = path.read_text(encoding="utf-8-sig")
            node = yaml.compose(text, Loader=yaml.SafeLoader)
            self._refuse_bomb(node)
            self.content: Any = yaml.safe_load(text)
        except OSError as error:
            raise ConfigError(f"cannot read {path}: {error.strerror}{_misnamed(path)}") from None
        except UnicodeDecodeError:
            raise ConfigError(f"{path}: is not UTF-8 text") from None
        except yaml.YAMLError as error:
            number, advised = syntax_advice(error, text)
            line = "" if number is None else f":{number + 1}"
            problem = getattr(error, "problem", None) or str(error)
            raise ConfigError(
                f"{path.name}{line}: is not valid YAML: {problem}"
                + (f"; {advised}" if advised else "")
            ) from None
        except RecursionError:
            raise ConfigError(f"{path.name}: is nested too deeply") from None
        except (ValueError, LookupError, TypeError, AttributeError) as error:
            # What yaml raises for a tagged value that is none, and for a date such as 2025-13-01.
            raise ConfigError(f"{path.name}: has a value that YAML cannot read: {error}") from None
        if not isinstance(self.content, dict):
            raise ConfigError(f"{path.name}: must be a mapping with the keys 'models' and 'evals'")
        self._index(node, (), text)

    def error(self, key: Key, problem: str) -> ConfigError:
        """Return the error that names file, line and key."""
        return ConfigError(self._located(key, problem))

    @contextmanager
    def about(self, key: Key) -> Iterator[None]:
        """Let an error in the block say that it is about what stands at `key`."""
        try:
            yield
        except ConfigError as error:
            raise self.error(key, str(error)) from None

    def refuse_switches(self, key: Key) -> None:
        """Raise ConfigError where a name at `key` or in it is a yes, no, on or off without quotes.

        YAML reads them as true and false, which is never meant by the name of a class.
        """
        for at, scalar in self._unquoted(key):
            if scalar.switch:
                value = str(scalar.value).lower()
                raise self.error(at, f"{scalar.quoted} (where that is meant, write {value})")

    def refuse_misread(self, key: Key, *, labels: bool = False) -> None:
        """Raise ConfigError where a name at `key` or in it is read otherwise than it is written.

        That is a switch, nothing (null), and a number in another form than the usual one; of
        `labels` also what is neither a text nor a whole number.
        """
        self.refuse_switches(key)
        for at, scalar in self._unquoted(key):
            absent = scalar.tag == NULL and at == tuple(key)
            if (scalar.misread or (labels and not scalar.label)) and not absent:
                raise self.error(at, scalar.quoted)

    def refuse_nameless(self, section: str) -> None:
        """Raise ConfigError where an entry is called by what YAML takes for no text."""
        for at, scalar in self._keys.items():
            if at[:-1] == (section,) and scalar.tag != TEXT:
                raise self.error(at, scalar.quoted)

    def refuse_cut(self, key: Key) -> None:
        """Raise ConfigError where a text at `key` or in it ends at a ``#`` that may be its own."""
        for at, scalar in self._unquoted(key):
            if scalar.cut is not None:
                raise self.error(at, scalar.cut)

    def _unquoted(self, key: Key) -> Iterator[tuple[Key, Scalar]]:
        """Yield what stands without quotes at `key` or in it, keys and values."""
        for scalars in (self._keys, self._scalars):
            for at, scalar in scalars.items():
                # What is merged in stands there too.
                inside = tuple(part for part in at if part != "<<")
                if inside[: len(key)] == tuple(key) and (inside != tuple(key) or not scalar.is_key):
                    yield at, scalar

    def validated(
        self, kind: type[ModelT], entry: Any, key: Key, context: Mapping[str, Any] | None = None
    ) -> ModelT:
        """Return `entry`, which stands at `key`, as a `kind`; its validators get `context`.

        Raises
        ------
        ConfigError
            With a line for everything that is wrong with it.
        """
        if not isinstance(entry, dict):
            blank = isinstance(entry, str) and re.match(r"[\w-]+:\S", entry)
            advised = "; write a blank behind the ':'" if blank else ""
            raise self.error(key, f"must be a mapping, not {entry!r}{advised}")
        try:
            return kind.model_validate(entry, context=context)
        except ValidationError as error:
            found = problems(error, kind, entry, partial(self._advice, key))
            lines = [self._located((*key, *at), said) for at, said in found]
            raise ConfigError("\n".join(lines)) from None

    def _advice(self, key: Key, error: ErrorDetails, at: Sequence[str | int]) -> str:
        """Return what to write in place of a value of an entry at `key`, where that is known."""
        place = tuple(str(k) if not isinstance(k, int) else k for k in (*key, *at))
        return advice(error["type"], error["input"], self._scalars.get(place))

    def validated_in_two(
        self,
        kind: type[ModelT],
        options: type[OptionsT],
        shared: Collection[str],
        entry: dict[str, Any],
        key: Key,
        context: Mapping[str, Any] | None = None,
    ) -> tuple[ModelT, OptionsT]:
        """Return an entry at `key`: its `shared` keys as a `kind`, all others as `options`.

        Raises
        ------
        ConfigError
            With a line for everything that is wrong with it, also for keys that `options` would
            overlook.
        """
        names = names_of(options)
        known = [name for name in kind.model_fields if name in shared] + names
        any_name = options.model_config.get("extra") == "allow"
        said: dict[str, Any] = {}
        own: dict[str, Any] = {}
        wrong: list[str] = []
        for name, value in entry.items():
            if name in shared:
                said[name] = value
            elif any_name or name in names:
                own[name] = value
            else:
                inside = misplaced(str(name), options, entry, context)
                problem = inside or unknown_key(str(name), known)
                wrong.append(self._located([*key, name], problem))
        made: list[Any] = []
        both: tuple[tuple[type[BaseModel], Any], ...] = ((kind, said), (options, own))
        for part, given in both:
            try:
                made.append(self.validated(part, given, key, context))
            except ConfigError as error:
                wrong.append(str(error))
        if wrong:
            raise ConfigError("\n".join(wrong))
        return made[0], made[1]

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

    def _index(self, node: yaml.Node | None, key: tuple[str | int, ...], text: str) -> None:
        """Remember the line of every key, and refuse one that is given twice: YAML drops one."""
        if isinstance(node, yaml.MappingNode):
            for name, value in node.value:
                inner = (*key, str(name.value))
                line = name.start_mark.line + 1
                if inner in self._lines and name.tag != "tag:yaml.org,2002:merge":
                    first, self._lines[inner] = self._lines[inner], line
                    raise self.error(inner, f"is given twice, first in line {first}")
                self._lines[inner] = line
                if isinstance(name, yaml.ScalarNode) and (
                    scalar := Scalar.of(name, text, is_key=True)
                ):
                    self._keys[inner] = scalar
                self._index(value, inner, text)
        elif isinstance(node, yaml.SequenceNode):
            for number, value in enumerate(node.value):
                self._lines[(*key, number)] = value.start_mark.line + 1
                self._index(value, (*key, number), text)
        elif isinstance(node, yaml.ScalarNode) and (scalar := Scalar.of(node, text)):
            self._scalars[key] = scalar

    def _located(self, key: Key, problem: str) -> str:
        prefixes = (
            tuple(str(k) if not isinstance(k, int) else k for k in key[:n])
            for n in range(len(key), 0, -1)
        )
        line = next((f":{self._lines[p]}" for p in prefixes if p in self._lines), "")
        parts = (f"[{k}]" if isinstance(k, int) else f".{one_line(k)}" for k in key)
        dotted = "".join(parts).removeprefix(".")
        return f"{self.path.name}{line}: {dotted}{': ' if dotted else ''}{problem}"


def _misnamed(path: Path) -> str:
    """Return what to say where a file is not there, and one with the other ending is."""
    other = path.with_suffix(".yml")
    return f"; rename {other.name} to {path.name}" if other.is_file() else ""
