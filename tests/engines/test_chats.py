"""Chat templates: those by name, those that fail, and those that read the clock."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from transformers.utils import chat_template_utils

from pytest_distill import ModelError
from pytest_distill.engines import ModelSpec
from pytest_distill.engines.transformers import TransformersEngine, clocks
from pytest_distill.engines.transformers.encoding import encode_prompts
from pytest_distill.engines.transformers.templates import may_read_clock
from pytest_distill.evals.tasks.decoding import Decoding, GenerationRequest

from .tiny import CHAT_TEMPLATE, Template, predicted, spec_of

MONDAY = datetime(2026, 3, 30, 23, 59)
TUESDAY = datetime(2026, 3, 31, 0, 1)
DATED = "Today is {{ strftime_now('%d %b %Y') }}. " + CHAT_TEMPLATE
# As in Llama 3.2: the clock where there is one, else a date of the template's own.
LLAMA = (
    "{%- if not date_string is defined %}{%- if strftime_now is defined %}"
    '{%- set date_string = strftime_now("%d %b %Y") %}{%- else %}'
    '{%- set date_string = "26 Jul 2024" %}{%- endif %}{%- endif %}'
    "{{ bos_token }}Today Date: {{ date_string }}\n" + CHAT_TEMPLATE
)
ASKED = [GenerationRequest("1", "one", chat=True, decoding=Decoding(max_new_tokens=3))]


def _engine(folder: Path, began: datetime = MONDAY) -> TransformersEngine:
    return TransformersEngine(ModelSpec("student", "student", str(folder), began=began))


@pytest.mark.parametrize("text", [DATED, LLAMA], ids=["dated", "llama"])
def test_a_template_that_reads_the_clock_gives_the_whole_prompt(
    template: Template, text: str
) -> None:
    """The date is that at which the run began, and a note tells it; no model is loaded."""
    made = _engine(template(text))
    (prompt,) = made.dated_prompts(ASKED).values()
    assert "30 Mar 2026" in prompt
    assert prompt.endswith("<|user|>one\n<|assistant|>")
    assert made._loaded is None
    assert made.notes == [
        "model 'student': its chat template reads the clock: the prompts of this run hold "
        "'30 Mar 2026', and on another day the model is asked something else"
    ]
    (later,) = _engine(template(text), TUESDAY).dated_prompts(ASKED).values()
    assert later == prompt.replace("30 Mar", "31 Mar")


def test_the_model_reads_the_prompt_that_was_told(template: Template) -> None:
    """What it answers follows the same text, tokens and all."""
    made = _engine(template(DATED))
    (prompt,) = made.dated_prompts(ASKED).values()
    (answer,) = predicted(made, ASKED)
    plain = GenerationRequest("1", prompt, decoding=ASKED[0].decoding)
    ids = made.tokenizer(prompt, add_special_tokens=False)["input_ids"]
    assert encode_prompts(made._load(), ASKED[:1]) == [ids]
    (same,) = predicted(made, [plain])
    assert answer.text == same.text


@pytest.mark.parametrize(
    "text", [CHAT_TEMPLATE, "{# strftime_now #}" + CHAT_TEMPLATE], ids=["none", "in a comment"]
)
def test_a_template_that_does_not_read_the_clock_changes_nothing(
    template: Template, text: str
) -> None:
    """Its prompts are a function of bytes that are in the model's digest."""
    made = _engine(template(text))
    assert made.dated_prompts(ASKED) == {}
    assert made.notes == []
    assert ("_tokenizer" in vars(made)) == ("strftime_now" in text)


def test_requests_that_are_no_chat_are_left_alone(template: Template) -> None:
    """They go through no template."""
    made = _engine(template(DATED))
    assert made.dated_prompts([GenerationRequest("1", "one")]) == {}
    assert "_tokenizer" not in vars(made)


def test_the_default_of_several_templates_counts(template: Template) -> None:
    """Another one's look at the clock is nobody's."""
    default_only = _engine(template({"default": CHAT_TEMPLATE, "tools": DATED}))
    assert default_only.dated_prompts(ASKED) == {}
    assert list(_engine(template({"default": DATED, "tools": ""})).dated_prompts(ASKED)) == ["1"]


