"""Draws the terminal's report: ``python docs/images/report.py``, after a run of the example suite.

The pictures are of a real run, in a pseudo-terminal of 80 and of 120 columns, in light and in dark.
"""

from __future__ import annotations

import io
import os
import pty
import subprocess
import sys
from pathlib import Path

from rich.console import Console
from rich.terminal_theme import TerminalTheme
from rich.text import Text

HERE = Path(__file__).parent
SUITE = HERE.parents[1] / "example_suite"
COLOURS = [  # black, red, green, yellow, blue, magenta, cyan, white
    *((27, 31, 36), (207, 34, 46), (26, 127, 55), (154, 103, 0)),
    *((9, 105, 218), (130, 80, 223), (27, 124, 131), (110, 119, 129)),
]
BRIGHT = [
    *((110, 118, 129), (255, 123, 114), (63, 185, 80), (210, 153, 34)),
    *((88, 166, 255), (188, 140, 255), (57, 197, 207), (177, 186, 196)),
]
THEMES = {
    "light": TerminalTheme((255, 255, 255), (31, 35, 40), COLOURS),
    "dark": TerminalTheme((13, 17, 23), (201, 209, 217), BRIGHT),
}
WIDTHS = (80, 120)
# In a font that the reader has: one of a server would tell it who looks at the picture.
PICTURE = """<svg viewBox="0 0 {terminal_width} {terminal_height}" \
xmlns="http://www.w3.org/2000/svg" role="img" aria-label="The report on a terminal">
<style>
.{unique_id}-matrix {{
font: {char_height}px/{line_height}px ui-monospace, Menlo, Consolas, monospace; }}
{styles}
</style>
<rect fill="BACKGROUND" width="100%" height="100%"/>
{backgrounds}
<g class="{unique_id}-matrix">
{matrix}
</g>
</svg>
"""


def main() -> int:
    """Run the suite once for each width, and draw what it printed once for each theme."""
    for width in WIDTHS:
        shown = report(width)
        for name, theme in THEMES.items():
            console = Console(record=True, width=width, file=io.StringIO())
            console.print(Text.from_ansi(shown, no_wrap=True), overflow="ignore", crop=False)
            path = HERE / f"report-{width}-{name}.svg"
            format = PICTURE.replace("BACKGROUND", theme.background_color.hex)
            svg = console.export_svg(theme=theme, code_format=format, unique_id="report")
            path.write_text(svg, encoding="utf-8")
    return 0


def report(width: int) -> str:
    """Return what pytest prints below the heading of the report, with its colours."""
    main_end, terminal = pty.openpty()
    command = [sys.executable, "-m", "pytest", SUITE.name, "--distill-report", "--color=yes"]
    with subprocess.Popen(  # noqa: S603 (of this repository)
        command,
        stdout=terminal,
        stderr=terminal,
        cwd=SUITE.parent,
        env={**os.environ, "COLUMNS": str(width), "LINES": "200"},
    ):
        os.close(terminal)
        printed = b""
        try:
            while part := os.read(main_end, 65536):
                printed += part
        except OSError:  # the other end is closed
            pass
    text = printed.decode().replace("\r\n", "\n")
    return text[text.index("distill report") :].partition("\n")[2].rpartition("\n\x1b")[0]


if __name__ == "__main__":
    sys.exit(main())
