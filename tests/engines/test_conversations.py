"""Conversations through chat templates of different kinds, up to the tokens that a model reads."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime
from functools import wraps
from pathlib import Path
from typing import Any

import pytest

from pytest_distill import ModelError
from pytest_distill.engines import ModelSpec
from pytest_distill.engines.transformers import TransformersEngine
from pytest_distill.engines.transformers.encoding import encode_prompts
from pytest_distill.engines.transformers.likeness.reading import compared, read
from pytest_distill.evals.goldset import Example
from pytest_distill.evals.tasks import Generation
from pytest_distill.evals.tasks.decoding import Conversation, Decoding, GenerationRequest

from .tiny import CHAT_TEMPLATE, Make, Template, predicted, spec_of

MONDAY = datetime(2026, 3, 30, 23, 59)
SYSTEM = {"role": "system", "content": "Be brief."}
USER = {"role": "user", "content": "one"}
CALL = {"type": "function", "id": "c1", "function": {"name": "count", "arguments": {"to": 2}}}
CALLED = (
    USER,
    {"role": "assistant", "content": "", "tool_calls": [CALL]},
    {"role": "tool", "tool_call_id": "c1", "content": "1, 2"},
)
PARAMETERS = {"type": "object", "properties": {"to": {"type": "integer"}}}
TOOL = {"type": "function", "function": {"name": "count", "parameters": PARAMETERS}}

# As Mistral's first: turns take turns, and there is no system.
ALTERNATE = (
    "{{ bos_token }}{% for m in messages %}"
    "{% if (m['role'] == 'user') != (loop.index0 % 2 == 0) %}{{ raise_exception("
    "'Conversation roles must alternate user/assistant/user/assistant/...') }}{% endif %}"
    "{% if m['role'] == 'user' %}[INST] {{ m['content'] | trim }} [/INST]"
    "{% else %}{{ m['content'] + eos_token }}{% endif %}{% endfor %}"
)
# As Gemma's first.
NO_SYSTEM = (
    "{% if messages[0]['role'] == 'system' %}{{ raise_exception('System role not supported') }}"
    "{% endif %}" + CHAT_TEMPLATE
)
# As those of Hermes and Qwen.
TOOLS = (
    "{%- if tools %}<|tools|>{% for tool in tools %}{{ tool | tojson }}\n{% endfor %}{% endif %}"
    "{%- for m in messages %}{%- if m.role == 'tool' %}<|tool|>{{ m.content }}\n"
    "{%- else %}<|{{ m.role }}|>{{ m.content }}{% for call in m.tool_calls %}"
    "<tool_call>{{ call.function.name }} {{ call.function.arguments | tojson }}</tool_call>"
    "{% endfor %}\n{%- endif %}{%- endfor %}<|assistant|>"
)
THINKING = (
    CHAT_TEMPLATE + "{% if enable_thinking is defined and enable_thinking is false %}"
    "<think>\n\n</think>\n\n{% endif %}"
)
DATED = "Today is {{ strftime_now('%d %b %Y') }}. " + CHAT_TEMPLATE


def asking(*messages: Any, id: str = "q1", **more: Any) -> GenerationRequest:
    """Return a request for an answer to messages."""
    conversation = Conversation(messages or (USER,), **more)
    return GenerationRequest(
        id, "", True, Decoding(max_new_tokens=3), "left", conversation=conversation
    )


def engine_of(folder: Path) -> TransformersEngine:
    """Return the engine of a student."""
    return TransformersEngine(ModelSpec("student", "student", str(folder), began=MONDAY))


def prompt_of(made: TransformersEngine, request: GenerationRequest) -> str:
    """Return the prompt that a model reads."""
    (tokens,) = encode_prompts(made._load(), [request])
    return str(made.tokenizer.decode(tokens))


@pytest.mark.parametrize(
    ("text", "messages", "more"),
    [
        (CHAT_TEMPLATE, (SYSTEM, USER), {}),
        (ALTERNATE, (USER, {"role": "assistant", "content": "two"}, USER), {}),
        (NO_SYSTEM, (USER,), {}),
        (TOOLS, (SYSTEM, USER), {"tools": [TOOL]}),
        (TOOLS, CALLED, {"tools": [TOOL]}),
        (THINKING, (USER,), {"arguments": {"enable_thinking": False}}),
    ],
    ids=["plain", "alternate", "no system", "tools", "called", "thinking"],
)
def test_a_model_reads_what_its_template_makes(
    template: Template, text: str, messages: tuple[Any, ...], more: dict[str, Any]
) -> None:
    """Token for token what transformers makes of the same messages; one BOS, where it writes it."""
    made = engine_of(template(text))
    rendered = made.tokenizer.apply_chat_template(
        list(messages),
        tools=more.get("tools"),
        add_generation_prompt=True,
        return_dict=False,
        **more.get("arguments", {}),
    )
    request = asking(*messages, **more)
    assert encode_prompts(made._load(), [request]) == [rendered]
    assert rendered.count(0) == text.count("bos_token")
    (answer,) = predicted(made, [request])
    plain = GenerationRequest("q1", "", decoding=request.decoding, truncate="left")
    written = replace(plain, prompt=made.tokenizer.decode(rendered))
    if text is not ALTERNATE:  # whose end token is one of the text
        assert answer.text == predicted(made, [written])[0].text
    assert made.notes == []


@pytest.mark.parametrize(
    ("text", "messages", "said"),
    [
        (ALTERNATE, (USER, USER), "Conversation roles must alternate user/assistant/user/assi"),
        (ALTERNATE, (SYSTEM, USER), "Conversation roles must alternate"),
        (NO_SYSTEM, (SYSTEM, USER), "System role not supported"),
        ("{{ messages[0].content + 1 }}", (USER,), "raised TypeError"),
    ],
)
def test_messages_that_a_template_refuses(
    template: Template, text: str, messages: tuple[Any, ...], said: str
) -> None:
    """One error, with the example's id and the template's own words."""
    asked = [asking(id="fine") if text == NO_SYSTEM else asking(*messages), asking(*messages)]
    with pytest.raises(ModelError) as raised:
        list(engine_of(template(text)).predict(asked))
    assert str(raised.value).startswith(
        f"chat template of model 'student' fails on example 'q1': {said}"
    )


SEVERAL = {"default": CHAT_TEMPLATE, "rag": "rag: " + CHAT_TEMPLATE, "tool_use": TOOLS}


@pytest.mark.parametrize(
    ("more", "begin"),
    [
        ({}, "<|user|>"),
        ({"template": "default"}, "<|user|>"),
        ({"template": "rag"}, "rag: <|user|>"),
        ({"tools": [TOOL]}, "<|tools|>"),
        ({"tools": [TOOL], "template": "tool_use"}, "<|tools|>"),
    ],
)
def test_a_template_is_named(template: Template, more: dict[str, Any], begin: str) -> None:
    """Else it is the default one, and with tools that for tools, as transformers chooses."""
    assert prompt_of(engine_of(template(SEVERAL)), asking(**more)).startswith(begin)


def test_the_default_is_taken_where_it_is_named(template: Template) -> None:
    """Also with tools, where transformers would take another one."""
    with pytest.raises(ModelError, match="leaves out the definitions of the tools of example 'q1'"):
        prompt_of(engine_of(template(SEVERAL)), asking(tools=[TOOL], template="default"))


@pytest.mark.parametrize(
    ("templates", "there"),
    [(SEVERAL, "'default', 'rag', 'tool_use'"), (CHAT_TEMPLATE, "'default'")],
)
def test_an_unknown_template_is_an_error(template: Template, templates: Any, there: str) -> None:
    """Those that there are are told; the name is not taken for a template."""
    with pytest.raises(ModelError) as raised:
        list(engine_of(template(templates)).predict([asking(template="tools")]))
    assert str(raised.value) == (
        "model 'student': its tokenizer has no chat template called 'tools'; it has " + there
    )
    made = engine_of(template(templates))
    assert prompt_of(made, asking(template="default")).startswith("<|user|>")


@pytest.mark.parametrize(
    ("text", "request_", "what"),
    [
        (CHAT_TEMPLATE, asking(tools=[TOOL]), "the definitions of the tools"),
        ("{# tools #}" + CHAT_TEMPLATE, asking(tools=[TOOL]), "the definitions of the tools"),
        (
            "{% if tools %}You have {{ tools | length }} tools. {% endif %}" + CHAT_TEMPLATE,
            asking(tools=[TOOL]),
            "the definitions of the tools",
        ),
        (CHAT_TEMPLATE, asking(*CALLED), "the calls of tools in message 2 (assistant)"),
        (
            "{% for m in messages %}{% if m.tool_calls %}[TOOL_CALLS]{% endif %}{{ m.content }}"
            "{% endfor %}",
            asking(*CALLED),
            "the calls of tools in message 2 (assistant)",
        ),
        (
            "{% for m in messages if m.role == 'user' %}{{ m.content }}{% endfor %}",
            asking(SYSTEM, USER),
            "message 1 (system)",
        ),
        (
            "{{ messages[0].content }}",
            asking(USER, {"role": "assistant", "content": "x"}, {**USER, "content": "long " * 9}),
            "message 3 (user)",
        ),
        (
            "{% for m in messages %}{% for part in m.content %}{{ part.text }}{% endfor %}"
            "{% endfor %}",
            asking(),
            "message 1 (user)",
        ),
    ],
    ids=[
        "tools",
        "tools in a comment",
        "that there are tools",
        "calls",
        "that there are calls",
        "system",
        "later",
        "parts",
    ],
)
def test_what_a_template_leaves_out_is_an_error(
    template: Template, text: str, request_: GenerationRequest, what: str
) -> None:
    """The model would not be told, and answer another question than the gold set's."""
    with pytest.raises(ModelError) as raised:
        prompt_of(engine_of(template(text)), request_)
    assert str(raised.value).startswith(
        f"chat template of model 'student' leaves out {what} of example 'q1', so that the model "
        "would not be told"
    )


