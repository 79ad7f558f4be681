"""What a generated text keeps of its thinking and of its calls of tools."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import pytest
from tokenizers import AddedToken

from pytest_distill.engines.transformers import TransformersEngine
from pytest_distill.evals.requests import Prediction
from pytest_distill.evals.tasks.decoding import Conversation, Decoding, GenerationRequest
from pytest_distill.evals.tasks.thinking import answer_in

from .scripted import scripted
from .tiny import Make, predicted

THINK = ("<think>", "</think>")
TOOLS = ({"type": "function", "function": {"name": "add", "parameters": {"type": "object"}}},)


@pytest.fixture(params=["special", "not special"])
def thinker(request: pytest.FixtureRequest, tokenizer: Any) -> Any:
    """Return the tokenizer with markers of thinking, special or not, and another special token."""
    return _with_tokens(tokenizer, [*THINK], special=request.param == "special")


def _with_tokens(tokenizer: Any, texts: list[str], *, special: bool) -> Any:
    made = copy.deepcopy(tokenizer)
    made.add_tokens(
        [AddedToken(text, special=special, normalized=False) for text in texts],
        special_tokens=special,
    )
    made.add_special_tokens({"additional_special_tokens": ["<|other|>"]})
    return made


class Writer:
    """Makes models that write a text, and asks them for it."""

    def __init__(self, engine: Make, folder: Path) -> None:
        self.engine, self.folder = engine, folder

    def model(
        self, tokenizer: Any, prompt: str, text: str, kind: str = "causal"
    ) -> TransformersEngine:
        """Return an engine that writes a text, then ends, after a prompt's last token."""
        first = tokenizer(prompt, add_special_tokens=False)["input_ids"][-1]
        tokens = tokenizer(text, add_special_tokens=False)["input_ids"]
        folder = self.folder / str(len(list(self.folder.iterdir())))
        return self.engine(
            scripted(tokenizer, folder, [first, *tokens, tokenizer.eos_token_id], kind)
        )

    def ask(
        self,
        tokenizer: Any,
        prompt: str,
        text: str,
        thinking: tuple[str, str] | None = THINK,
        **decoding: Any,
    ) -> Prediction:
        """Return the answer of a model that writes a text."""
        asked = GenerationRequest("1", prompt, decoding=Decoding(**decoding), thinking=thinking)
        return predicted(self.model(tokenizer, prompt, text), [asked])[0]


@pytest.fixture
def writer(engine: Make, tmp_path: Path) -> Writer:
    """Return what makes models and asks them."""
    return Writer(engine, tmp_path)


def test_the_markers_stay_in_the_text(writer: Writer, thinker: Any) -> None:
    """Other special tokens are dropped; the tokens up to the end marker are the thinking's."""
    got = writer.ask(thinker, ">", "<think>ab<|other|></think>cd")
    assert (got.text, got.tokens, got.thinking_tokens) == ("<think>ab</think>cd", 8, 5)
    assert got.finish == "end"
    assert answer_in(got.text or "", THINK) == "cd"


def test_without_thinking_nothing_is_kept_and_nothing_said(writer: Writer, thinker: Any) -> None:
    """A request of before is answered as before."""
    got = writer.ask(thinker, ">", "<think>ab</think>cd", None)
    shown = thinker.decode(thinker("<think>ab</think>cd")["input_ids"], skip_special_tokens=True)
    assert (got.text, got.thinking_tokens) == (shown, None)


@pytest.mark.parametrize("end", ["", "\n", " \n"])
def test_thinking_that_the_prompt_began_is_begun_in_the_text(
    writer: Writer, thinker: Any, end: str
) -> None:
    """Its marker is put in front, whatever blanks follow it in the prompt; it is no token."""
    got = writer.ask(thinker, f">?<think>{end}", "ab</think>cd")
    assert (got.text, got.tokens, got.thinking_tokens) == ("<think>ab</think>cd", 6, 3)


