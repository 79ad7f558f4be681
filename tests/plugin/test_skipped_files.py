from __future__ import annotations

from pathlib import Path

import pytest

from .project import HEAD, Project, Run, decision_of, report_of, said, write_gates

REPORTS = ("--distill-report", "--distill-json", "out.json")
KEPT = "assert_quality_retained(0.9)"

SKIPS = {
    "skip": "pytest.skip('no GPU', allow_module_level=True)",
    "importorskip": "pytest.importorskip('no_such_module')",
    "SkipTest": "import unittest\nraise unittest.SkipTest('no GPU')",
    "in a class": "class TestIt:\n    pytest.skip('no GPU', allow_module_level=True)",
}


def skipping(how: str = "skip") -> str:
    """Return a test file that skips itself, without a word of gates."""
    return f"import pytest\n{SKIPS[how]}\ndef test_odd(comparison): pass\n"


def not_shipped(result: pytest.RunResult, reason: str) -> None:
    """Check that a run is INCOMPLETE for this reason, and does not exit with 0."""
    assert decision_of(result) == ("INCOMPLETE", reason), said(result)
    assert result.ret == pytest.ExitCode.TESTS_FAILED


@pytest.mark.parametrize("how", SKIPS)
def test_a_file_that_skips_itself_is_named(project: Project, run: Run, how: str) -> None:
    """Nobody knows which gates are in it, whatever words stand there."""
    write_gates(project, kept=KEPT)
    project.file("test_gpu.py", skipping(how))
    not_shipped(run(*REPORTS), "1 file skipped unread: test_gpu.py")


def test_workers_tell_it(project: Project, run: Run) -> None:
    """With two xdist workers it is told once."""
    write_gates(project, kept=KEPT)
    project.file("test_gpu.py", skipping())
    result = run("-n", "2", *REPORTS)
    not_shipped(result, "1 file skipped unread: test_gpu.py")
    assert len([line for line in report_of(result) if "skipped unread, so" in line]) == 1


@pytest.mark.parametrize("encoding", ["latin-1", "utf-7"])
def test_the_encoding_of_the_file_does_not_matter(
    project: Project, run: Run, encoding: str
) -> None:
    """What cannot be read as UTF-8 is named as well."""
    write_gates(project, kept=KEPT)
    text = f"# coding: {encoding}\n# für die GPU\n{skipping()}"
    (project.path / "test_gpu.py").write_bytes(text.encode(encoding))
    not_shipped(run(*REPORTS), "1 file skipped unread: test_gpu.py")


def test_the_rootdir_does_not_matter(project: Project, run: Run, tmp_path: Path) -> None:
    """A file outside of the rootdir is named by its whole path."""
    write_gates(project, kept=KEPT)
    project.file("test_gpu.py", skipping())
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    result = run(*REPORTS, "--rootdir", str(elsewhere), str(project.path))
    assert decision_of(result)[0] == "INCOMPLETE"
    assert project.json()["reason"] == "1 file skipped unread"
    assert project.json()["culprits"] == [f"{project.path}/test_gpu.py"]


def test_a_package_that_skips_itself_is_named(project: Project, run: Run) -> None:
    """A skip in `__init__.py` takes all files of the package with it."""
    write_gates(project, kept=KEPT)
    project.file("gpu/__init__.py", skipping())
    project.file("gpu/test_gpu.py", HEAD + "def test_odd(): assert_flips(0.2)\n")
    result = run(*REPORTS)
    assert decision_of(result)[0] == "INCOMPLETE"
    assert "skipped unread" in decision_of(result)[1]
    assert result.ret == pytest.ExitCode.TESTS_FAILED


def test_a_folder_that_a_hook_skips_is_named(project: Project, run: Run) -> None:
    """A folder whose collection is skipped, by a hook for one, is not looked into either."""
    write_gates(project, kept=KEPT)
    project.file(
        "gpu/conftest.py",
        "import pytest\ndef pytest_collect_file(): pytest.skip('no', allow_module_level=True)\n",
    )
    project.file("gpu/distill.yaml", (project.path / "distill.yaml").read_text())
    project.file("gpu/test_gpu.py", HEAD + "def test_odd(): assert_flips(0.2)\n")
    not_shipped(run(*REPORTS), "1 file skipped unread: gpu")


def test_a_file_without_a_distill_yaml_has_no_gates(project: Project, run: Run) -> None:
    """What skips itself beside the gates holds up no shipping."""
    (project.path / "distill.yaml").unlink()
    project.save("gates/distill.yaml")
    for name in ("gold", "teacher", "student", "sft"):
        (project.path / f"{name}.jsonl").rename(project.path / f"gates/{name}.jsonl")
    write_gates(project, file="gates/test_ship.py", kept=KEPT)
    project.file("tests/test_gpu.py", skipping())
    result = run(*REPORTS)
    assert decision_of(result) == ("SHIP", "")