def test_a_template_may_take_arguments_as_text(template: Template) -> None:
    """As those of DeepSeek do, which fail on an object; what fails in both forms is told once."""
    text = (
        "{% for m in messages %}{{ m.content }}{% for call in m.tool_calls %}"
        "{{ call.function.name + ': ' + call.function.arguments }}{% endfor %}|{% endfor %}"
    )
    assert prompt_of(engine_of(template(text)), asking(*CALLED)) == 'one|count: {"to": 2}|1, 2|'
    broken = text + "{{ messages[1].tool_calls[0].function.arguments['to'].to }}{{ 1 // 0 }}"
    with pytest.raises(ModelError, match="fails on example 'q1': raised TypeError: can only"):
        prompt_of(engine_of(template(broken)), asking(*CALLED))


def test_a_turn_may_be_written_otherwise(template: Template) -> None:
    """As JSON, trimmed, and the assistant's without what it thought: that is the template's."""
    text = (
        "{% for m in messages %}{% if m.role == 'assistant' %}{{ m.content.split('/')[-1] }}"
        "{% else %}{{ m.content | trim | tojson }}{% endif %}{% endfor %}"
    )
    thought = {"role": "assistant", "content": "thought, and then nothing/"}
    said = {"role": "user", "content": '  "Zoë" asked for \n it, whatever it was '}
    assert prompt_of(engine_of(template(text)), asking(USER, thought, said)) == (
        '"one""\\"Zoë\\" asked for \\n it, whatever it was"'
    )


