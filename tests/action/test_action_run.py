"""The action, its steps run in order in a small project of gates."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.plugin.project import FAILS, SHIPS, Project

from .runner import ROOT, Cache, Ended, Runner, pull_event
from .stand_in import BASE, FORK, FORKED_AT, HEAD, Fault, Hub

RESTORE, SAVE = "actions/cache/restore", "actions/cache/save"
UPLOAD = "actions/upload-artifact"
MARKER = "<!-- pytest-distill: gates -->"
PUSH = {"before": BASE, "after": HEAD}


class Job:
    """A job with one use of the action, in a project whose gates ship.

    Parameters
    ----------
    hub : Hub
        GitHub, where the pull request is open.
    pytester : pytest.Pytester
        Its folder is the checkout.
    temporary : Path
        The runner's own folder.
    """

    def __init__(self, hub: Hub, pytester: pytest.Pytester, temporary: Path) -> None:
        self.hub = hub
        self.project = Project(pytester)
        self.project.file("test_ship.py", SHIPS)
        self.temporary = temporary
        self.environment = {"PIP_NO_DEPS": "1"}  # they are there; pip is quicker so
        self.cache = Cache()
        hub.add_pull()

    def run(self, event_name: str = "pull_request", event: Any = None, **inputs: str) -> Ended:
        """Run the action; pip finds pytest-distill installed."""
        runner = Runner(
            self.hub,
            self.project.path,
            self.temporary,
            event_name,
            pull_event() if event is None else event,
            self.environment,
            self.cache,
        )
        given = {"gates": ".", "suite": "gates", "install": "pytest-distill"} | inputs
        return runner.run("action.yml", **given)


@pytest.fixture
def job(hub: Hub, pytester: pytest.Pytester, tmp_path_factory: pytest.TempPathFactory) -> Job:
    """Return a job in a project of recorded models that ships."""
    return Job(hub, pytester, tmp_path_factory.mktemp("runner"))


def test_gates_that_pass_pass_the_check(job: Job, hub: Hub) -> None:
    """The reports are there and say so: comment, summary, JSON, JUnit and outputs."""
    ended = job.run()
    assert not ended.failed, ended.log
    assert ended.outputs["outcome"] == "SHIP"
    assert ended.outputs["status"] == "0"
    report = Path(ended.outputs["report"])
    assert json.loads((report / "distill.json").read_text())["outcome"] == "SHIP"
    assert "testsuite" in (report / "junit.xml").read_text()
    (body,) = hub.bodies()
    assert body.startswith(MARKER)
    assert (report / "distill.md").read_text().strip() in body
    assert ended.summary == (report / "distill.md").read_text()


def test_gates_that_fail_fail_the_check_last(job: Job, hub: Hub) -> None:
    """After the store is saved, the reports are uploaded and the comment is written."""
    job.project.file("test_ship.py", FAILS)
    ended = job.run()
    assert ended.failed
    assert (ended.outputs["outcome"], ended.outputs["status"]) == ("DO NOT SHIP", "1")
    (upload,) = ended.use_of(UPLOAD)
    (lost,) = Path(upload["path"], "lost").iterdir()
    assert len(lost.read_text().splitlines()) == 3
    (body,) = hub.bodies()
    assert "DO NOT SHIP" in body
    assert len(ended.use_of(SAVE)) == 1
    assert ended.log.rstrip().endswith("DO NOT SHIP: pytest ended with status 1.")


def test_the_comment_follows_the_gates(job: Job, hub: Hub) -> None:
    """A second push that mends what failed writes the same comment anew."""
    job.project.file("test_ship.py", FAILS)
    job.run()
    job.project.file("test_ship.py", SHIPS)
    assert not job.run().failed
    (body,) = hub.bodies()
    assert "DO NOT SHIP" not in body


@pytest.mark.parametrize(
    ("file", "text", "status"),
    [
        ("conftest.py", "1 / 0", "4"),
        ("test_ship.py", "1 / 0", "2"),
        ("test_ship.py", "", "5"),
        ("pytest.ini", "[pytest]\nminversion = 99\n", "4"),
        ("conftest.py", "import os\ndef pytest_runtest_setup(): os._exit(0)", "1"),
        ("conftest.py", "import os\ndef pytest_runtest_setup(): os.kill(os.getpid(), 9)", "137"),
        ("conftest.py", "def pytest_unconfigure():\n    import os; os._exit(3)", "3"),
    ],
)
def test_a_run_without_a_verdict_fails_the_check(
    job: Job, hub: Hub, file: str, text: str, status: str
) -> None:
    """With the status of pytest; a 0 that no report vouches for is a 1, and a SHIP needs a 0."""
    job.project.file(file, text)
    ended = job.run()
    assert ended.failed
    assert ended.outputs["status"] == status, ended.log
    assert ended.outputs["outcome"] == "INCOMPLETE"
    (body,) = hub.bodies()
    assert "INCOMPLETE" in body


def test_a_report_that_cannot_be_written_fails_the_check(job: Job, hub: Hub) -> None:
    """By the status of pytest, whose last line is then no SHIP."""
    (job.temporary / "pytest-distill").write_text("in the way")
    ended = job.run()
    assert ended.failed
    assert ended.outputs["status"] not in ("", "0"), ended.log
    assert "Traceback" not in ended.log
    assert "no report" in hub.bodies()[0]


def test_lost_examples_that_cannot_be_copied_change_nothing(job: Job) -> None:
    """They are there to be looked at."""
    job.project.file(
        "conftest.py",
        """
        import os
        from pathlib import Path

        def pytest_unconfigure():
            lost = Path(".distill/lost")
            lost.mkdir(parents=True)
            os.mkfifo(lost / "x.jsonl")
        """,
    )
    ended = job.run()
    assert (ended.failed, ended.outputs["status"]) == (False, "0"), ended.log
    assert "is not uploaded" in ended.log


def test_a_report_of_an_older_job_is_not_taken_for_this_one(job: Job, hub: Hub) -> None:
    """A runner's folders may outlive a job."""
    shipped = job.run()
    job.project.file("pytest.ini", "[pytest]\nminversion = 99\n")
    ended = job.run()
    assert ended.outputs["outcome"] == "INCOMPLETE"
    assert not list(Path(shipped.outputs["report"]).glob("distill.*"))
    assert "no report" in hub.bodies()[0]


