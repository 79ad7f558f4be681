"""What YAML makes something else of than was written, and what is said to write instead."""

from __future__ import annotations

from pathlib import Path

import pytest

from pytest_distill.config import Config, load_config
from pytest_distill.config.evals import MeasuredEval
from pytest_distill.errors import ConfigError

FILE = """\
models:
  teacher: {{engine: recorded, predictions: t.jsonl{model}}}
  student: {{engine: recorded, predictions: s.jsonl}}
evals:
  r:
    data: g.jsonl
    {eval}
{more}"""


def load(
    folder: Path,
    eval: str = "task: classification",
    model: str = "",
    more: str = "",
    task: str = "",
) -> Config:
    """Load a file with one eval, to which keys are added."""
    path = folder / "distill.yaml"
    eval = f"task: {task}\n    {eval}" if task else eval
    path.write_text(FILE.format(eval=eval, model=model, more=more), encoding="utf-8")
    return load_config(path)


def error_of(folder: Path, *args: str, **keys: str) -> str:
    """Return what loading it says, without the file's name."""
    with pytest.raises(ConfigError) as raised:
        load(folder, *args, **keys)
    return str(raised.value).replace("distill.yaml:", "")


@pytest.mark.parametrize(
    ("written", "reads"),
    [
        *[("yes", "true"), ("No", "false"), ("ON", "true"), ("off", "false")],
        *[("007", "the number 7"), ("010", "the number 8"), ("0x10", "the number 16")],
        *[("1_000", "the number 1000"), ("1:30", "the number 90"), ("1.10", "the number 1.1")],
        *[
            ("~", "nothing"),
            ("null", "nothing"),
            (".nan", "the number nan"),
            ("+5", "the number 5"),
        ],
    ],
)
def test_a_label_or_an_id_that_reads_otherwise(tmp_path: Path, written: str, reads: str) -> None:
    """Is refused wherever it stands: in a list, as a key, as a value, as an id, as a slice."""
    words = f"write '{written}' in quotes: YAML reads it as {reads}"
    for entry, key in (
        (f"labels: [{written}, b]", "labels[0]"),
        (f"labels: {{x: {written}, y: b}}", "labels.x"),
        (f"labels: {{{written}: 0, b: 1}}", f"labels.{written}"),
        (f"must_keep: [a, {written}]", "must_keep[1]"),
    ):
        said = error_of(tmp_path, entry, task="classification")
        assert said.startswith(f"8: evals.r.{key}: ")
        assert words in said
        assert "\n" not in said
    slice = f"criteria:\n  c: {{quality_retained: {{min: 0.9, slice: {{zip: {written}}}}}}}\n"
    said = error_of(tmp_path, more=slice)
    assert said.startswith(f"9: criteria.c.quality_retained.slice.zip: {words}")


@pytest.mark.parametrize("written", ["1.0", "2024-01-01"])
def test_a_label_that_is_no_text_and_no_whole_number(tmp_path: Path, written: str) -> None:
    """Its form in the data nobody knows."""
    kind = "date" if "-" in written else "number"
    words = f"write '{written}' in quotes: YAML reads it as the {kind} {written}"
    for entry, key in (
        (f"labels: [{written}, b]", "labels[0]"),
        (f"labels: {{x: {written}, y: b}}", "labels.x"),
    ):
        said = error_of(tmp_path, entry, task="classification")
        assert said == f"8: evals.r.{key}: {words}"


@pytest.mark.parametrize("section", ["models", "evals", "criteria"])
@pytest.mark.parametrize("written", ["no", "2024-01-01", "7", "~"])
def test_a_name_is_a_text(tmp_path: Path, section: str, written: str) -> None:
    """Of a model, an eval or a criterion."""
    path = tmp_path / "distill.yaml"
    parts = dict.fromkeys(("models", "evals", "criteria"), "x: {}")
    parts[section] = f"{written}: {{}}"
    path.write_text("".join(f"{name}:\n  {entry}\n" for name, entry in parts.items()))
    with pytest.raises(ConfigError, match=f"{section}.{written}: write '{written}' in quotes"):
        load_config(path)


