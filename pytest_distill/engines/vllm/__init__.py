"""A model that vLLM runs on this machine, in a process of its own.

vLLM is imported in that process alone; here a model is found, and texts are made into tokens.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cached_property
from importlib import import_module
from importlib.metadata import packages_distributions, version
from typing import TYPE_CHECKING, Any

from pytest_distill._util.packages import Package
from pytest_distill.engines.spec import ModelSpec
from pytest_distill.engines.transformers.checkpointed import CheckpointEngine
from pytest_distill.engines.transformers.options import Spec
from pytest_distill.engines.vllm.options import VLLMOptions
from pytest_distill.errors import ModelError
from pytest_distill.evals.requests import Prediction, Request
from pytest_distill.evals.tasks.decoding import GenerationRequest
from pytest_distill.evals.tasks.multiple_choice import ChoiceRequest
from pytest_distill.evals.tasks.perplexity import PerplexityRequest

if TYPE_CHECKING:
    from pytest_distill.engines.vllm.loading import Plan, RunningModel

REVISION = 1
"""Raised when this engine's own code changes what it answers, so that nothing older is believed."""

_PACKAGE = Package("vllm", "vllm", "vllm")
_HANDLERS: Mapping[type[Request], tuple[str, str]] = {
    ChoiceRequest: ("scoring", "score_choices"),
    PerplexityRequest: ("scoring", "score_texts"),
    GenerationRequest: ("generation", "generate"),
}
"""Kind of request -> module of this folder, and its function of a running model and requests."""


class VLLMEngine(CheckpointEngine):
    """Runs one checkpoint with vLLM.

    Parameters
    ----------
    spec : ModelSpec
        The model's entry in ``distill.yaml``. Nothing is read before it is needed.

    Raises
    ------
    ModelError
        Where vLLM, torch or transformers is not installed.

    Attributes
    ----------
    notes : list of str
        Sentences about how the predictions came about that a reader should see.

    Notes
    -----
    Predictions don't depend on what else is asked at the same time, up to rounding.
    """

    Options = VLLMOptions
    name = "vllm"

    def __init__(self, spec: ModelSpec) -> None:
        super().__init__(spec)
        if not _PACKAGE.is_installed:
            raise ModelError(_PACKAGE.lacking(f"model '{spec.name}': engine vllm"))
        self.options = spec.options_as(VLLMOptions)
        self._running: RunningModel | None = None

    @classmethod
    def _spec_of(cls, spec: ModelSpec) -> Spec:
        return Spec.with_options(spec, spec.options_as(VLLMOptions).files)

    @classmethod
    def weights_named(cls, spec: ModelSpec) -> tuple[object, ...]:
        """Return what names the weights of a model, before any file is looked at."""
        # Quantised while they are loaded they are others.
        return (*super().weights_named(spec), spec.options_as(VLLMOptions).quantization)

    @property
    def identity(self) -> dict[str, Any]:
        """What makes the predictions: the model's bytes, the libraries, dtype and arguments."""
        return {
            "model": self.checkpoint.digest,
            "engine": self.name,
            "revision": REVISION,
            "versions": {
                "vllm": _version(),
                **{name: version(name) for name in ("torch", "transformers")},
            },
            "dtype": self.options.dtype,
            "args": self.options.answering,
        }

    def predict(self, requests: Sequence[Request]) -> Iterator[Prediction]:
        """Yield one prediction a request, each as soon as vLLM is done with it, in any order.

        Parameters
        ----------
        requests : sequence of Request
            All of one kind.

        Raises
        ------
        ModelError
            When the model can't be loaded, can't do what is asked, an example is too long, or vLLM
            comes to an end.
        """
        if requests:
            from pytest_distill.engines.vllm.process import VLLMFailedError, answer_error

            answer = self._handler(requests)
            with self._in_model(f"it answers {requests[0].task}"):
                answered: set[str] = set()
                try:
                    for prediction in answer(self._load(), requests):
                        answered.add(prediction.id)
                        yield prediction
                except VLLMFailedError as error:
                    self.close()
                    left = next((r.id for r in requests if r.id not in answered), requests[0].id)
                    raise answer_error(self.spec, left, str(error)) from None

    def close(self) -> None:
        """End the process that holds the model, and all that it started."""
        running, self._running = self._running, None
        if running is not None:
            running.process.close()

    @cached_property
    def _plan(self) -> Plan:
        from pytest_distill.engines.vllm.loading import planned

        with self._in_model("its architecture is looked at"):
            return planned(
                self.spec,
                self.options,
                self.checkpoint,
                self._tokenizer,
                self._run_clock,
                self.notes,
            )

    def _load(self) -> RunningModel:
        if self._running is None or self._running.process.ended:
            from pytest_distill.engines.vllm.scoring import examine

            plan, dtype = self._plan, self.info.dtype
            self._running = self._loaded_unchanged(lambda: self._load_now(plan, dtype))
            examine(self._running, dtype)
        return self._running

    def _load_now(self, plan: Plan, dtype: str | None) -> RunningModel:
        from pytest_distill.engines.vllm.loading import load

        return load(self.spec, self.options, self.checkpoint, plan, dtype)

    def _handler(self, requests: Sequence[Request]) -> Callable[..., Iterator[Prediction]]:
        """Return the function that answers these requests; ModelError where there is none."""
        kind = type(requests[0])
        if any(type(request) is not kind for request in requests):
            raise TypeError("the requests of one call must all be of one kind")
        if kind not in _HANDLERS:
            raise ModelError(
                f"model '{self.spec.name}' runs with vLLM, which has no way here to do the task "
                f"{kind.task} ({kind.__name__}); it does "
                f"{', '.join(known.task for known in _HANDLERS)}: set 'engine: transformers'"
            )
        module, name = _HANDLERS[kind]
        found: Callable[..., Iterator[Prediction]] = getattr(
            import_module(f"{__name__}.{module}"), name
        )
        return found


def _version() -> str:
    """Return vLLM's version; builds for other devices are packages of other names."""
    names = packages_distributions().get(_PACKAGE.module) or [_PACKAGE.name]
    return version(names[0])
