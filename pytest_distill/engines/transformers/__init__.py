"""The default engine: transformers, on the CPU or on CUDA.

torch and transformers are imported when a model is looked into or loaded, not with this module.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from functools import cached_property
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pytest_distill._util.packages import is_installed, lacking_to_run_models
from pytest_distill.engines import FileDigests, Memory, ModelInfo, ModelSpec, Timing, TokenLikeness
from pytest_distill.engines.transformers import hub
from pytest_distill.engines.transformers.checkpoint import Checkpoint, locate
from pytest_distill.engines.transformers.options import Spec, TransformersOptions
from pytest_distill.engines.transformers.quantisation import versions
from pytest_distill.engines.transformers.templates import (
    has_own_code,
    may_read,
    may_read_clock,
    unread,
)
from pytest_distill.errors import ModelError
from pytest_distill.evals.requests import GoldText, Prediction, Request

if TYPE_CHECKING:
    from pytest_distill.engines.transformers.clocks import Clock
    from pytest_distill.engines.transformers.loaded import Loaded

REVISION = 5
"""Raised when this engine's own code changes what it answers, so that nothing older is believed."""


class TransformersEngine:
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
    loads_checkpoint = True

    def __init__(self, spec: ModelSpec) -> None:
        lacking = lacking_to_run_models(f"model '{spec.name}': engine transformers")
        if lacking is not None:
            raise ModelError(lacking)
        self.spec = Spec.of(spec)
        self.notes: list[str] = []
        self._loaded: Loaded | None = None

    @staticmethod
    def is_here(spec: ModelSpec) -> bool:
        """Return whether the hub's cache holds a model whose path is no folder."""
        return hub.in_cache(Spec.of(spec))

    @staticmethod
    def shared_cards(spec: ModelSpec) -> tuple[str, ...]:
        """Return the GPUs that a model will use and that other workers of the run may use too."""
        if spec.workers == 1 or not is_installed("torch"):
            return ()
        from pytest_distill.engines.transformers import places

        return places.shared(Spec.of(spec))

    @staticmethod
    def weights_named(spec: ModelSpec) -> tuple[object, ...]:
        """Return what names the weights of a model, before any file is looked at."""
        of = Spec.of(spec).options
        quantised = repr(of.load.get("quantization_config"))  # other weights of one file
        return (spec.path, of.revision, of.adapter, of.gguf_file, quantised)

    @cached_property
    def checkpoint(self) -> Checkpoint:
        """The model's files; its `digest` and `bytes` are known without importing torch."""
        found = locate(self.spec)
        self.notes += hub.told(self.spec)
        if found.idle_adapter:
            self.notes.append(
                f"model '{self.spec.name}': the adapter in {found.adapter} changes nothing: its "
                "weights are those that it had before any training, so that these are the base "
                "model's answers"
            )
        return found

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
            "versions": {
                **{name: version(name) for name in ("transformers", "torch")},
                **versions(self.spec, self.checkpoint.config),
            },
            "dtype": self.spec.options.dtype,
            "load": dict(self.spec.options.load),
        }

    def dated_prompts(self, requests: Sequence[Request]) -> Mapping[str, str]:
        """Return by id the prompts that the chat template wrote with a look at the clock.

        Neither model nor tokenizer is loaded where no template reads it.
        """
        from pytest_distill.evals.tasks.generation import GenerationRequest

        chats = [r for r in requests if isinstance(r, GenerationRequest) and r.is_chat]
        talks = [r.conversation for r in chats if r.conversation is not None]
        for argument in dict.fromkeys(key for talk in talks for key in talk.arguments):
            if not may_read(self.spec, self.checkpoint, argument):
                self._note(unread(self.spec.name, argument))
        if not chats or not may_read_clock(self.spec, self.checkpoint):
            return {}
        from pytest_distill.engines.transformers.chats import Chat, each_once
        from pytest_distill.engines.transformers.clocks import note_of

        with self._running("its chat template is rendered"):
            chat = Chat(self.spec.name, self._tokenizer, self._run_clock, self._note)
            rendered = each_once(chat.dated, chats)
        if told := self._run_clock.told:
            self._note(note_of(self.spec.name, told))
        every = has_own_code(self.spec, self.checkpoint)  # it may look at other clocks
        of_each = zip(chats, rendered, strict=True)
        return {request.id: text for request, (text, dated) in of_each if dated or every}

    def _note(self, text: str) -> None:
        if text not in self.notes:
            self.notes.append(text)

    @cached_property
    def _run_clock(self) -> Clock:
        """What the chat template is told of the time, in all of the run."""
        from pytest_distill.engines.transformers.clocks import Clock

        return Clock.of(self.spec.began)

    @cached_property
    def _tokenizer(self) -> Any:
        """The tokenizer alone; the model's own where that is loaded."""
        if self._loaded is not None:
            return self._loaded.tokenizer
        from pytest_distill.engines.transformers.architecture import as_model_errors
        from pytest_distill.engines.transformers.loading import load_tokenizer
        from pytest_distill.engines.transformers.quiet import quiet

        with quiet(), as_model_errors(self.spec):
            return load_tokenizer(self.spec, self.checkpoint)

    @cached_property
    def info(self) -> ModelInfo:
        """What is known of the model. Its weights are hashed, but not loaded."""
        from pytest_distill.engines.transformers.info import describe

        with self._running("its size is counted"):
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
            When the model can't be loaded, can't do what is asked, an example is too long, or what
            the model read changed it.
        """
        if requests:
            from pytest_distill.engines.transformers.trials import refuse_changed

            with self._running(f"it answers {requests[0].task}"):
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

        with self._running("it is timed"):
            return measuring.time_one(self._load(), self._answer([request]), request)

    def time_all(self, requests: Sequence[Request], batch_tokens: int) -> float:
        """Return how many seconds all requests take in batches of at most `batch_tokens`."""
        from pytest_distill.engines.transformers import measuring

        with self._running("it is timed"):
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

        with self._running("its memory is measured"):
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
            with self._running(f"it is compared with '{teacher.spec.name}'"):
                yield from compare(self._causal(), teacher._causal(), texts)
        elif isinstance(teacher, Mapping):
            with self._running("it is compared with what was captured of its teacher"):
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
        self._narrow(loaded)
        self._examine(loaded)
        return loaded

    @staticmethod
    def _examine(loaded: Loaded) -> None:
        from pytest_distill.engines.transformers.trials import examine

        examine(loaded)

    def _running(self, doing: str) -> AbstractContextManager[None]:
        """Let what the model's own code raises in the block be one error, as of the model."""
        from pytest_distill.engines.transformers.failures import model_code

        return model_code(lambda: f"model '{self.spec.name}'{self._of_class}", doing)

    @property
    def _of_class(self) -> str:
        """The class of the model in brackets; empty where it is not known yet."""
        if self._loaded is not None:
            return f" ({self._loaded.architecture})"
        found: Checkpoint | None = vars(self).get("checkpoint")
        names = found.config.get("architectures") if found is not None else None
        return f" ({names[0]})" if isinstance(names, list) and names else ""

    def _load(self) -> Loaded:
        if self._loaded is None:
            with self._running("it is loaded"):
                self._loaded = self._load_unchanged()
        return self._loaded

    def _load_unchanged(self) -> Loaded:
        """Load the model; ModelError where its files changed meanwhile."""
        from pytest_distill.engines.transformers.loading import load

        digests, files = self.spec.hash_file, self.checkpoint.files
        if not isinstance(digests, FileDigests):  # the identity is not asked for
            return load(self.spec, self.checkpoint, self.notes, self._run_clock)
        digests.use(files)
        digests.begin(files)
        loaded = load(self.spec, self.checkpoint, self.notes, self._run_clock)
        _ = self.checkpoint.digest  # of files that were read while the model was loaded
        digests.refuse_changed()
        if (now := locate(self.spec).files) != files:
            odd = sorted({*now} ^ {*files})[0]
            raise ModelError(
                f"model '{self.spec.name}': {odd} came or went while the model was being "
                "loaded: let what writes it finish, and run again"
            )
        return loaded

    def _answer(self, requests: Sequence[Request]) -> Any:
        """Return the function that answers these requests; ModelError where the model cannot."""
        from pytest_distill.engines.transformers.handlers import handler, refuse_other_head

        kind = type(requests[0])
        if any(type(request) is not kind for request in requests):
            raise TypeError("the requests of one call must all be of one kind")
        answer = handler(self.spec.name, kind)
        loaded = self._load()
        refuse_other_head(self.spec.name, loaded.architecture, loaded.kind, kind)
        self._narrow(loaded)
        self._examine(loaded)
        return answer

    def _narrow(self, loaded: Loaded) -> None:
        """Let batches take no more than there is room for now: others share a GPU."""
        from pytest_distill.engines.transformers.device import token_budget

        for budget, generating in ((loaded.budget, False), (loaded.generation_budget, True)):
            now = token_budget(self.spec, loaded.device, loaded.model, generating=generating)
            budget.tokens = min(budget.tokens, now)


def _memory_here(spec: Spec, requests: Sequence[Request]) -> Memory:
    """Return what a model holds, in a process of its own."""
    return TransformersEngine(spec).memory_here(requests)


__all__ = ["TransformersEngine"]
