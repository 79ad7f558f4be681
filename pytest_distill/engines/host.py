"""The machine that an engine runs on: what its processor is called, and what this process holds."""

from __future__ import annotations

import platform
import re
import sys
from pathlib import Path

_STATUS = Path("/proc/self/status")
_RESET = Path("/proc/self/clear_refs")


def processor() -> str:
    """Return the processor's name, as the kernel or Python tells it."""
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.is_file():
        named = re.search(r"^model name\s*:\s*(.+)$", cpuinfo.read_text(), re.MULTILINE)
        if named:
            return named[1].strip()
    return platform.processor() or platform.machine()


def forget_peak() -> None:
    """Let `peak_memory` start from what the process holds now, where the kernel can do that.

    Linux can (proc(5), ``clear_refs``: 5). Elsewhere the peak stays that of the whole process
    life, which is never less.
    """
    if _RESET.exists():
        try:
            _RESET.write_text("5")
        except OSError:  # a container may forbid it
            return


def peak_memory() -> int:
    """Return the most bytes of memory that this process held, all of Python's included."""
    if _STATUS.is_file():
        peak = re.search(r"^VmHWM:\s*(\d+) kB$", _STATUS.read_text(), re.MULTILINE)
        if peak:
            return int(peak[1]) * 1024
    import resource  # not on Windows

    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return most if sys.platform == "darwin" else most * 1024  # macOS counts bytes, others kB