@pytest.mark.parametrize(
    ("install", "lean", "installed"),
    [
        ("", "false", [[str(ROOT)]]),
        (" \n", "false", [[str(ROOT)]]),
        ("-c constraints.txt\n.[gates]", "false", [["-c", "constraints.txt", ".[gates]"]]),
        ("", "true", [["-r", f"{ROOT}/requirements/lean.txt"], ["--no-deps", str(ROOT)]]),
    ],
)
def test_the_checkout_of_the_action_is_installed_unless_told(
    job: Job, install: str, lean: str, installed: list[list[str]]
) -> None:
    """Then plugin and action are of one version; lean, torch and transformers are left out."""
    job.project.file(
        "bin/python",
        f"""\
        #!/bin/sh
        [ "$1" = -m ] && [ "$2" = pip ] || exec {sys.executable} "$@"
        printf '%s\\n' "$@" end >> asked
        """,
    ).chmod(0o755)
    job.environment["PATH"] = f"{job.project.path / 'bin'}{os.pathsep}{os.environ['PATH']}"
    job.run(install=install, lean=lean)
    calls = (job.project.path / "asked").read_text().removesuffix("\nend\n").split("\nend\n")
    common = ["-m", "pip", "install", "--disable-pip-version-check"]
    assert [call.splitlines() for call in calls] == [[*common, *given] for given in installed]


def test_what_cannot_be_installed_fails_the_check(job: Job, hub: Hub) -> None:
    """The gates did not run, and the comment says so in place of an older SHIP."""
    hub.add_comment(f"{MARKER}\nSHIP")
    ended = job.run(install="./no-such-folder")
    assert ended.failed
    assert ended.outputs["status"] == ""
    assert "The gates did not run." in ended.log
    assert "pytest did not run" in hub.bodies()[0]


@pytest.mark.parametrize(("gates", "fails"), [(SHIPS, False), (FAILS, True)])
@pytest.mark.parametrize("status", [403, 502])
def test_a_comment_that_fails_changes_no_check(
    job: Job, hub: Hub, gates: str, fails: bool, status: int
) -> None:
    """Neither a red one nor a green one."""
    job.project.file("test_ship.py", gates)
    hub.faults = [Fault("POST /repos", status)]
    ended = job.run()
    assert ended.failed == fails
    assert "::warning title=pytest-distill::Not commented" in ended.log


