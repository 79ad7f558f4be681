"""The baseline that a project names: read when it is first asked for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from pytest_distill.comparison.baseline.file import SAVE, BaselineFile, read_baseline
from pytest_distill.errors import ConfigError, one_line
from pytest_distill.evals.rows import shown_path


class NoBaselineError(ConfigError):
    """No run was accepted yet: there is no file."""


@dataclass(eq=False)
class Accepted:
    """The accepted run of a project.

    Parameters
    ----------
    path : Path, optional
        Its file; None where neither ``distill.yaml`` nor an option names one.
    required : bool
        Whether a gate that needs it keeps the student from shipping as long as there is no file.
    """

    path: Path | None = None
    required: bool = True
    _read: BaselineFile | ConfigError | None = field(default=None, init=False, repr=False)

    @property
    def shown(self) -> str:
        """The file as messages name it, from the current folder where it lies below."""
        return "none" if self.path is None else one_line(shown_path(self.path))

    @property
    def missing(self) -> bool:
        """Whether there is no file."""
        return self.path is None or isinstance(self._known, NoBaselineError)

    @property
    def looks(self) -> Mapping[str, Sequence[str]]:
        """Digest of a gold set -> the students that are known to have been judged on it."""
        return {} if isinstance(self._known, ConfigError) else self._known.looks

    @property
    def file(self) -> BaselineFile:
        """What the file holds.

        Raises
        ------
        NoBaselineError
            Where there is none.
        ConfigError
            Where it is broken.
        """
        if isinstance(self._known, ConfigError):
            raise self._known.with_traceback(None)
        return self._known

    @property
    def _known(self) -> BaselineFile | ConfigError:
        if self._read is None:
            self._read = self._look()
        return self._read

    def _look(self) -> BaselineFile | ConfigError:
        if self.path is None:
            return NoBaselineError(
                f"no baseline: save one of a run that says SHIP ({SAVE}) and name it by "
                "'baseline: {path: baseline.json, required: false}' in distill.yaml, or by "
                "--distill-baseline"
            )
        try:
            return read_baseline(self.path)
        except FileNotFoundError:
            first = (
                "; until then 'baseline: {required: false}' in distill.yaml lets a run ship "
                "without it"
                if self.required
                else ""
            )
            return NoBaselineError(
                f"{self.shown}: no baseline yet: save one of a run that says SHIP: {SAVE} "
                f"--output {self.shown}{first}"
            )
        except ConfigError as error:
            return error
