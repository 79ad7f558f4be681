"""What all messages have in common: they fit a screen and obey nobody."""

from __future__ import annotations

from pytest_distill.errors import ConfigError, did_you_mean, some_of


def test_a_message_tells_few_of_many_names() -> None:
    """Thousands of ids or labels are counted, not listed."""
    names = [f"id-{i:04}" for i in range(4_000)]
    told = did_you_mean("?", names)
    assert told.startswith("known: id-0000, id-0001, ")
    assert told.endswith(" and 3,980 more")
    assert some_of(names) == "id-0000, id-0001, id-0002, id-0003, id-0004 and 3,995 more"


def test_a_name_is_in_one_line() -> None:
    """An id may have new lines, and looks like no line of the message."""
    assert some_of(["a\nb"]) == "a\\nb"
    assert did_you_mean("a\nc", ["a\nb"]) == "did you mean 'a\\nb'?"


def test_a_message_cuts_a_text_that_stands_for_a_name() -> None:
    """A label or an id may be a text of any length, also one that was nearly meant."""
    text = "word " * 5_000
    assert len(did_you_mean(text[:-1], [text])) < 200
    assert len(some_of([text, text])) < 300
    told = str(ConfigError(f"slice='{text}'\nwrite a field and its value"))
    assert max(map(len, told.splitlines())) < 1_100
    assert told.endswith("write a field and its value")