def test_an_argument_that_no_template_reads_is_noted_once(template: Template) -> None:
    """Teacher and student have different templates, so that it is no error."""
    made = engine_of(template("{{ messages[0].thinks }}" + CHAT_TEMPLATE))
    told = {"enable_thinking": False, "thinks": True}
    predicted(made, [asking(id=str(n), arguments=told) for n in range(3)])
    assert made.notes == [
        f"model 'student': its chat template does not read '{key}', so that what 'template' says "
        "of it changes nothing there"
        for key in told
    ]


def test_an_unread_argument_is_noted_also_where_nothing_is_loaded(template: Template) -> None:
    """Where all answers are stored; a name in any of the templates may be read."""
    made = engine_of(template({"default": CHAT_TEMPLATE, "rag": THINKING}))
    told = {"enable_thinking": False, "effort": "low"}
    for _ in range(2):
        assert made.dated_prompts([asking(arguments=told)]) == {}
    assert made.notes == [
        "model 'student': its chat template does not read 'effort', so that what 'template' says "
        "of it changes nothing there"
    ]
    assert made._loaded is None


def test_an_argument_of_the_tokenizer_itself_is_refused(template: Template) -> None:
    """The template would not be told it."""
    with pytest.raises(ModelError, match="'template' says 'padding', which apply_chat_template of"):
        prompt_of(engine_of(template(CHAT_TEMPLATE)), asking(arguments={"padding": True}))


def test_arguments_reach_the_template(template: Template) -> None:
    """As they stand in the file, nested ones too."""
    text = "{{ a.b[1] }} {{ c }} {{ d is none }}" + CHAT_TEMPLATE
    arguments = {"a": {"b": [1, 2.5]}, "c": True, "d": None}
    prompt = prompt_of(engine_of(template(text)), asking(arguments=arguments))
    assert prompt == "2.5 True True<|user|>one\n<|assistant|>"


def test_a_dated_conversation_gives_the_whole_prompt(template: Template) -> None:
    """That of the named template alone; tools and a system's turn are in it."""
    made = engine_of(template({"default": CHAT_TEMPLATE, "rag": DATED}))
    assert made.dated_prompts([asking(SYSTEM, USER)]) == {}
    assert made.dated_prompts([asking(SYSTEM, USER, template="rag")]) == {
        "q1": "Today is 30 Mar 2026. <|system|>Be brief.\n<|user|>one\n<|assistant|>"
    }
    assert len(made.notes) == 1
    assert made._loaded is None