@pytest.mark.parametrize(
    ("entry", "said"),
    [
        ("target: yes", "target: should be a valid string, not True; write 'yes' in quotes"),
        ("input: on", "input: should be a valid string, not True; write 'on' in quotes"),
        ("id: no", "id: should be a valid string, not False; write 'no' in quotes"),
        ("slices: [on]", "slices[0]: should be a valid string, not True; write 'on' in quotes"),
        ("revision: 1.10", "revision: should be a valid string, not 1.1; write '1.10' in quotes"),
        ("split: 2024-01-01", "write '2024-01-01' in quotes: YAML reads it as the date 2024"),
    ],
)
def test_a_text_that_is_none(tmp_path: Path, entry: str, said: str) -> None:
    """One line, whatever else might have stood there."""
    found = error_of(tmp_path, entry, task="classification")
    assert said in found
    assert "\n" not in found


@pytest.mark.parametrize(
    ("written", "number"),
    [
        *[("110M", 110_000_000), ("1.1B", 1_100_000_000), ("110e6", 110_000_000), ("7k", 7_000)],
        *[("1.1e9", 1_100_000_000), ("110 M", 110_000_000), ("1.5T", 1_500_000_000_000)],
        *[("'110,000,000'", 110_000_000), ("'110 000'", 110_000), ("110000000.0", 110_000_000)],
        *[("500MB", 500_000_000), ("1.2 GB", 1_200_000_000), ("5GiB", 5 * 2**30), ("3KiB", 3072)],
    ],
)
@pytest.mark.parametrize("key", ["parameters", "bytes"])
def test_a_number_with_a_unit(tmp_path: Path, key: str, written: str, number: int) -> None:
    """The error has the number to write, which is read."""
    said = error_of(tmp_path, model=f", {key}: {written}")
    assert said.startswith(f"2: models.teacher.{key}: should be a valid integer, not ")
    assert said.endswith(f"; write {number}")
    config = load(tmp_path, model=f", {key}: {number}")
    assert config.models["teacher"].declared == {key: number}


@pytest.mark.parametrize("written", ["1.1", "many", "M", "1.0005k", "12 mice", "1e", "'-'", "'%'"])
def test_what_is_no_number_has_no_advice(tmp_path: Path, written: str) -> None:
    """A guess would be believed."""
    said = error_of(tmp_path, model=f", parameters: {written}")
    assert "should be a valid integer, not" in said
    assert "; write" not in said


@pytest.mark.parametrize(
    ("entry", "said"),
    [
        (
            "sft_size_tolerance: 5%",
            "sft_size_tolerance: should be a valid number, not '5%'; write 0.05",
        ),
        ("confidence: '0.9'", "not '0.9'; write 0.9, without quotes"),
        ("sft_size_tolerance: 1e-1", "not '1e-1'; write 0.1"),
        ("baseline: {required: 'yes'}", "not 'yes'; write true, without quotes"),
        (
            "waivers:\n- {gate: flips, floor: 0, owner: a, reason: b, expires: '2099-01-01'}",
            "expires: should be a valid date, not '2099-01-01'; write 2099-01-01, without quotes",
        ),
    ],
)
def test_numbers_dates_and_switches_in_quotes(tmp_path: Path, entry: str, said: str) -> None:
    """And the forms of numbers that YAML takes for text."""
    assert said in error_of(tmp_path, more=entry)


@pytest.mark.parametrize(
    ("entry", "key"),
    [
        ("prompt: Question #1 {{ input }}", "prompt"),
        ("prompt: Use the # sign, {{ input }}", "prompt"),
        ("prompt: # {{ input }}", "prompt"),
        ("extract: answer #(\\d+)", "extract"),
        ("stop: ###", "stop"),
        ("stop:\n      - a\n      - b #2", "stop[1]"),
        ("must_keep: [a, b]\n    prompt: x #y", "prompt"),
    ],
)
def test_a_text_that_a_hash_cuts(tmp_path: Path, entry: str, key: str) -> None:
    """The model would be asked something else than was written."""
    said = error_of(tmp_path, entry, task="generation")
    assert f"evals.r.{key}: " in said
    assert "since the '#' behind it begins a comment: write the whole text in quotes" in said