def test_a_chat_template_may_begin_the_thinking(engine: Make, thinker: Any, tmp_path: Path) -> None:
    """What counts is the rendered prompt, which the template's arguments decide."""
    thinker.chat_template = (
        "{% for m in messages %}{{ m.content }}{% endfor %}>"
        "{% if enable_thinking %}<think>{% endif %}"
    )
    first, *tokens = thinker("<think>ab</think>cd", add_special_tokens=False)["input_ids"]
    made = engine(scripted(thinker, tmp_path, [first, *tokens, thinker.eos_token_id]))
    message = [{"role": "user", "content": "e"}]
    asked = [
        GenerationRequest(
            str(on),
            "",
            decoding=Decoding(max_new_tokens=6),
            conversation=Conversation(message, arguments={"enable_thinking": on}),
            thinking=THINK,
        )
        for on in (True, False)
    ]
    with_thinking, without = predicted(made, asked)
    assert (with_thinking.text, with_thinking.thinking_tokens) == ("<think>ab</think>cd", 3)
    assert not (without.text or "").startswith("<think>")
    assert without.thinking_tokens == 0


@pytest.mark.parametrize(
    ("text", "most", "expected"),
    [
        ("<think>abcd", 3, ("<think>ab", "length", 3)),
        ("<think>abcd", 9, ("<think>abcd", "end", 6)),  # it ended while it was thinking
        ("abcd", 9, ("abcd", "end", 0)),
        ("ab</think>cd", 9, ("ab</think>cd", "end", 3)),  # begun where nobody sees it
        ("<think></think>cd", 9, ("<think></think>cd", "end", 2)),
        ("<think>ab</think>", 4, ("<think>ab</think>", "length", 4)),
    ],
)
def test_thinking_counts_up_to_its_end(
    writer: Writer, thinker: Any, text: str, most: int, expected: tuple[str, str, int]
) -> None:
    """All tokens where it does not end, and none where it did not begin."""
    got = writer.ask(thinker, ">", text, max_new_tokens=most)
    assert (got.text, got.finish, got.thinking_tokens) == expected


def test_markers_of_several_tokens_count_to_the_last_of_them(
    writer: Writer, tokenizer: Any
) -> None:
    """Also where a token reaches beyond the marker, and characters of several tokens stand by."""
    got = writer.ask(tokenizer, ">", "[(a🙂)]bc", ("[(", ")]"))
    tokens = tokenizer("[(a🙂)]bc", add_special_tokens=False)["input_ids"]
    spoken = [tokenizer.decode(tokens[:count]) for count in range(len(tokens) + 1)]
    assert got.text == "[(a🙂)]bc"
    assert got.thinking_tokens == next(n for n, told in enumerate(spoken) if ")]" in told)


def test_a_stop_string_in_the_thinking_stops(writer: Writer, thinker: Any) -> None:
    """As a server does it: there is no answer then."""
    got = writer.ask(thinker, ">", "<think>abc</think>de", stop=("b",))
    assert (got.text, got.finish, got.tokens, got.thinking_tokens) == ("<think>a", "stop", 3, 3)
    assert answer_in(got.text or "", THINK) == ""
    got = writer.ask(thinker, ">", "<think>abc</think>de", stop=("</think>",))
    assert (got.text, got.finish, got.thinking_tokens) == ("<think>abc", "stop", 5)


@pytest.mark.parametrize("kind", ["causal", "sliding", "seq2seq"])
def test_thinking_within_budgets_is_that_of_runs_with_these_limits(
    writer: Writer, thinker: Any, kind: str
) -> None:
    """Before the thinking ends, where it ends, and after."""
    made = writer.model(thinker, ">", "<think>ab</think>cd", kind)
    asked = [
        GenerationRequest(str(most), ">", decoding=Decoding(max_new_tokens=most), thinking=THINK)
        for most in range(1, 9)
    ]
    got = predicted(made, asked)
    assert got == [one for request in asked for one in predicted(made, [request])]
    assert [one.thinking_tokens for one in got] == [1, 2, 3, 4, 4, 4, 4, 4]


