"""The default engine: transformers, on the CPU or on CUDA.

torch and transformers are imported when a model is looked into or loaded, not with this module.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

from pytest_distill.engines import Memory, ModelSpec, Timing, TokenLikeness
from pytest_distill.engines.transformers.checkpointed import CheckpointEngine
from pytest_distill.engines.transformers.options import Spec, TransformersOptions
from pytest_distill.engines.transformers.quantisation import versions
from pytest_distill.errors import ModelError
from pytest_distill.evals.requests import GoldText, Prediction, Request

if TYPE_CHECKING:
    from pytest_distill.engines.transformers.loaded import Loaded

REVISION = 5
"""Raised when this engine's own code changes what it answers, so that nothing older is believed."""


class TransformersEngine(CheckpointEngine):
    """Runs one checkpoint with transformers.

    Parameters
    ----------
    spec : ModelSpec
        The model's entry in ``distill.yaml``. Nothing is read before it is needed.

    Raises
    ------
    ModelError
        Where torch or transformers is not installed.

    Attributes
    ----------
    notes : list of str
        Sentences about how the predictions came about that a reader should see: a model that
        can't be run the fast way, a batch that didn't fit into memory.

    Notes
    -----
    Predictions don't depend on what else is in a batch, up to rounding.
    """

    Options = TransformersOptions
    name = "transformers"

    def __init__(self, spec: ModelSpec) -> None:
        super().__init__(spec)
        self._loaded: Loaded | None = None

    @property
    def identity(self) -> dict[str, Any]:
        """What makes the predictions: the model's bytes, the libraries, dtype and load settings."""
        return {
            "model": self.checkpoint.digest,
            "engine": self.name,
            "revision": REVISION,
            "versions": {
                **{name: version(name) for name in ("transformers", "torch")},
                **versions(self.spec, self.checkpoint.config),
            },
            "dtype": self.spec.options.dtype,
            "load": dict(self.spec.options.load),
        }

    @cached_property
    def _tokenizer(self) -> Any:
        """The tokenizer alone; the model's own where that is loaded."""
        if self._loaded is not None:
            return self._loaded.tokenizer
        return super()._tokenizer

    @property
    def model(self) -> Any:
        """The transformers model, on its device and in eval mode; loaded at first use."""
        return self._load().model

    @property
    def tokenizer(self) -> Any:
        """The transformers tokenizer; loaded, with its model, at first use."""
        return self._load().tokenizer

    def predict(self, requests: Sequence[Request]) -> Iterator[Prediction]:
        """Yield one prediction a request, each as soon as its batch is done, in any order.

        Parameters
        ----------
        requests : sequence of Request
            All of one kind.

        Raises
        ------
        ModelError
            When the model can't be loaded, can't do what is asked, an example is too long, or what
            the model read changed it.
        """
        if requests:
            from pytest_distill.engines.transformers.trials import refuse_changed

            with self._in_model(f"it answers {requests[0].task}"):
                yield from self._answer(requests)(self._load(), requests)
                if self._loaded is not None:
                    refuse_changed(self._loaded)

    @property
    def setting(self) -> dict[str, Any]:
        """The device and its name, the data type and the CPU threads; the model isn't loaded."""
        from pytest_distill.engines.transformers import measuring

        return measuring.setting(self.spec, self.info.dtype)

    @property
    def placement(self) -> dict[str, Any]:
        """What `setting` says of the devices, as it is while the model is loaded; else nothing."""
        if self._loaded is None:
            return {}
        from pytest_distill.engines.transformers import measuring

        return measuring.placement(self._loaded)

    def time_one(self, request: Request) -> Timing:
        """Answer one request alone, and return how long that took."""
        from pytest_distill.engines.transformers import measuring

        with self._in_model("it is timed"):
            return measuring.time_one(self._load(), self._answer([request]), request)

    def time_all(self, requests: Sequence[Request], batch_tokens: int) -> float:
        """Return how many seconds all requests take in batches of at most `batch_tokens`."""
        from pytest_distill.engines.transformers import measuring

        with self._in_model("it is timed"):
            return measuring.time_all(self._load(), self._answer(requests), requests, batch_tokens)

    def memory(self, requests: Sequence[Request]) -> Memory:
        """Return the bytes of the weights, and the most that was held while the requests ran.

        On the CPU a process of its own loads the model and answers them: what else was loaded
        here doesn't count.
        """
        from pytest_distill.engines.transformers import measuring

        if measuring.on_cpu(self.spec):
            return measuring.memory_apart(self.spec, requests, _memory_here)
        return self.memory_here(requests)

    def memory_here(self, requests: Sequence[Request]) -> Memory:
        """Return what `memory` does, of this process."""
        from pytest_distill.engines.transformers import measuring

        with self._in_model("its memory is measured"):
            return measuring.memory(self._load(), self._answer(requests), requests)

    def token_likeness(self, teacher: Any, texts: Sequence[GoldText]) -> Iterator[TokenLikeness]:
        """Yield how alike the model is to its teacher on every text, token by token.

        Parameters
        ----------
        teacher : TransformersEngine, or mapping of str to Captured
            The teacher's engine, whose model is loaded beside this one; or by id what was captured
            of the teacher elsewhere.
        texts : sequence of GoldText
            What is compared, in any number.

        Raises
        ------
        ModelError
            Where the two cannot be compared token by token.
        """
        from pytest_distill.engines.transformers.likeness.comparing import compare, compare_captured

        if isinstance(teacher, TransformersEngine):
            with self._in_model(f"it is compared with '{teacher.spec.name}'"):
                yield from compare(self._causal(), teacher._causal(), texts)
        elif isinstance(teacher, Mapping):
            with self._in_model("it is compared with what was captured of its teacher"):
                yield from compare_captured(self._causal(), teacher, texts)
        else:
            raise ModelError(
                f"model '{self.spec.name}' runs with transformers and its teacher does not, so "
                "that they cannot read the same batch: record the teacher's most likely tokens"
            )

    def close(self) -> None:
        """Free the model's memory, on CUDA too."""
        if self._loaded is None:
            return
        from pytest_distill.engines.transformers.places import release

        device, self._loaded = self._loaded.device, None
        release(device)

    def _causal(self) -> Loaded:
        """Return the loaded model; ModelError where it is not a causal one."""
        loaded = self._load()
        if loaded.kind != "causal":
            raise ModelError(
                f"model '{self.spec.name}' is a {loaded.architecture}; to be compared token by "
                "token it must be a causal model (...ForCausalLM)"
            )
        self._prepare(loaded)
        return loaded

    @property
    def _of_class(self) -> str:
        """The class of the model in brackets; empty where it is not known yet."""
        if self._loaded is not None:
            return f" ({self._loaded.architecture})"
        return super()._of_class

    def _load(self) -> Loaded:
        if self._loaded is None:
            with self._in_model("it is loaded"):
                self._loaded = self._loaded_unchanged(self._load_now)
        return self._loaded

    def _load_now(self) -> Loaded:
        from pytest_distill.engines.transformers.loading import load

        return load(self.spec, self.checkpoint, self.notes, self._run_clock)

    def _answer(self, requests: Sequence[Request]) -> Any:
        """Return the function that answers these requests; ModelError where the model cannot."""
        from pytest_distill.engines.transformers.handlers import handler, refuse_other_head

        kind = type(requests[0])
        if any(type(request) is not kind for request in requests):
            raise TypeError("the requests of one call must all be of one kind")
        answer = handler(self.spec.name, kind)
        loaded = self._load()
        refuse_other_head(self.spec.name, loaded.architecture, loaded.kind, kind)
        self._prepare(loaded)
        return answer

    def _prepare(self, loaded: Loaded) -> None:
        """Look at how a model reads, and what there is room for now: others share a GPU."""
        from pytest_distill.engines.transformers.places import token_budget
        from pytest_distill.engines.transformers.trials import examine

        for budget, generating in ((loaded.budget, False), (loaded.generation_budget, True)):
            now = token_budget(self.spec, loaded.device, loaded.model, generating=generating)
            budget.tokens = min(budget.tokens, now)
        examine(loaded)


def _memory_here(spec: Spec, requests: Sequence[Request]) -> Memory:
    """Return what a model holds, in a process of its own."""
    return TransformersEngine(spec).memory_here(requests)


__all__ = ["TransformersEngine"]
