from __future__ import annotations

import json
import tomllib
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest
import yaml

from pytest_distill.config import load_config

from .console import Console, difference
from .models import STAND_IN, beside, provide
from .pages import FOR_READING, ROOT, Block, blocks, pages_with_examples, steps, write

Parser = Callable[[str], object]

PARSERS: dict[str, Parser] = {
    "json": json.loads,
    "jsonl": lambda text: [json.loads(line) for line in text.splitlines()],
    "toml": tomllib.loads,
    "python": lambda text: compile(text, "<docs>", "exec"),
    "yaml": yaml.safe_load,
    "ini": str,
    "csv": str,
}


@pytest.mark.parametrize(
    "page", pages_with_examples(), ids=lambda page: str(page.relative_to(ROOT))
)
def test_the_examples_of_a_page_do_what_it_says(page: Path, tmp_path: Path) -> None:
    """Its files, put into one folder from top to bottom, make its commands print its outputs."""
    with beside(page) as server:
        run_page(page, tmp_path, {STAND_IN: server})


def run_page(page: Path, tmp_path: Path, places: Mapping[str, str]) -> None:
    """Write the files of a page, run its commands, and compare what they print."""
    console = Console(tmp_path, places)
    provide(page, tmp_path)
    never_run: set[str] = set()
    for block in blocks(page):
        if block.language in FOR_READING:
            continue
        if block.language == "console" and not block.parse_only:
            run_console(block, console)
            never_run.clear()
            continue
        parse(block, tmp_path)
        if block.name and not block.parse_only:
            write(block, tmp_path, places)
            if block.name.endswith((".py", "distill.yaml")):
                never_run.add(f"{block.name} ({block.place})")
    assert not never_run, "written, but no console block runs them"


def run_console(block: Block, console: Console) -> None:
    """Run the commands of a block and compare what they print."""
    for step in steps(block):
        printed = console.run(step.command)
        differs = difference(step.expected, printed, of_one_machine=block.of_one_machine)
        if differs:
            pytest.fail(f"{block.place}: $ {step.command}\n{differs}", pytrace=False)


def parse(block: Block, folder: Path) -> None:
    """Fail where a block is not what it says it is."""
    if block.language == "console":
        assert steps(block), f"{block.place}: a console block without a command"
        return
    parser = PARSERS.get(block.language)
    assert parser, f"{block.place}: '{block.language}' is none of {', '.join(PARSERS)}"
    assert block.name or block.parse_only or block.language == "json", (
        f"{block.place}: neither a file (its name as a comment in the first line) nor marked "
        "'<!-- parse only: why -->'"
    )
    try:
        content = parser(block.text)
    except (ValueError, SyntaxError, yaml.YAMLError) as error:
        pytest.fail(f"{block.place}: {error}")
    if block.parse_only and isinstance(content, dict) and "models" in content:
        config = folder / "parse-only.yaml"
        config.write_text(block.text, encoding="utf-8")
        load_config(config)
