"""What the benchmarks of whole runs share: processes with their time and memory, and the machine.

Every run is a process of its own, as a user's is. It imports this checkout, wherever the package
may be installed from.
"""

from __future__ import annotations

import os
import platform
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]


@dataclass(frozen=True)
class Run:
    """What one process came to: seconds, bytes at its highest, exit status, output."""

    wall: float
    cpu: float
    peak: int
    status: int
    output: str


def environment() -> dict[str, str]:
    """Return the environment of a run: this checkout, no other plugin, one thread."""
    path = os.pathsep.join(filter(None, (str(ROOT), os.environ.get("PYTHONPATH"))))
    return {
        **os.environ,
        "PYTHONPATH": path,
        "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1",
        "HF_HUB_OFFLINE": "1",
        "OMP_NUM_THREADS": "1",
        "OPENBLAS_NUM_THREADS": "1",
    }


def run(command: Sequence[str], folder: Path) -> Run:
    """Run a command in a folder and wait for its end."""
    with (folder / "output.txt").open("w+") as output:
        started = time.perf_counter()
        process = subprocess.Popen(
            command, cwd=folder, env=environment(), stdout=output, stderr=subprocess.STDOUT
        )
        # wait4 tells of this child alone; getrusage(RUSAGE_CHILDREN) of the biggest one so far.
        _, status, used = os.wait4(process.pid, 0)
        wall = time.perf_counter() - started
        process.returncode = os.waitstatus_to_exitcode(status)
        output.seek(0)
        said = output.read()
    # Linux counts kilobytes, macOS bytes.
    peak = used.ru_maxrss * (1 if sys.platform == "darwin" else 1024)
    return Run(wall, used.ru_utime + used.ru_stime, peak, process.returncode, said)


def pytest_run(folder: Path, *arguments: str, plugin: str = "distill") -> Run:
    """Run pytest with this plugin and no other, or with `-p no:distill` without it.

    Raises
    ------
    AssertionError
        With what pytest said, unless all tests passed.
    """
    done = run([sys.executable, "-m", "pytest", "-q", "-p", plugin, *arguments], folder)
    assert done.status == 0, done.output
    return done


def machine(*packages: str) -> str:
    """Return a sentence on where this runs, with the versions of packages."""
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.exists() else []
    cpu = next((line.split(": ", 1)[1] for line in lines if line.startswith("model name")), "?")
    versions = "".join(f", {name} {version(name)}" for name in packages)
    return (
        f"{cpu}, {os.cpu_count()} cores, load average {os.getloadavg()[0]:.1f}; "
        f"Python {platform.python_version()}{versions}"
    )


def table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return a Markdown table."""
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join("| " + " | ".join(cells) + " |" for cells in lines)
