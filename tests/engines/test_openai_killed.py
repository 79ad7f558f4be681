"""A run against a server that is killed: what was received is not asked, nor paid for, again."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path

from pytest_distill.comparison.comparison import Comparison
from pytest_distill.config.reading import load_config
from pytest_distill.evaluation.measured import MeasuredEvaluation
from pytest_distill.evaluation.store.file import Store
from pytest_distill.evaluation.store.keeping import Keeper
from pytest_distill.project.project import Project
from tests.servers.served import Asked, Reply, completion, served

N, AT_ONCE = 80, 4


def test_what_was_received_is_not_asked_again_after_kill_9(tmp_path: Path) -> None:
    """At most as many as may be on their way are asked twice; the store lists what is there."""
    rows = [{"id": f"e{n}", "q": f"q{n}", "a": f"q{n}"} for n in range(N)]
    (tmp_path / "gold.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    (tmp_path / "test_gate.py").write_text("def test_it(teacher):\n    teacher.evaluate('qa')\n")
    answered: list[str] = []

    async def handle(asked: Asked) -> Reply:
        await asyncio.sleep(0.02)
        answered.append(asked.body["prompt"])
        return Reply(completion(answered[-1], len(answered)))

    with served(handle) as server:
        teacher = f"{{engine: openai, base_url: '{server.url}', model: m, max_concurrency: 4}}"
        (tmp_path / "distill.yaml").write_text(
            f"models:\n  teacher: {teacher}\n"
            "evals:\n  qa: {task: generation, data: gold.jsonl, input: q, target: a}\n"
        )
        command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "test_gate.py"]
        run = subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.DEVNULL)
        try:
            until = time.monotonic() + 60
            while len(answered) < N // 2 and time.monotonic() < until:
                time.sleep(0.005)
        finally:
            os.kill(run.pid, signal.SIGKILL)
            run.wait()
        before = {asked.body["prompt"] for asked in server.asked}
        assert N // 2 <= len(before) < N
        del server.asked[:]
        with closing(Store(tmp_path / ".distill", 0)) as store:
            (kept,) = store.runs()
        assert kept.n >= len(before) - AT_ONCE
        keeper = Keeper(tmp_path / ".distill", warn=print, tell=print)
        project = Project(load_config(tmp_path / "distill.yaml"), keeper=keeper)
        try:
            evaluation = project.comparison(kind=Comparison).evaluation("teacher")
        finally:
            project.close()
        again = [asked.body["prompt"] for asked in server.asked]
    assert isinstance(evaluation, MeasuredEvaluation)
    assert [(p.id, p.text) for p in evaluation.predictions] == [
        (f"e{n}", f"q{n}") for n in range(N)
    ]
    assert evaluation.from_store == N - len(again)
    assert len(again) == len(set(again))
    assert before | set(again) == {f"q{n}" for n in range(N)}
    assert len(before & set(again)) <= AT_ONCE
