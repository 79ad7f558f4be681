"""What a gate job does where neither torch nor transformers is installed, run as users run it."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib.metadata import distributions
from importlib.util import find_spec
from itertools import count
from pathlib import Path

import pytest

from pytest_distill.report.formats import FORMATS
from tests.lean.exporting import EXPORT
from tests.plugin.project import FAILS, HEAD, SHIPS, Project, Run, decision_of, said, write_gates

ABSENT = ("torch", "transformers", "tokenizers", "safetensors", "huggingface_hub", "datasets")
MODELS = (
    "engine transformers needs torch and transformers, which are not installed here: pip install "
    "'torch>=2.4' 'transformers>=5.6' (the ordinary install of pytest-distill brings them)"
)
_NUMBERS = count()
SLICE = """
    def test_german():
        from pytest_distill import assert_score
        assert_score(0.7, slice="lang=de")
"""


@pytest.fixture
def project(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> Project:
    """Return a project with three recorded models."""
    monkeypatch.setenv("COLUMNS", "80")
    return Project(pytester)


@pytest.fixture
def run(pytester: pytest.Pytester) -> Run:
    """Return a function that runs pytest in the project; warnings are errors."""
    return lambda *args: pytester.runpytest_subprocess("-W", "error", *args, timeout=60)


def command(folder: Path, *arguments: str) -> str:
    """Return what a command prints, which must end well."""
    done = subprocess.run(
        [sys.executable, "-W", "error", "-m", "pytest_distill", *arguments],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


def test_what_runs_models_is_not_installed() -> None:
    """Or the tests below would prove nothing."""
    assert not [name for name in ABSENT if find_spec(name)]
    installed = {found.metadata["Name"] for found in distributions()}
    assert {"pytest-distill", "httpx2", "tenacity"} <= installed


def test_every_format_of_a_report_and_what_changed_since(project: Project, run: Run) -> None:
    """Recorded gates with slices, in two workers; a run that is accepted, and a worse one."""
    project.file("test_ship.py", SHIPS + SLICE)
    files = [f"--distill-{name}=out.{name}" for name in FORMATS]
    result = run("-n", "2", "--distill-report", "--junitxml=junit.xml", *files)
    assert decision_of(result) == ("SHIP", "")
    assert [gate["outcome"] for gate in project.json()["gates"]] == ["PASSED"] * 3
    command(project.path, "report", "out.json", "--markdown", "again.markdown")
    for name in ("out.markdown", "again.markdown", "out.html", "junit.xml"):
        assert "quality_retained" in (project.path / name).read_text(encoding="utf-8")
    assert json.loads((project.path / "out.codequality").read_text()) == []
    command(project.path, "baseline", "save", "out.json", "--output", "baseline.json")
    project.file("test_ship.py", FAILS)
    result = run("--distill-report", "--distill-baseline=baseline.json")
    assert decision_of(result)[0] == "DO NOT SHIP"
    assert len(list((project.path / ".distill" / "lost").iterdir())) == 1


def test_scores_that_were_reported(project: Project, run: Run) -> None:
    """They need no gold set."""
    for name, score in (("teacher", 0.9), ("student", 0.85)):
        project.models[name] = {"engine": "reported", "scores": {"cola": {"accuracy": score}}}
    del project.models["sft"]
    project.config["evals"] = {"cola": {}}
    project.save()
    write_gates(project, head=HEAD.replace("reviews", "cola"), kept="assert_quality_retained(0.9)")
    assert decision_of(run("--distill-report"))[0] == "SHIP"


def test_what_was_exported_where_models_run(pytester: pytest.Pytester, run: Run) -> None:
    """The models of the export are those of transformers; a hub is not asked for them."""
    made = Path(sys.prefix) / "exporting"  # by `.ci/lean`, with tests.lean.exporting
    shutil.copytree(made, pytester.path, dirs_exist_ok=True)
    given = (f"--distill-predictions={EXPORT}", "--distill-json=out.json")
    assert decision_of(run("--distill-report", *given))[0] == "DO NOT SHIP"
    report = json.loads((pytester.path / "out.json").read_text())
    assert [gate["outcome"] for gate in report["gates"]] == ["FAILED"]
    result = run("-n", "2", "--distill-report")
    assert decision_of(result)[0] == "INCOMPLETE"
    assert f"ModelError: model 'student': {MODELS}" in said(result)


class _Server(BaseHTTPRequestHandler):
    """Answers every chat with the label that ends its prompt."""

    def do_POST(self) -> None:
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        text = asked["messages"][-1]["content"].split()[-1]
        message = {"role": "assistant", "content": text}
        answer = {
            "id": f"answer-{next(_NUMBERS)}",
            "choices": [{"index": 0, "message": message, "finish_reason": "stop"}],
            "usage": {"prompt_tokens": 3, "completion_tokens": 1, "total_tokens": 4},
        }
        content = json.dumps(answer).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_: object) -> None:
        """Say nothing: a test's output is for what it asserts."""


@pytest.fixture
def server() -> Iterator[str]:
    """Return the base URL of a server."""
    with ThreadingHTTPServer(("127.0.0.1", 0), _Server) as running:
        threading.Thread(target=running.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{running.server_port}/v1"
        running.shutdown()


def test_a_model_behind_a_server(project: Project, run: Run, server: str) -> None:
    """It is asked once: a second run finds its answers in the store."""
    rows = [{"id": f"e{n}", "text": f"say {n % 2}", "label": str(n % 2)} for n in range(20)]
    project.rows("gold.jsonl", rows)
    said_so = [{"id": row["id"], "prediction": row["label"]} for row in rows]
    project.rows("teacher.jsonl", said_so)
    project.models["student"] = {"engine": "openai", "base_url": server, "model": "m"}
    del project.models["sft"]
    project.evals["reviews"] = {
        "task": "generation",
        "data": "gold.jsonl",
        "input": "text",
        "target": "label",
        "chat": True,
        "max_new_tokens": 4,
        "metrics": ["exact_match"],
    }
    project.save()
    write_gates(project, kept="assert_quality_retained(1)")
    assert decision_of(run("--distill-report"))[0] == "SHIP"
    project.models["teacher"]["parameters"] = 7_000  # what is declared asks nothing anew
    project.save()
    assert "20 from the store" in said(run("--distill-report"))


def test_a_project_that_begins(project: Project, run: Run) -> None:
    """`init` and `store` need no model's libraries either."""
    (project.path / "distill.yaml").unlink()
    command(project.path, "init", "teacher.jsonl", "student.jsonl", "--gold", "gold.jsonl")
    assert decision_of(run("--distill-report"))[0] in ("SHIP", "DO NOT SHIP")
    assert "0 predictions" in command(project.path, "store", "list")
