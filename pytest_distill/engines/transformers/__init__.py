"""The default engine: transformers, on the CPU or on CUDA.

torch and transformers are imported when a model is looked into or loaded, not with this module.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pytest_distill.engines import (
    FileDigests,
    Memory,
    ModelInfo,
    ModelSpec,
    Timing,
    TokenLikeness,
)
from pytest_distill.engines.transformers.checkpoint import Checkpoint, locate
from pytest_distill.errors import ModelError
from pytest_distill.evals.requests import (
    ChoiceRequest,
    ClassificationRequest,
    GenerationRequest,
    GoldText,
    PerplexityRequest,
    Prediction,
    Request,
)

if TYPE_CHECKING:
    from pytest_distill.engines.transformers.loading import Loaded

# For each kind of request: the task's name, and what it needs.
_NEEDS: dict[type[Any], tuple[str, tuple[str, ...], str]] = {
    ClassificationRequest: (
        "classification",
        ("classification",),
        "a sequence-classification model (...ForSequenceClassification)",
    ),
    ChoiceRequest: ("multiple_choice", ("causal",), "a causal model (...ForCausalLM)"),
    GenerationRequest: (
        "generation",
        ("causal", "seq2seq"),
        "a causal or seq2seq model (...ForCausalLM, ...ForConditionalGeneration)",
    ),
    PerplexityRequest: ("perplexity", ("causal",), "a causal model (...ForCausalLM)"),
}


REVISION = 3
"""Raised when this engine's own code changes what it answers, so that nothing older is believed."""


class TransformersEngine:
    """Runs one checkpoint with transformers.

    Parameters
    ----------
    spec : ModelSpec
        The model's entry in ``distill.yaml``. Nothing is read before it is needed.

    Attributes
    ----------
    notes : list of str
        Sentences about how the predictions came about that a reader should see: a model that
        can't be run the fast way, a batch that didn't fit into memory.

    Notes
    -----
    Predictions don't depend on what else is in a batch, up to rounding.
    """

    def __init__(self, spec: ModelSpec) -> None:
        self.spec = spec
        self.notes: list[str] = []
        self._loaded: Loaded | None = None

    @cached_property
    def checkpoint(self) -> Checkpoint:
        """The model's files; its `digest` and `bytes` are known without importing torch."""
        return locate(self.spec)

    def read_ahead(self) -> None:
        """Begin to read the files of a model that is here, for their digests."""
        if isinstance(self.spec.hash_file, FileDigests) and Path(self.spec.path).is_dir():
            self.spec.hash_file.begin(self.checkpoint.files)

    @property
    def identity(self) -> dict[str, Any]:
        """What makes the predictions: the model's bytes, the libraries, dtype and load settings."""
        return {
            "model": self.checkpoint.digest,
            "engine": "transformers",
            "revision": REVISION,
            "versions": {name: version(name) for name in ("transformers", "torch")},
            "dtype": self.spec.dtype,
            "load": dict(self.spec.load),
        }

    @cached_property
    def info(self) -> ModelInfo:
        """What is known of the model. Its weights are hashed, but not loaded."""
        from pytest_distill.engines.transformers.info import describe

        return describe(self.spec, self.checkpoint)

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
            When the model can't be loaded, can't do what is asked, or an example is too long.
        """
        if requests:
            yield from self._answer(requests)(self._load(), requests)

    @property
    def setting(self) -> dict[str, Any]:
        """The device and its name, the data type and the CPU threads; the model isn't loaded."""
        from pytest_distill.engines.transformers import measuring

        return measuring.setting(self.spec, self.info.dtype)

    def time_one(self, request: Request) -> Timing:
        """Answer one request alone, and return how long that took."""
        from pytest_distill.engines.transformers import measuring

        return measuring.time_one(self._load(), self._answer([request]), request)

    def time_all(self, requests: Sequence[Request], batch_tokens: int) -> float:
        """Return how many seconds all requests take in batches of at most `batch_tokens`."""
        from pytest_distill.engines.transformers import measuring

        return measuring.time_all(self._load(), self._answer(requests), requests, batch_tokens)

    def memory(self, requests: Sequence[Request]) -> Memory:
        """Return the bytes of the weights, and the most that was held while the requests ran.

        On the CPU a process of its own loads the model and answers them: what else was loaded
        here doesn't count.
        """
        from pytest_distill.engines.transformers import measuring

        if measuring.on_cpu(self.spec):
            return measuring.memory_apart(self.spec, requests)
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
        if isinstance(teacher, TransformersEngine):
            from pytest_distill.engines.transformers.likeness import compare

            yield from compare(self._causal(), teacher._causal(), texts)
        elif isinstance(teacher, Mapping):
            from pytest_distill.engines.transformers.likeness import compare_captured

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
        from pytest_distill.engines.transformers.device import release

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
        self._examine(loaded)
        return loaded

    @staticmethod
    def _examine(loaded: Loaded) -> None:
        from pytest_distill.engines.transformers.trials import examine

        examine(loaded)

    def _load(self) -> Loaded:
        if self._loaded is None:
            from pytest_distill.engines.transformers.loading import load

            digests, files = self.spec.hash_file, self.checkpoint.files
            if not isinstance(digests, FileDigests):  # nobody asks for the model's identity
                self._loaded = load(self.spec, self.checkpoint, self.notes)
                return self._loaded
            digests.use(files)
            digests.begin(files)
            loaded = load(self.spec, self.checkpoint, self.notes)
            _ = self.checkpoint.digest  # of files that were read while the model was loaded
            digests.refuse_changed()
            if (now := locate(self.spec).files) != files:
                odd = sorted({*now} ^ {*files})[0]
                raise ModelError(
                    f"model '{self.spec.name}': {odd} came or went while the model was being "
                    "loaded: let what writes it finish, and run again"
                )
            self._loaded = loaded
        return self._loaded

    def _answer(self, requests: Sequence[Request]) -> Any:
        """Return the function that answers these requests; ModelError where the model cannot."""
        kind = type(requests[0])
        if any(type(request) is not kind for request in requests):
            raise TypeError("the requests of one call must all be of one kind")
        loaded = self._load()
        task, able, needed = _NEEDS[kind]
        if loaded.kind not in able:
            raise ModelError(
                f"model '{self.spec.name}' is a {loaded.architecture}, which can't do the task "
                f"{task}: it needs {needed}"
            )
        self._examine(loaded)
        return self._runner(kind)

    @staticmethod
    def _runner(kind: type[Any]) -> Any:
        """Return the function that answers a kind of request; importing it imports torch."""
        if kind is ClassificationRequest:
            from pytest_distill.engines.transformers.classification import classify

            return classify
        if kind is ChoiceRequest:
            from pytest_distill.engines.transformers.choices import score_choices

            return score_choices
        if kind is GenerationRequest:
            from pytest_distill.engines.transformers.generation import generate

            return generate
        from pytest_distill.engines.transformers.perplexity import score_texts

        return score_texts


__all__ = ["TransformersEngine"]