def test_what_samples_and_budgets_ask_is_rendered_once(
    template: Template, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each still has its prompt, the date in it; what another example asks is rendered too."""
    made = engine_of(template(DATED))
    tokenizer = made._load().tokenizer
    apply, calls = tokenizer.apply_chat_template, []

    @wraps(apply)
    def counted(messages: Any, **told: Any) -> Any:
        calls.append(messages)
        return apply(messages, **told)

    monkeypatch.setattr(tokenizer, "apply_chat_template", counted)
    asked = [
        replace(
            asking({"role": "user", "content": content}, id=f"{content} {seed} {most}"),
            decoding=Decoding(most, do_sample=True, seed=seed),
        )
        for content in ("what is the time today?", "and what is it tomorrow?")
        for seed in range(4)
        for most in (3, 5)
    ]
    prompts = made.dated_prompts(asked)
    assert len(calls) == 2
    assert list(prompts) == [request.id for request in asked]
    rows = encode_prompts(made._load(), asked)
    assert len(calls) == 4
    assert [tokenizer.decode(row) for row in rows] == list(prompts.values())
    for id, prompt in prompts.items():
        content = id.rsplit(" ", 2)[0]
        assert prompt == f"Today is 30 Mar 2026. <|user|>{content}\n<|assistant|>"


def test_a_trial_that_reads_the_clock_dates_no_prompt(template: Template) -> None:
    """What is found out of a template is in no prompt."""
    text = "{% if not tools %}{{ strftime_now('%d') }}{% endif %}" + TOOLS
    made = engine_of(template(text))
    assert made.dated_prompts([asking(tools=[TOOL])]) == {}
    assert made.notes == []


def test_chance_in_the_named_template_is_refused(template: Template) -> None:
    """And is nobody's in another one."""
    made = engine_of(template({"default": "{{ ['a', 'b'] | random }}", "rag": CHAT_TEMPLATE}))
    predicted(made, [asking(template="rag")])
    with pytest.raises(ModelError, match="draws at random"):
        predicted(made, [asking()])


@pytest.mark.parametrize("folder", ["causal_folder", "seq2seq_folder"])
def test_a_model_without_a_template_has_no_conversation(
    request: pytest.FixtureRequest, folder: str, engine: Make, changed: Callable[..., Path]
) -> None:
    """It says how to ask instead."""
    copy = changed(request.getfixturevalue(folder))
    (copy / "chat_template.jinja").unlink()
    with pytest.raises(ModelError, match="'student' has no chat template; ask by 'input' or"):
        predicted(engine(copy), [asking()])


def test_the_gold_answer_follows_the_rendered_conversation(template: Template) -> None:
    """On its tokens two models are compared."""
    loaded = engine_of(template(NO_SYSTEM))._load()
    task = Generation(messages="m")
    row = Example("q1", {"m": [USER], "target": "two"}, "gold.jsonl:1")
    request = task.request(row)
    (found,) = read(loaded, [task.gold_text(row)], [loaded])
    tokens = loaded.tokenizer("two", add_special_tokens=False)["input_ids"]
    ((reading, span),) = found
    assert compared(found) == tokens
    assert reading == [*encode_prompts(loaded, [request])[0], *tokens[:-1]]
    assert span.start == len(reading) - len(tokens)


def test_conversations_cross_to_the_process_that_measures_memory(template: Template) -> None:
    """There the same prompts are read."""
    made = TransformersEngine(spec_of(template(TOOLS), device="cpu"))
    memory = made.memory([asking(SYSTEM, USER, tools=[TOOL]), asking(*CALLED, id="q2")])
    assert memory.peak > memory.weights > 0


def test_smollm2_answers_a_conversation(smollm2: Path) -> None:
    """Its own template: a system's turn in place of its default one; it knows no tools."""
    made = TransformersEngine(spec_of(smollm2))
    system = {"role": "system", "content": "You answer with one word."}
    user = {"role": "user", "content": "What is the capital of France?"}
    request = asking(system, user)
    assert prompt_of(made, request) == (
        "<|im_start|>system\nYou answer with one word.<|im_end|>\n"
        "<|im_start|>user\nWhat is the capital of France?<|im_end|>\n<|im_start|>assistant\n"
    )
    (answer,) = predicted(made, [replace(request, decoding=Decoding(max_new_tokens=12))])
    assert answer.text is not None
    assert "Paris" in answer.text
    with pytest.raises(ModelError, match="leaves out the definitions of the tools"):
        prompt_of(made, asking(user, tools=[TOOL]))