@pytest.mark.parametrize(("gates", "fails"), [(SHIPS, False), (FAILS, True)])
def test_on_a_fork_the_gates_alone_decide(job: Job, hub: Hub, gates: str, fails: bool) -> None:
    """The summary and the artifact have the report, and the log says why there is no comment."""
    job.project.file("test_ship.py", gates)
    ended = job.run(event=pull_event(repository=FORK))
    assert ended.failed == fails
    assert hub.asked("POST") + hub.asked("PATCH") == []
    assert "::notice title=pytest-distill::The pull request comes from a fork" in ended.log
    assert "SHIP" in ended.summary
    (upload,) = ended.use_of(UPLOAD)
    assert Path(upload["path"], "distill.md").is_file()


def test_two_suites_have_two_of_everything(job: Job, hub: Hub) -> None:
    """Comment, artifact and caches."""
    ends = [job.run(suite=name) for name in ("de", "en")]
    assert len(hub.bodies()) == 2
    for action, key in ((UPLOAD, "name"), (SAVE, "key"), (RESTORE, "key")):
        first, second = ([given[key] for given in ended.use_of(action)] for ended in ends)
        assert set(first).isdisjoint(second)
    assert ends[0].outputs["report"] != ends[1].outputs["report"]


def test_arguments_are_read_as_a_shell_reads_them(job: Job) -> None:
    """They come last, so that they win, and begin with whatever they like."""
    job.project.file("test_ship.py", FAILS)
    ended = job.run(arguments="-k 'not keeps' --distill-model \"student=a b\"")
    assert "-k 'not keeps' --distill-model 'student=a b'" in ended.log
    assert ended.outputs["outcome"] == "INCOMPLETE"


def test_arguments_that_no_shell_could_read_are_refused(job: Job) -> None:
    """In one line."""
    ended = job.run(arguments="-k 'not keeps")
    assert ended.failed
    assert "::error title=pytest-distill::Input arguments: No closing quotation" in ended.log
    assert "Traceback" not in ended.log


@pytest.mark.parametrize("input", ["suite", "gates", "arguments", "install", "store"])
def test_no_input_is_a_command(job: Job, input: str) -> None:
    """Inputs may come from a matrix, a title, the name of a branch."""
    job.run(**{input: '$(touch pwned)`touch pwned`; touch pwned; "$(touch pwned)" && touch pwned'})
    assert not (job.project.path / "pwned").exists()


def test_the_environment_of_a_job_stands_in_for_nothing(job: Job) -> None:
    """Not its PYTHON variables, nor modules of the repository with the names of ours."""
    for name in ("github", "gates", "plan", "json", "subprocess"):
        job.project.file(f"shadow/{name}.py", "1 / 0")
        job.project.file(f"{name}.py", "1 / 0")
    job.project.file("shadow/json.py", "from _json import *")
    job.environment |= {"PYTHONSAFEPATH": "1", "PYTHONOPTIMIZE": "2", "PYTHONHASHSEED": "0"}
    ended = job.run()
    assert not ended.failed, ended.log


def test_the_store_is_kept_under_a_key_that_is_new(job: Job) -> None:
    """It holds the run and its attempt, and what is restored begins alike."""
    ended = job.run(store="kept")
    store, _ = ended.use_of(RESTORE)
    assert store == {
        "path": "kept",
        "key": "pytest-distill-store/gates/55-2",
        "restore-keys": "pytest-distill-store/gates/",
    }
    (saved,) = ended.use_of(SAVE)
    assert saved == {"path": "kept", "key": store["key"]}
    assert "--distill-cache kept" in ended.log


def test_the_reports_are_uploaded_under_the_name_of_the_suite(job: Job) -> None:
    """A second attempt takes the place of the first."""
    ended = job.run(suite="my gates", install="./no-such-folder")
    (upload,) = ended.use_of(UPLOAD)
    assert upload["name"].startswith("pytest-distill-my-gates-")
    assert upload["path"] == ended.outputs["report"]
    assert upload["overwrite"] == "true"