def test_templates_by_name_without_a_default_are_an_error(template: Template) -> None:
    """The model, the key and the names are told."""
    message = (
        "model 'student': chat_template of its tokenizer has the templates 'rag', 'tools' and none "
        "called 'default': call one so, in tokenizer_config.json"
    )
    with pytest.raises(ModelError, match=message):
        list(_engine(template({"tools": CHAT_TEMPLATE, "rag": CHAT_TEMPLATE})).predict(ASKED))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{{ messages[0].content + 1 }}", "fails on example '1': raised TypeError"),
        ("{{ messages[7].content }}", "fails on example '1': list object has no element 7"),
        ("{{ 1 // 0 }}", "fails on example '1': raised ZeroDivisionError"),
        ("{% if %}", "fails on example '1': Expected an expression"),
        ("{{ ['a', 'b'] | random }}", "draws at random .the filter 'random'."),
        ("{{ ['ab'] | map('random') | join }}", "draws at random .the filter 'random'."),
        ("{{ lipsum() }}", "draws at random .the function 'lipsum'."),
    ],
)
def test_a_template_that_cannot_be_rendered_again_is_an_error(
    template: Template, text: str, message: str
) -> None:
    """Whatever it raises, and whatever it would make of chance."""
    with pytest.raises(ModelError, match=message):
        list(_engine(template(text)).predict(ASKED))


def test_the_word_random_is_not_chance(template: Template) -> None:
    """Only the filter and the function are."""
    text = "A random lipsum: {{ messages[0].random }}{# random #}" + CHAT_TEMPLATE
    predicted(_engine(template(text)), ASKED)


def test_another_clock_of_transformers_is_told_once_a_run(
    template: Template, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where somebody set its clock, that is the time; and it stands still from then on."""

    class Ticking(datetime):
        times = iter([MONDAY, TUESDAY])

        @classmethod
        def now(cls, tz: Any = None) -> Any:  # noqa: ARG003
            return next(cls.times)

    monkeypatch.setattr(chat_template_utils, "datetime", Ticking)
    folder = template(DATED)
    for _model in ("teacher", "student"):
        made = _engine(folder, datetime(2020, 1, 1))
        for _ in range(2):
            (prompt,) = made.dated_prompts(ASKED).values()
            assert "30 Mar 2026" in prompt


def test_a_clock_that_cannot_be_held_is_refused(
    template: Template, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A trial tells, not the version: else the same key would stand for another prompt tomorrow."""
    folder = template(DATED)
    clocks.check_clock.cache_clear()
    with monkeypatch.context() as patched:
        patched.setattr(chat_template_utils, "datetime", datetime)
        patched.setattr(clocks, "chat_template_utils", _Unheld())
        with pytest.raises(ModelError, match="read a clock that cannot be held"):
            _engine(folder).dated_prompts(ASKED)
    clocks.check_clock.cache_clear()


class _Unheld:
    """A version of transformers whose templates read a clock of their own."""

    datetime = datetime

    @staticmethod
    def render_jinja_template(*_: Any, **__: Any) -> Any:
        return ["2026-01-01"], []


def test_code_of_the_checkpoints_own_is_rendered_always(template: Template) -> None:
    """It may read whatever clock there is."""
    folder = template(CHAT_TEMPLATE)
    (folder / "tokenization_own.py").write_text("")
    spec = spec_of(folder, trust_remote_code=True)
    assert TransformersEngine(spec).dated_prompts(ASKED) == {"1": "<|user|>one\n<|assistant|>"}


def test_the_template_within_a_gguf_file_is_looked_at(tmp_path: Path) -> None:
    """Nothing of the file is loaded for it."""
    gguf = pytest.importorskip("gguf")
    for name, text in (("dated", DATED), ("plain", CHAT_TEMPLATE)):
        file = tmp_path / name / "m.gguf"
        file.parent.mkdir()
        writer = gguf.GGUFWriter(file, "llama")
        writer.add_string("general.description", "tokenizer.chat_template is below")
        writer.add_chat_template(text)
        writer.write_header_to_file()
        writer.write_kv_data_to_file()
        writer.close()
        spec = spec_of(file.parent, gguf_file="m.gguf")
        made = TransformersEngine(spec)
        assert may_read_clock(made.spec, made.checkpoint) == (name == "dated")
