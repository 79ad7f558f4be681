"""What every engine of a checkpoint does alike, whatever it runs the model with.

It finds the model's files, knows its identity and size before it is loaded, renders its chats, and
refuses files that change under it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from pytest_distill._util.packages import is_installed, lacking_to_run_models
from pytest_distill.engines.file_digests import FileDigests
from pytest_distill.engines.info import ModelInfo
from pytest_distill.engines.spec import ModelSpec
from pytest_distill.engines.transformers import hub
from pytest_distill.engines.transformers.checkpoint import Checkpoint, locate
from pytest_distill.engines.transformers.options import Spec
from pytest_distill.engines.transformers.templates import (
    has_own_code,
    may_read,
    may_read_clock,
    unread,
)
from pytest_distill.errors import ModelError
from pytest_distill.evals.requests import Request

if TYPE_CHECKING:
    from pytest_distill.engines.transformers.clocks import Clock

T = TypeVar("T")


class CheckpointEngine:
    """A model whose files are on this machine; an engine of one runs them.

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
    name : str
        What ``engine:`` calls it.
    notes : list of str
        Sentences about how the predictions came about that a reader should see.
    """

    name = ""
    loads_checkpoint = True

    def __init__(self, spec: ModelSpec) -> None:
        lacking = lacking_to_run_models(f"model '{spec.name}': engine {self.name}")
        if lacking is not None:
            raise ModelError(lacking)
        self.spec = self._spec_of(spec)
        self.notes: list[str] = []

    @classmethod
    def _spec_of(cls, spec: ModelSpec) -> Spec:
        """Return what an entry says of the model's files, as transformers' options."""
        return Spec.of(spec)

    @classmethod
    def is_here(cls, spec: ModelSpec) -> bool:
        """Return whether the hub's cache holds a model whose path is no folder."""
        return hub.in_cache(cls._spec_of(spec))

    @classmethod
    def shared_cards(cls, spec: ModelSpec) -> tuple[str, ...]:
        """Return the GPUs that a model will use and that other workers of the run may use too."""
        if spec.workers == 1 or not is_installed("torch"):
            return ()
        from pytest_distill.engines.transformers import places

        return places.shared(cls._spec_of(spec))

    @classmethod
    def weights_named(cls, spec: ModelSpec) -> tuple[object, ...]:
        """Return what names the weights of a model, before any file is looked at."""
        of = cls._spec_of(spec).options
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

    def dated_prompts(self, requests: Sequence[Request]) -> Mapping[str, str]:
        """Return by id the prompts that the chat template wrote with a look at the clock.

        Neither model nor tokenizer is loaded where no template reads it.
        """
        from pytest_distill.evals.tasks.decoding import GenerationRequest

        chats = [r for r in requests if isinstance(r, GenerationRequest) and r.is_chat]
        talks = [r.conversation for r in chats if r.conversation is not None]
        for argument in dict.fromkeys(key for talk in talks for key in talk.arguments):
            if not may_read(self.spec, self.checkpoint, argument):
                self._note(unread(self.spec.name, argument))
        if not chats or not may_read_clock(self.spec, self.checkpoint):
            return {}
        from pytest_distill.engines.transformers.chats import Chat, each_once
        from pytest_distill.engines.transformers.clocks import note_of

        with self._in_model("its chat template is rendered"):
            chat = Chat(self.spec.name, self._tokenizer, self._run_clock, self._note)
            rendered = each_once(chat.dated, chats)
        if told := self._run_clock.told:
            self._note(note_of(self.spec.name, told))
        every = has_own_code(self.spec, self.checkpoint)  # it may look at other clocks
        of_each = zip(chats, rendered, strict=True)
        return {request.id: text for request, (text, dated) in of_each if dated or every}

    @cached_property
    def info(self) -> ModelInfo:
        """What is known of the model. Its weights are hashed, but not loaded."""
        from pytest_distill.engines.transformers.info import describe

        with self._in_model("its size is counted"):
            return describe(self.spec, self.checkpoint)

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
        """The tokenizer alone."""
        from pytest_distill.engines.transformers.architecture import as_model_errors
        from pytest_distill.engines.transformers.failures import quiet
        from pytest_distill.engines.transformers.loading import load_tokenizer

        with quiet(), as_model_errors(self.spec):
            return load_tokenizer(self.spec, self.checkpoint)

    def _in_model(self, doing: str) -> AbstractContextManager[None]:
        """Let what the model's own code raises in the block be one error, as of the model."""
        from pytest_distill.engines.transformers.failures import model_code

        return model_code(lambda: f"model '{self.spec.name}'{self._of_class}", doing)

    @property
    def _of_class(self) -> str:
        """The class of the model in brackets; empty where it is not known yet."""
        found: Checkpoint | None = vars(self).get("checkpoint")
        names = found.config.get("architectures") if found is not None else None
        return f" ({names[0]})" if isinstance(names, list) and names else ""

    def _loaded_unchanged(self, load: Callable[[], T]) -> T:
        """Return what `load` makes of the model's files; ModelError where these changed meanwhile.

        They are hashed while they are loaded, where the identity is asked for.
        """
        digests, files = self.spec.hash_file, self.checkpoint.files
        if not isinstance(digests, FileDigests):  # the identity is not asked for
            return load()
        digests.use(files)
        digests.begin(files)
        loaded = load()
        _ = self.checkpoint.digest  # of files that were read while the model was loaded
        digests.refuse_changed()
        if (now := locate(self.spec).files) != files:
            odd = sorted({*now} ^ {*files})[0]
            raise ModelError(
                f"model '{self.spec.name}': {odd} came or went while the model was being "
                "loaded: let what writes it finish, and run again"
            )
        return loaded
