"""Tables of the keys of ``distill.yaml``, from the schema that is made of its types."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from functools import cache, partial
from typing import Any

from pytest_distill._util.docstrings import described_parameters
from pytest_distill.config.json_parts import OPTIONS
from pytest_distill.config.json_schema import schema
from pytest_distill.evals.tasks import TASKS
from pytest_distill.gates.subjects import MetricGate

from .pages import ROOT

Json = Mapping[str, Any]
Keys = Callable[[], Collection[str]]

HEAD = ("key", "type", "default", "meaning")

MORE: Mapping[str, str] = {
    "the_file.required_gates": "gates.md#required-gates",
    "the_file.allow_reruns": "gates.md#tests-that-are-repeated",
    "the_file.allow_skipped": "gates.md#what-a-gate-test-is",
    "the_file.waivers": "gates.md#waivers",
    "the_file.criteria": "efficiency.md#criteria",
    "the_file.baseline": "baseline.md#naming-it",
    "the_file.confidence": "gates.md#observed-and-confident-verdicts",
    "models.engine": "engines.md",
    "models.latency_ms": "efficiency.md#what-cannot-be-measured-here",
    "models.cost_per_1k": "routing.md",
    "transformers.revision": "engines.md#models-of-the-hub",
    "transformers.adapter": "engines.md#adapters",
    "transformers.trust_remote_code": "safety.md",
    "vllm.revision": "engines.md#models-of-the-hub",
    "vllm.trust_remote_code": "safety.md",
    "vllm.max_model_len": "vllm.md#how-much-of-a-text-is-read",
    "vllm.quantization": "vllm.md#what-was-not-tried",
    "vllm.tensor_parallel_size": "vllm.md#what-was-not-tried",
    "vllm.kv_cache_gib": "vllm.md#memory-and-processes",
    "openai.extra_body": "openai.md#the-keys",
    "openai.bos": "openai.md#choices-and-perplexity",
    "openai.classify_by": "openai.md#classification",
    "openai.instruction": "openai.md#classification",
    "openai.prices": "openai.md#money",
    "openai.max_cost": "openai.md#money",
    "openai.accept": "openai.md#what-is-tried-on-first-use",
    "ray.of": "ray.md#the-keys",
    "ray.address": "ray.md#which-cluster",
    "ray.actors": "ray.md#how-many-actors",
    "ray.wait": "ray.md#how-many-actors",
    "ray.runtime_env": "ray.md#where-the-files-lie",
    "recorded.predictions": "engines.md#recorded",
    "recorded.format": "engines.md#files-that-other-tools-wrote",
    "reported.scores": "engines.md#reported",
    "evals.task": "tasks.md",
    "evals.metrics": "metrics.md",
    "evals.data": "gold-sets.md",
    "evals.revision": "gold-sets.md#data-sets-of-the-hub",
    "evals.id": "gold-sets.md#ids",
    "evals.slices": "gold-sets.md#slices",
    "evals.must_keep": "gates.md#assert_flips",
    "samples.pass_at": "metrics.md#pass_at-and-majority",
    "samples.majority": "metrics.md#pass_at-and-majority",
    "classification.labels": "tasks.md#classification",
    "generation.messages": "chat.md",
    "generation.tools": "chat.md",
    "generation.template": "chat.md",
    "generation.schema": "metrics.md#matches_schema",
    "generation.repeats": "tasks.md#repeats",
    "generation.thinking": "tasks.md#thinking",
    "generation.at_tokens": "gates.md#within-a-budget-of-tokens",
    "lm_eval.override": "lm-eval.md",
    "lm_eval.data": "lm-eval.md",
}
"""Table and key -> where a page says more of it."""


@cache
def whole() -> Json:
    """Return the schema."""
    found: Json = json.loads(schema())
    return found


def part(name: str) -> Json:
    """Return the schema of one kind of mapping."""
    found: Json = whole()["definitions"][name]
    return found


def keys_table(name: str, of: Callable[[], Json], without: Keys = frozenset) -> str:
    """Return a row for each key of a mapping.

    Parameters
    ----------
    name : str
        What the table is called.
    of : callable
        Gives the mapping's schema.
    without : callable
        Gives the keys that stand in another table.
    """
    mapping = of()
    return _rows(HEAD, _keys_of(name, mapping, mapping["properties"].keys() - {*without()}))


def _keys_of(name: str, mapping: Json, wanted: Collection[str]) -> Iterator[list[str]]:
    needed = mapping.get("required", ())
    for key, said in mapping["properties"].items():
        if key in wanted:
            link = MORE.get(f"{name}.{key}")
            more = "" if link is None else f" [More]({link})"
            default = "needed" if key in needed else default_text(said)
            yield [f"`{key}`", kind_text(said), default, f"{said['description']}{more}"]


def every_model() -> Json:
    """Return the keys that all models share."""
    own = part("engine.other")["properties"]
    others = {*part("engine.recorded")["properties"]} & {*part("engine.transformers")["properties"]}
    keys = {key: said for key, said in own.items() if key in others}
    return {"properties": {**keys, "engine": part("model")["properties"]["engine"]}}


def of_inner() -> Json:
    """Return the keys that all models have which another engine runs."""
    return {"properties": part("inner.other")["properties"]}


def every_eval() -> Json:
    """Return the keys that all evals with a gold set of their own share."""
    first, *others = (part(f"task.{name}") for name in TASKS)
    shared = {*first["properties"]}.intersection(*(other["properties"] for other in others))
    keys = {key: said for key, said in first["properties"].items() if key in shared - {"input"}}
    keys |= {
        "task": part("eval")["properties"]["task"],
        "metrics": part("task.none")["properties"]["metrics"],
        "chance": part("task.multiple_choice")["properties"]["chance"],
    }
    return {"properties": keys, "required": [key for key in first["required"] if key in keys]}


def samples() -> Json:
    """Return the keys of the metrics of several samples."""
    first, second = part("PassAtMetric"), part("MajorityMetric")
    return {"properties": first["properties"] | second["properties"], "required": ["of"]}


def criteria_table() -> str:
    """Return a row for each argument of each gate, but for those that most gates have alike."""
    usual = described_parameters(MetricGate)
    rows: list[list[str]] = []
    for gate in part("criterion")["properties"]:
        of = part(f"gate.{gate}")
        own = [k for k, said in of["properties"].items() if said["description"] != usual.get(k)]
        told = [*_keys_of(gate, of, own)]
        rows += [[f"[`{gate}`]({home_of(gate)})", *row] for row in told]
    return _rows(("gate", *HEAD), rows)


@cache
def home_of(gate: str) -> str:
    """Return where the page about gates tells of one: under its assertion's heading."""
    text = (ROOT / "docs" / "gates.md").read_text(encoding="utf-8")
    heading = re.search(rf"^#+ (.*\bassert_{gate}\b.*)$", text, re.MULTILINE)
    assert heading is not None, f"docs/gates.md has no heading with assert_{gate}"
    return "gates.md#" + re.sub(r"[^\w\- ]", "", heading[1].lower()).replace(" ", "-")


