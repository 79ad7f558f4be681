"""Both sides of the benchmarks with lm-evaluation-harness's tasks, their models timed apart."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

from common import SMOLLM2, our_engine, timed

from pytest_distill.evals.lm_eval import harness

Seconds = tuple[float, float]
"""Of wall time and of CPU time."""


class Model:
    """A model's methods, timed: what is left of a run is the work around it."""

    def __init__(self, of: Any, *names: str) -> None:
        self.spent: Seconds = (0.0, 0.0)
        for name in names:
            setattr(of, name, partial(self._run, getattr(of, name)))

    def _run(self, method: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        found, spent = timed(lambda: _all(method(*args, **kwargs)))
        self.spent = self.spent[0] + spent[0], self.spent[1] + spent[1]
        return found

    def timed(self, run: Callable[[], Any]) -> tuple[Any, dict[str, Seconds]]:
        """Return what `run` returns, and what it took: all of it, and the model alone."""
        self.spent = (0.0, 0.0)
        with harness.quiet():
            found, whole = timed(run)
        return found, {"all": whole, "model": self.spent}


def _all(found: Any) -> Any:
    """Return a list of what comes one by one."""
    return list(found) if isinstance(found, Iterator) else found


class Sides:
    """Both models, loaded."""

    def __init__(self, chosen: argparse.Namespace, batch_size: int) -> None:
        from lm_eval.models.huggingface import HFLM

        with harness.quiet():
            self.hflm = HFLM(pretrained=str(SMOLLM2), device="cpu", batch_size=batch_size)
        self.engine = our_engine(SMOLLM2, chosen)
        kinds = ("loglikelihood", "loglikelihood_rolling", "generate_until")
        self.theirs, self.ours = Model(self.hflm, *kinds), Model(self.engine, "predict")