CALL = '{"name": "add", "arguments": {}}'


@pytest.mark.parametrize("special", [True, False])
@pytest.mark.parametrize(
    ("text", "tools", "most", "finish"),
    [
        (f"<tool_call>{CALL}</tool_call>", TOOLS, 99, "tool_call"),
        (f"a<tool_call>{CALL}</tool_call>", TOOLS, 99, "tool_call"),
        (CALL, TOOLS, 99, "tool_call"),
        (CALL, (), 99, "end"),
        ("abc", TOOLS, 99, "end"),
        (f"<tool_call>{CALL}</tool_call>", TOOLS, "whole", "tool_call"),
        (f"<tool_call>{CALL}</tool_call>", TOOLS, "cut", "length"),
    ],
)
def test_a_text_that_calls_a_tool_and_ends_says_so(
    writer: Writer,
    tokenizer: Any,
    special: bool,
    text: str,
    tools: tuple[Any, ...],
    most: int | str,
    finish: str,
) -> None:
    """Where tools were given; a text that is cut at its length did not end by a call."""
    made_of = _one_by_one(tokenizer, text, special)
    made_of.chat_template = "{{ tools }}{% for m in messages %}{{ m.content }}{% endfor %}>"
    count = len(made_of(text, add_special_tokens=False)["input_ids"]) + 1
    limit = {"whole": count, "cut": count - 1}.get(str(most), 99)
    asked = GenerationRequest(
        "1",
        "",
        decoding=Decoding(max_new_tokens=limit),
        conversation=Conversation([{"role": "user", "content": "?"}], tools=tools),
    )
    (got,) = predicted(writer.model(made_of, ">", text), [asked])
    assert got.finish == finish
    shown = text if tools or not special else text.replace("<tool_call>", "")
    assert got.text == shown


def test_a_call_within_the_thinking_is_none(writer: Writer, tokenizer: Any) -> None:
    """Only the answer calls tools."""
    text = f"<think>{CALL}</think>a"
    made_of = _one_by_one(tokenizer, text, special=False)
    made_of.chat_template = "{{ tools }}{% for m in messages %}{{ m.content }}{% endfor %}>"
    asked = GenerationRequest(
        "1",
        "",
        decoding=Decoding(max_new_tokens=99),
        conversation=Conversation([{"role": "user", "content": "?"}], tools=TOOLS),
        thinking=THINK,
    )
    (got,) = predicted(writer.model(made_of, ">", text), [asked])
    assert (got.text, got.finish) == (text, "end")


def _one_by_one(tokenizer: Any, text: str, special: bool) -> Any:
    """Return a tokenizer to which a call is one token, so that no token comes twice."""
    markers = [marker for marker in (*THINK, "<tool_call>", "</tool_call>") if marker in text]
    made = _with_tokens(tokenizer, [CALL], special=False)
    made.add_tokens(
        [AddedToken(marker, special=special, normalized=False) for marker in markers],
        special_tokens=special,
    )
    return made


def test_special_tokens_are_looked_up_once(
    writer: Writer, thinker: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Gemma has thousands of them, and a text with thinking is decoded a dozen times."""
    made = writer.model(thinker, ">", "<think>ab</think>cd")
    kind, looks = type(made.tokenizer), []
    own = kind.added_tokens_decoder.fget

    def counted(tokenizer: Any) -> Any:
        looks.append(tokenizer)
        return own(tokenizer)

    monkeypatch.setattr(kind, "added_tokens_decoder", property(counted))
    asked = [
        GenerationRequest(str(most), ">", decoding=Decoding(max_new_tokens=most), thinking=THINK)
        for most in range(1, 9)
    ]
    assert [one.thinking_tokens for one in predicted(made, asked)] == [1, 2, 3, 4, 4, 4, 4, 4]
    assert len(looks) == 1