def usual_arguments() -> str:
    """Return a row for each argument that most gates have."""
    usual = part("gate.quality_retained")
    return _rows(HEAD, _keys_of("most", usual, usual["properties"].keys() - {"min"}))


def _rows(head: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    columns = [*head]
    lines = [columns, ["---"] * len(columns), *rows]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)


def default_text(said: Json) -> str:
    """Return what holds where the key is not there."""
    if "default" not in said:
        return "none"
    default = said["default"]
    plain = isinstance(default, str) and default == default.strip() != ""
    return f"`{default if plain else json.dumps(default)}`"


def kind_text(said: Json) -> str:
    """Return what a key may hold, in words."""
    kinds = [*dict.fromkeys(_kinds(said))]
    others = [kind for kind in kinds if not kind.startswith("list of ")]
    lists = [kind for kind in kinds if kind not in others]
    if others and lists in ([_list_of(others)], [_list_of(others[-1:])]):
        return f"{', '.join(others)}, or a list"
    return _either(kinds)


def _kinds(said: Json) -> Iterator[str]:
    """Yield the forms that a value may have."""
    if "enum" in said or "const" in said:
        values = said.get("enum", [said.get("const")])
        yield from (f"`{value}`" for value in values if value is not None)
        return
    for form in said.get("anyOf") or said.get("oneOf") or ():
        yield from _kinds(form)
    if "$ref" in said:
        yield "gate or test" if said["$ref"].endswith("gate_or_test") else "mapping"
    elif "type" in said:
        kinds = said["type"] if isinstance(said["type"], list) else [said["type"]]
        yield from (_of_type(kind, said) for kind in kinds if kind != "null")