@pytest.mark.parametrize(
    ("entry", "key", "value"),
    [
        ("prompt: C# is{{ input }}", "prompt", "C# is{{ input }}"),
        ("prompt: Say it  # in German", "prompt", "Say it"),
        ("prompt: '#1 {{ input }}' #quoted", "prompt", "#1 {{ input }}"),
        ("prompt: |-\n      # {{ input }}", "prompt", "# {{ input }}"),
        ("stop: [a] #one", "stop", ["a"]),
        ("input: text #the question", "input", "text"),
        ("labels: null  # as the model says them", "labels", None),
    ],
)
def test_a_comment_stays_one(tmp_path: Path, entry: str, key: str, value: object) -> None:
    """Where it may be meant as one: a blank is behind its hash, or what it ends is whole."""
    task = "classification" if key == "labels" else "generation"
    found = load(tmp_path, entry, task=task).evals["r"]
    assert isinstance(found, MeasuredEval)
    assert getattr(found, key) == value


@pytest.mark.parametrize(
    ("entry", "said"),
    [
        ("prompt: {{ input }}", "write a text that begins with '{{' in quotes"),
        ("prompt: Question: {{ input }}", "write a text with ': ' in it in quotes"),
        ('extract: "\\d+"', "write a text with backslashes in single quotes"),
        ("prompt: @all", "write a text that begins with such a character in quotes"),
        ("prompt: 'don't'", "write a text with one kind of quotes in it in the other kind"),
        ("\tprompt: x", "write blanks in the place of tabs"),
        ("stop: [#]", "'#' begins a comment: write a text with one in quotes"),
        ("stop: [a, ##, b]", "'#' begins a comment: write a text with one in quotes"),
        ("prompt:x", "could not find expected ':'"),
    ],
)
def test_what_is_no_yaml(tmp_path: Path, entry: str, said: str) -> None:
    """The line, and what to do."""
    found = error_of(tmp_path, entry, task="generation")
    assert found.startswith(("8: is not valid YAML", "9: is not valid YAML"))
    assert said in found


def test_a_colon_without_a_blank(tmp_path: Path) -> None:
    """YAML takes key and value for one text."""
    said = error_of(tmp_path, model=", role:teacher")
    assert "models.teacher.role:teacher: unknown key; write a blank behind the ':'" in said
    path = tmp_path / "distill.yaml"
    path.write_text("models:\n  teacher:\n    engine:recorded\nevals: {r: {}}\n")
    with pytest.raises(ConfigError, match="not 'engine:recorded'; write a blank behind the ':'"):
        load_config(path)


def test_the_other_ending(tmp_path: Path) -> None:
    """A file that is called distill.yml is not found, and is told."""
    (tmp_path / "distill.yml").write_text("models: {}\n")
    with pytest.raises(ConfigError, match=r"No such file or directory; rename distill\.yml to dis"):
        load_config(tmp_path / "distill.yaml")


def test_what_is_read_as_it_is_written_stays(tmp_path: Path) -> None:
    """Whole numbers, true and false are labels; ids may be numbers, also 7.0 of a table."""
    for entry in (
        "labels: [0, 1]",
        "labels: [true, false]",
        "labels: {neg: 0, pos: 1}",
        "labels: {'yes': 0, \"010\": 1}",
        "labels: {LABEL_0: neg, LABEL_1: pos}",
        "must_keep: [7, 7.0, '007', a]",
    ):
        load(tmp_path, entry, task="classification")


def test_one_number_stands_for_a_list_of_one(tmp_path: Path) -> None:
    """A budget alone is a list of one; where a list of several is needed a number is put in one."""
    entry = load(tmp_path, "at_tokens: 30", task="generation").evals["r"]
    assert getattr(entry, "at_tokens") == [30]  # noqa: B009 (a key of the task's own)
    told = error_of(tmp_path, "metrics: [{name: m, range: 5}]", task="generation")
    assert "evals.r.metrics[0].range: should be a valid list, not 5; write [5]" in told