def test_the_baseline_is_that_of_the_merge_base(job: Job, hub: Hub) -> None:
    """Else the newest of the base branch."""
    _, baseline = job.run(before="Install").use_of(RESTORE)
    wanted = f"pytest-distill-baseline/gates/main/{FORKED_AT}/"
    assert baseline["restore-keys"].split() == [wanted, "pytest-distill-baseline/gates/main/"]
    hub.merge_base = None
    _, baseline = job.run(before="Install").use_of(RESTORE)
    assert baseline["restore-keys"].split()[0] == f"pytest-distill-baseline/gates/main/{BASE}/"


def test_a_pull_request_saves_no_baseline(job: Job) -> None:
    """What is not merged is not accepted."""
    assert [given["key"] for given in job.run().use_of(SAVE)] == ["pytest-distill-store/gates/55-2"]


def test_a_push_that_ships_saves_the_baseline_of_its_branch(job: Job, hub: Hub) -> None:
    """Under the commit and the run; the gates say which `distill.yaml` they are of."""
    ended = job.run("push", PUSH)
    assert not ended.failed, ended.log
    _, saved = ended.use_of(SAVE)
    assert saved["key"] == f"pytest-distill-baseline/gates/main/{HEAD}/55-2"
    kept = json.loads(Path(saved["path"]).read_text())
    assert (kept["outcome"], kept["commit"]) == ("SHIP", HEAD)
    _, restored = ended.use_of(RESTORE)
    assert restored["path"] == saved["path"]
    assert restored["restore-keys"].split()[0] == f"pytest-distill-baseline/gates/main/{BASE}/"
    assert hub.bodies() == []


def test_a_distill_yaml_below_the_checkout_is_found(job: Job) -> None:
    """Also where pytest's rootdir is the folder of the gates."""
    below = job.project.path / "models" / "gates"
    below.mkdir(parents=True)
    for path in [p for p in job.project.path.iterdir() if p.is_file()]:
        path.rename(below / path.name)
    (below / "pytest.ini").write_text("[pytest]\n")
    ended = job.run("push", PUSH, gates="models/gates")
    assert [Path(given["path"]).name for given in ended.use_of(SAVE)][1:] == ["baseline.json"]


def test_a_pull_request_is_compared_with_what_was_saved(job: Job) -> None:
    """The run of the base branch saves it, that of the pull request restores it."""
    job.run("push", PUSH)
    pulled = job.run()
    assert (pulled.outputs["outcome"], pulled.failed) == ("SHIP", False), pulled.log
    assert f"--distill-baseline {job.temporary}" in pulled.log
    assert HEAD in (Path(pulled.outputs["report"]) / "distill.json").read_text()


@pytest.mark.parametrize("gates", [FAILS, "def test_x(): pass"])
def test_a_push_that_does_not_ship_saves_no_baseline(job: Job, gates: str) -> None:
    """What was accepted before stays what pull requests are compared with."""
    job.project.file("test_ship.py", gates)
    assert len(job.run("push", PUSH).use_of(SAVE)) == 1


def test_a_baseline_that_cannot_be_kept_turns_no_check_red(job: Job) -> None:
    """Such as of models whose answers are kept nowhere; the log says why."""
    job.project.use_own_engine()
    ended = job.run("push", PUSH)
    assert (ended.outputs["outcome"], ended.failed) == ("SHIP", False)
    assert "::warning title=pytest-distill::No baseline is kept: " in ended.log
    assert len(ended.use_of(SAVE)) == 1


def test_a_branch_with_odd_letters_makes_a_key(job: Job) -> None:
    """The cache refuses a comma, and a slash would make the branch `a` a beginning of `a/b`."""
    event = pull_event()
    event["pull_request"]["base"]["ref"] = "release/1,2"
    _, baseline = job.run(event=event, before="Install").use_of(RESTORE)
    assert all(key.count("/") in (3, 4) for key in baseline["restore-keys"].split())
    assert "," not in "".join(baseline.values())


def test_a_merge_queue_compares_with_the_branch_it_queues_for(job: Job, hub: Hub) -> None:
    """There is no pull request to comment on."""
    event = {"merge_group": {"base_ref": "refs/heads/main", "base_sha": BASE, "head_sha": HEAD}}
    ended = job.run("merge_group", event)
    _, baseline = ended.use_of(RESTORE)
    assert f"pytest-distill-baseline/gates/main/{BASE}/" in baseline["restore-keys"]
    assert hub.asked("POST") == []