def _of_type(kind: str, said: Json) -> str:
    if kind == "array" and said.get("items"):
        return _list_of([*dict.fromkeys(_kinds(said["items"]))], _number_of(said))
    prefix = re.fullmatch(r"\^(\w+:)\.?", said.get("pattern", ""))
    if prefix:
        return f"`{prefix[1]}...`"
    if kind == "string" and said.get("format") == "date":
        return "date"
    return " ".join((_NAMES[kind], *_bounds(said)))


def _number_of(said: Json) -> str:
    """Return how many entries a list has."""
    least, most = said.get("minItems", 0), said.get("maxItems")
    return f"{least} " if least == most else f"{least} or more " if least > 1 else ""


def _list_of(kinds: Sequence[str], number: str = "") -> str:
    several = f"{kinds[0]}s" if len(kinds) == 1 and kinds[0] in _COUNTED else f"({_either(kinds)})"
    return f"list of {number}{several}"


_COUNTED = ("text", "number", "whole number", "mapping")
_NAMES = {
    "array": "list",
    "boolean": "true or false",
    "integer": "whole number",
    "number": "number",
    "object": "mapping",
    "string": "text",
}


def _bounds(said: Json) -> Iterator[str]:
    words = {
        "minimum": "≥",
        "exclusiveMinimum": "above",
        "maximum": "at most",
        "exclusiveMaximum": "below",
    }
    found = [f"{word} {said[key]:,}" for key, word in words.items() if key in said]
    if found:
        yield " and ".join(found)


def _either(kinds: Iterable[str]) -> str:
    *first, last = kinds
    return f"{', '.join(first)} or {last}" if first else last


def _named(name: str) -> Callable[[], Json]:
    return partial(part, name)


def _keys(of: Callable[[], Json]) -> Callable[[], Collection[str]]:
    return lambda: of()["properties"].keys()


TABLES: Mapping[str, tuple[Callable[[], Json], Keys]] = {
    "the_file": (whole, frozenset),
    "models": (every_model, frozenset),
    "trained": (_named("Trained"), frozenset),
    **{name: (_named(f"engine.{name}"), _keys(every_model)) for name in OPTIONS},
    "timeouts": (_named("Timeouts"), frozenset),
    "prices": (_named("Prices"), frozenset),
    "of": (of_inner, frozenset),
    "the_actors": (_named("Actors"), frozenset),
    "evals": (every_eval, frozenset),
    "declared": (_named("DeclaredMetric"), frozenset),
    "samples": (samples, frozenset),
    **{name: (_named(f"task.{name}"), _keys(every_eval)) for name in TASKS},
    "lm_eval": (_named("task.lm_eval"), lambda: {*every_eval()["properties"]} - {"data"}),
    "override": (_named("Said"), frozenset),
    "shots": (_named("Shots"), frozenset),
    "waivers": (_named("Waiver"), frozenset),
    "the_baseline": (_named("Baseline"), frozenset),
}
"""Name of a table -> its mapping, and the keys of it that stand in another one."""

KEYS: Mapping[str, Callable[[], str]] = {
    **{f"keys_of_{name}": partial(keys_table, name, *how) for name, how in TABLES.items()},
    "arguments_of_most_gates": usual_arguments,
    "arguments_of_gates": criteria_table,
}
"""Name of a generated part -> what makes it."""