def test_the_line_that_is_printed_allows_it(project: Project, run: Run) -> None:
    """Copied into `distill.yaml`, the line lets the run ship, and the report still says so."""
    write_gates(project, kept=KEPT)
    project.file("gpu/test_gpu.py", skipping())
    project.file("gpu/test_[one].py", skipping())
    first = run(*REPORTS)
    not_shipped(first, "2 files skipped unread: gpu/test_[one].py, gpu/test_gpu.py")
    (line,) = [line for line in report_of(first) if line.startswith("  allow_skipped: ")]
    with (project.path / "distill.yaml").open("a") as file:
        file.write(f"{line.strip()}\n")
    second = run(*REPORTS)
    assert decision_of(second) == ("SHIP", ""), said(second)
    remark = "skipped unread, as allow_skipped says: gpu/test_[one].py, gpu/test_gpu.py"
    assert remark in report_of(second)
    assert project.json()["remarks"] == [remark]


def test_the_line_keeps_what_is_allowed_already(project: Project, run: Run) -> None:
    """It takes the place of the one that stands there."""
    project.config["allow_skipped"] = "gpu/*.py"
    project.save()
    write_gates(project, kept=KEPT)
    project.file("gpu/test_gpu.py", skipping())
    project.file("test_other.py", skipping())
    result = run(*REPORTS)
    not_shipped(result, "1 file skipped unread: test_other.py")
    assert '  allow_skipped: ["gpu/*.py", "test_other.py"]' in report_of(result)


@pytest.mark.parametrize(
    ("pattern", "allowed"),
    [
        ("gpu/deep/test_gpu.py", True),
        ("./gpu/deep/test_gpu.py", True),
        ("gpu/*/test_*.py", True),
        ("**/test_gpu.py", True),
        ("gpu/**", True),
        ("**", True),
        ("gpu/**/deep/test_gpu.py", True),
        ("test_gpu.py", False),
        ("*.py", False),
        ("gpu/*.py", False),
        ("gpu", False),
        ("GPU/deep/test_gpu.py", False),
        ("gpu/deep/test_gpu", False),
    ],
)
def test_what_a_glob_allows(project: Project, run: Run, pattern: str, *, allowed: bool) -> None:
    """`*` stays in a folder, `**` is any depth, and the whole path has to match."""
    project.config["allow_skipped"] = [pattern]
    project.save()
    write_gates(project, kept=KEPT)
    project.file("gpu/deep/test_gpu.py", skipping())
    assert (decision_of(run(*REPORTS))[0] == "SHIP") is allowed


@pytest.mark.parametrize("pattern", ["", "/gates/test_gpu.py", 3])
def test_a_wrong_glob_is_an_error(project: Project, run: Run, pattern: object) -> None:
    """With file, line and key."""
    project.config["allow_skipped"] = [pattern]
    project.save()
    write_gates(project, kept=KEPT)
    result = run(*REPORTS)
    result.stdout.re_match_lines([r".*distill.yaml:\d+: allow_skipped\[0\]: .*"])
    assert result.ret != pytest.ExitCode.OK


def test_a_glob_starts_in_the_folder_of_its_distill_yaml(project: Project, run: Run) -> None:
    """Also where `--distill-config` takes it from elsewhere."""
    project.config["allow_skipped"] = ["../tests/test_gpu.py"]
    for entry in project.models.values():
        entry["predictions"] = f"../{entry['predictions']}"
    project.evals["reviews"]["data"] = "../gold.jsonl"
    (project.path / "distill.yaml").unlink()
    project.save("conf/distill.yaml")
    write_gates(project, file="tests/test_ship.py", kept=KEPT)
    project.file("tests/test_gpu.py", skipping())
    result = run(*REPORTS, "--distill-config", "conf/distill.yaml")
    assert decision_of(result) == ("SHIP", ""), said(result)
    project.file("tests/test_other.py", skipping())
    result = run(*REPORTS, "--distill-config", "conf/distill.yaml")
    not_shipped(result, "1 file skipped unread: tests/test_other.py")


def test_a_distill_yaml_that_cannot_be_read_allows_nothing(project: Project, run: Run) -> None:
    """The file that skipped itself is named, and the broken `distill.yaml` does not break it."""
    project.file("gpu/distill.yaml", "allow_skipped: ['**'\n")
    project.file("gpu/test_gpu.py", skipping())
    write_gates(project, kept=KEPT)
    told = "1 file skipped unread: gpu/test_gpu.py; 1 distill.yaml not readable"
    not_shipped(run(*REPORTS), told)


def test_a_strict_run_prints_the_line_too(project: Project, run: Run) -> None:
    """With `distill_strict` alone there are no tables, and the line to add is there."""
    project.file("pytest.ini", "[pytest]\ndistill_strict = true\n")
    write_gates(project, kept=KEPT)
    project.file("test_gpu.py", skipping())
    result = run()
    result.stdout.fnmatch_lines(['  allow_skipped: ["test_gpu.py"]', "INCOMPLETE: 1 file*"])
