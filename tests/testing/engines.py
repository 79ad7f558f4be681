"""An engine that keeps the port's contract, and one for each way of not keeping it."""

from __future__ import annotations

import hashlib
import math
import queue
import socket
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from pydantic import BaseModel, ConfigDict

from pytest_distill import (
    ChoiceRequest,
    ClassificationRequest,
    GenerationRequest,
    ModelError,
    ModelInfo,
    ModelSpec,
    Prediction,
)

WEIGHTS = 8_192


class Good:
    """Answers by digests of what is asked; long texts and conversations are too much for it."""

    class Options(BaseModel):
        """Its keys."""

        model_config = ConfigDict(extra="forbid", strict=True)
        salt: str = ""
        words: list[str] = []

    def __init__(self, spec: ModelSpec) -> None:
        self.spec = spec
        self.options: Any = spec.options
        self.weights: np.ndarray[Any, Any] | None = None

    @property
    def identity(self) -> Any:
        """Its weights and its keys."""
        model = self.spec.hash_file(Path(self.spec.path))
        return {"model": model, "engine": "good", "salt": self.options.salt}

    @property
    def info(self) -> Any:
        """Its size."""
        return ModelInfo(self.spec.name, self.spec.role, parameters=WEIGHTS)

    def dated_prompts(self, requests: Sequence[Any]) -> Mapping[str, str]:
        """Say which prompts the day stands in."""
        dated = [r for r in requests if isinstance(r, GenerationRequest)]
        return {r.id: self.prompt(r) for r in dated if "capital" in r.prompt}

    def prompt(self, request: GenerationRequest) -> str:
        """Return what is read."""
        day = f"{self.spec.began:%Y-%m-%d} " if "capital" in request.prompt else ""
        return day + request.prompt

    def predict(self, requests: Sequence[Any]) -> Iterator[Any]:
        """Answer them from the last one to the first."""
        self.load()
        for request in reversed(requests):
            yield self.answer(request)

    def load(self) -> None:
        """Read the weights."""
        if self.weights is None:
            self.weights = np.frombuffer(Path(self.spec.path).read_bytes()).copy()

    def number(self, text: str) -> float:
        """Return a number from 0 to 1 that is always the same for a text."""
        digest = hashlib.sha256(f"{self.options.salt} {text}".encode()).digest()
        return (1 + int.from_bytes(digest[:4])) / 2**33

    def answer(self, request: Any) -> Any:
        """Answer one request."""
        if isinstance(request, ClassificationRequest):
            self.refuse(request, request.text)
            yes = self.number(f"{request.text}{request.text_pair or ''}")
            labels = ("no", "yes")
            return Prediction(request.id, probabilities=(1 - yes, yes), labels=labels)
        if isinstance(request, ChoiceRequest):
            self.refuse(request, request.context)
            pairs = [(context, one) for context, several in request.asked for one in several]
            logs = [math.log(self.number(context + one)) for context, one in pairs]
            return Prediction(request.id, loglikelihoods=tuple(logs))
        if not isinstance(request, GenerationRequest) or not self.can_do(request):
            raise ModelError(f"model '{self.spec.name}' cannot do {type(request).__name__}")
        self.refuse(request, request.prompt)
        decoding = request.decoding
        text = f"{self.number(f'{self.prompt(request)} {decoding.seed}'):.4f}"
        return self.ended(request, text[: decoding.max_new_tokens])

    def ended(self, request: GenerationRequest, text: str) -> Prediction:
        """Answer with a text, each of whose characters is a token, up to a stop string."""
        for stop in request.decoding.stop:
            text = text.split(stop)[0]
        return Prediction(request.id, text=text, tokens=len(text))

    def can_do(self, request: GenerationRequest) -> bool:
        """Return whether it is asked for no more than a prompt."""
        return request.conversation is None

    def refuse(self, request: Any, text: str) -> None:
        """Refuse a text that is too long."""
        if len(text) > 1_000:
            raise ModelError(f"model '{self.spec.name}': example '{request.id}' is too long")

    def close(self) -> None:
        """Free the weights."""
        self.weights = None


class RaisesOtherwise(Good):
    """Has another error for what it cannot do."""

    def answer(self, request: Any) -> Any:
        """Answer one request."""
        try:
            return super().answer(request)
        except ModelError as error:
            raise KeyError(str(error)) from None


class NoModelError(Good):
    """Has another error for what is too long."""

    def refuse(self, request: Any, text: str) -> None:  # noqa: ARG002
        """Refuse a text that is too long."""
        if len(text) > 1_000:
            raise ValueError("too long")


class Nameless(Good):
    """Does not say what is too long."""

    def refuse(self, request: Any, text: str) -> None:  # noqa: ARG002
        """Refuse a text that is too long."""
        if len(text) > 1_000:
            raise ModelError("a text is too long")


class Cuts(Good):
    """Cuts off what is too long."""

    def refuse(self, request: Any, text: str) -> None:
        """Refuse nothing."""


class NotFinite(Good):
    """Gives log-likelihoods that are no numbers."""

    def answer(self, request: Any) -> Any:
        """Answer one request."""
        found = super().answer(request)
        if found.loglikelihoods is None:
            return found
        return replace(found, loglikelihoods=(math.nan, *found.loglikelihoods[1:]))


class TooFew(Good):
    """Gives one log-likelihood whatever the number of choices."""

    def answer(self, request: Any) -> Any:
        """Answer one request."""
        found = super().answer(request)
        return replace(found, loglikelihoods=found.loglikelihoods and found.loglikelihoods[:1])


class Positive(Good):
    """Gives log-likelihoods without their sign."""

    def answer(self, request: Any) -> Any:
        """Answer one request."""
        found = super().answer(request)
        values = found.loglikelihoods
        return replace(found, loglikelihoods=values and tuple(map(abs, values)))


class Unlikely(Good):
    """Gives probabilities that are none."""

    def answer(self, request: Any) -> Any:
        """Answer one request."""
        found = super().answer(request)
        return replace(found, probabilities=found.probabilities and (-1.0, 2.0))


class Speechless(Good):
    """Answers without an answer."""

    def answer(self, request: Any) -> Any:
        """Answer one request."""
        super().answer(request)
        return Prediction(request.id)


class Pairs(Good):
    """Yields something else than predictions."""

    def answer(self, request: Any) -> Any:
        """Answer one request."""
        return request.id, super().answer(request)


class FirstText(Good):
    """Reads the first text of a pair."""

    def answer(self, request: Any) -> Any:
        """Answer one request."""
        one = isinstance(request, ClassificationRequest)
        return super().answer(replace(request, text_pair=None) if one else request)


class OneContext(Good):
    """Reads the context that all choices have."""

    def answer(self, request: Any) -> Any:
        """Answer one request."""
        one = isinstance(request, ChoiceRequest)
        return super().answer(replace(request, contexts=()) if one else request)


class PromptAlone(Good):
    """Reads prompts, also where there are conversations."""

    def can_do(self, request: GenerationRequest) -> bool:  # noqa: ARG002
        """Return whether it is asked for what it knows."""
        return True


class Drops(Good):
    """Forgets one request of several."""

    def predict(self, requests: Sequence[Any]) -> Iterator[Any]:
        """Answer them."""
        yield from super().predict(requests[1:] if len(requests) > 1 else requests)


class Twice(Good):
    """Answers one request two times."""

    def predict(self, requests: Sequence[Any]) -> Iterator[Any]:
        """Answer them."""
        yield from super().predict([*requests[:1], *requests])


class Strips(Good):
    """Reads ids as numbers, where they are."""

    def answer(self, request: Any) -> Any:
        """Answer one request."""
        return replace(super().answer(request), id=request.id.lstrip("0"))


class Endless(Good):
    """Never stops."""

    def predict(self, requests: Sequence[Any]) -> Iterator[Any]:
        """Answer them."""
        while True:
            yield from super().predict(requests)


class OneOfAlike(Good):
    """Answers requests that ask the same once."""

    def predict(self, requests: Sequence[Any]) -> Iterator[Any]:
        """Answer them."""
        yield from super().predict([*{replace(r, id=""): r for r in requests}.values()])


class ById(Good):
    """Makes the answer depend on the id."""

    def answer(self, request: Any) -> Any:
        """Answer one request."""
        found = super().answer(request)
        return replace(found, text=found.text and found.text + request.id)


class NeedsSome(Good):
    """Cannot be asked nothing."""

    def predict(self, requests: Sequence[Any]) -> Iterator[Any]:
        """Answer them."""
        _ = requests[0]
        yield from super().predict(requests)


class Counts(Good):
    """Answers otherwise each time."""

    asked = 0

    def answer(self, request: Any) -> Any:
        """Answer one request."""
        self.asked += 1
        found = super().answer(request)
        return replace(found, text=found.text and f"{self.asked}")


class Padded(Good):
    """Makes an answer depend on how many are asked."""

    def predict(self, requests: Sequence[Any]) -> Iterator[Any]:
        """Answer them."""
        for found in super().predict(requests):
            values = found.probabilities
            shift = 0.01 * len(requests)
            yield replace(found, probabilities=values and tuple(v - shift for v in values))

    def number(self, text: str) -> float:
        """Return a number from 0 to 1."""
        return 0.25 + super().number(text) / 2


class Positional(Good):
    """Seeds by the place in a batch."""

    def predict(self, requests: Sequence[Any]) -> Iterator[Any]:
        """Answer them."""
        for place, found in enumerate(super().predict(requests)):
            yield replace(found, text=found.text and f"{found.text} {place}")


class Seedless(Good):
    """Reads no seed."""

    def answer(self, request: Any) -> Any:
        """Answer one request."""
        if isinstance(request, GenerationRequest):
            request = replace(request, decoding=replace(request.decoding, seed=7))
        return super().answer(request)


class Unstopped(Good):
    """Goes on after a stop string."""

    def ended(self, request: GenerationRequest, text: str) -> Prediction:
        """Answer with the whole text."""
        return Prediction(request.id, text=text, tokens=len(text))


class StopIncluded(Good):
    """Leaves the stop string in the text."""

    def ended(self, request: GenerationRequest, text: str) -> Prediction:
        """Answer with a text that ends in the stop string."""
        found = super().ended(request, text)
        return replace(found, text=text[: len(found.text or "") + 1])


class Unlimited(Good):
    """Reads no limit."""

    def answer(self, request: Any) -> Any:
        """Answer one request."""
        if isinstance(request, GenerationRequest):
            request = replace(request, decoding=replace(request.decoding, max_new_tokens=9))
        return super().answer(request)


class Sixteen(Good):
    """Answers sixteen requests, and no more."""

    def predict(self, requests: Sequence[Any]) -> Iterator[Any]:
        """Answer them."""
        yield from super().predict(requests[:16])


class LeavesThread(Good):
    """Has a thread that waits for who takes the answers."""

    started: ClassVar[list[tuple[threading.Thread, queue.Queue[Any]]]] = []

    def predict(self, requests: Sequence[Any]) -> Iterator[Any]:
        """Answer them."""
        found: queue.Queue[Any] = queue.Queue(1)
        self.load()

        def work() -> None:
            for request in requests:
                try:
                    found.put(self.answer(request))
                except ModelError as error:
                    found.put(error)
            found.put(None)

        thread = threading.Thread(target=work, name="worker", daemon=True)
        thread.start()
        self.started.append((thread, found))
        while (each := found.get()) is not None:
            if isinstance(each, ModelError):
                raise each
            yield each


class FirstBatch(Good):
    """Answers no more than fit into one batch."""

    def predict(self, requests: Sequence[Any]) -> Iterator[Any]:
        """Answer them."""
        yield from super().predict(requests[:32])


class SwapsInBatches(Good):
    """Gives two answers of a big batch to each other's request."""

    def predict(self, requests: Sequence[Any]) -> Iterator[Any]:
        """Answer them."""
        found = list(super().predict(requests))
        if len(found) > 8:
            a, b = found[:2]
            found[:2] = replace(a, id=b.id), replace(b, id=a.id)
        yield from found


class Takes(Good):
    """Takes what it answers out of the list of requests."""

    def predict(self, requests: Any) -> Iterator[Any]:
        """Answer them."""
        self.load()
        while requests:
            yield self.answer(requests.pop())


class EndsEarly(Good):
    """Ends without a word where it should refuse."""

    def predict(self, requests: Sequence[Any]) -> Iterator[Any]:
        """Answer them."""
        self.load()
        return map(self.answer, requests)

    def refuse(self, request: Any, text: str) -> None:  # noqa: ARG002
        """Refuse a text that is too long."""
        if len(text) > 1_000:
            raise StopIteration


class LeavesFile(Good):
    """Opens a file for each object, and does not close it."""

    kept: ClassVar[list[Any]] = []

    def __init__(self, spec: ModelSpec) -> None:
        super().__init__(spec)
        self.kept.append(Path(spec.path).open("rb"))  # noqa: SIM115 (that is the fault)


class Numpy(Good):
    """Gives arrays, as an engine may."""

    def answer(self, request: Any) -> Any:
        """Answer one request."""
        found = super().answer(request)
        values = found.probabilities
        return replace(found, probabilities=None if values is None else np.array(values))


class Pool(Good):
    """Has threads that wait for work, and may be more with each call, as an engine may."""

    def __init__(self, spec: ModelSpec) -> None:
        super().__init__(spec)
        self.pool = ThreadPoolExecutor(16)

    def predict(self, requests: Sequence[Any]) -> Iterator[Any]:
        """Answer them."""
        self.load()
        asked = [self.pool.submit(self.answer, request) for request in requests]
        for each in asked:
            yield each.result()

    def close(self) -> None:
        """End the threads."""
        self.pool.shutdown()
        super().close()


class LeavesSocket(Good):
    """Opens a connection for each call, and closes it after the last answer."""

    kept: ClassVar[list[socket.socket]] = []

    def predict(self, requests: Sequence[Any]) -> Iterator[Any]:
        """Answer them."""
        self.kept.append(socket.socket())
        yield from super().predict(requests)
        self.kept.pop().close()


class KeepsQueue(Good):
    """Answers what a closed iterator left before what is asked next."""

    def __init__(self, spec: ModelSpec) -> None:
        super().__init__(spec)
        self.waiting: list[Any] = []

    def predict(self, requests: Sequence[Any]) -> Iterator[Any]:
        """Answer them."""
        self.load()
        self.waiting += requests
        while self.waiting:
            request = self.waiting.pop()
            try:
                found = self.answer(request)
            except ModelError:
                self.waiting.clear()
                raise
            yield found


class OnlyOnce(Good):
    """Cannot be used on when an iterator was closed early."""

    cancelled = False

    def predict(self, requests: Sequence[Any]) -> Iterator[Any]:
        """Answer them."""
        if self.cancelled:
            raise RuntimeError("already in use")
        try:
            yield from super().predict(requests)
        except GeneratorExit:
            self.cancelled = True
            raise


class AnyWords(Good):
    """Takes whatever it is given, and fails on it."""

    class Options(BaseModel):
        """Its keys."""

        model_config = ConfigDict(extra="forbid")
        salt: str = ""
        words: Any = ()

    def __init__(self, spec: ModelSpec) -> None:
        super().__init__(spec)
        self.words = sorted(self.options.words)


class IdentityOfObjects(Good):
    """Has an identity that no store can keep."""

    @property
    def identity(self) -> Any:
        """Its identity."""
        return {**super().identity, "path": Path(self.spec.path)}


class IdentityByObject(Good):
    """Has another identity in every object."""

    @property
    def identity(self) -> Any:
        """Its identity."""
        return {**super().identity, "object": id(self)}


class IdentityByTime(Good):
    """Has another identity at any time."""

    @property
    def identity(self) -> Any:
        """Its identity."""
        return {**super().identity, "now": time.time_ns()}


class IdentityLoads(Good):
    """Loads its model to say what it is."""

    @property
    def identity(self) -> Any:
        """Its identity."""
        self.load()
        return super().identity


class IdentityByRole(Good):
    """Takes its role for a part of what answers."""

    @property
    def identity(self) -> Any:
        """Its identity."""
        return {**super().identity, "role": self.spec.role}


class IdentityByWorker(Good):
    """Takes its place among others for a part of what answers."""

    @property
    def identity(self) -> Any:
        """Its identity."""
        return {**super().identity, "worker": self.spec.worker}


class IdentityByPath(Good):
    """Goes by the path."""

    @property
    def identity(self) -> Any:
        """Its identity."""
        return {**super().identity, "path": self.spec.path}


class IdentityBySize(Good):
    """Goes by the size of its weights."""

    @property
    def identity(self) -> Any:
        """Its identity."""
        return {**super().identity, "model": Path(self.spec.path).stat().st_size}


class IdentityByHash(Good):
    """Lists words in the order of their hashes, which another process does not share."""

    @property
    def identity(self) -> Any:
        """Its identity."""
        return {**super().identity, "words": list({f"word {n}" for n in range(50)})}


class IdentityLacks(Good):
    """Forgets a key in its identity."""

    @property
    def identity(self) -> Any:
        """Its identity."""
        return {key: value for key, value in super().identity.items() if key != "salt"}


class Silent(Good):
    """Does not say which prompts hold a date."""

    def dated_prompts(self, requests: Sequence[Any]) -> Mapping[str, str]:  # noqa: ARG002
        """Say which prompts hold a date."""
        return {}


class ByObject(Good):
    """Answers in every object otherwise."""

    objects: ClassVar[Counter[str]] = Counter()

    def __init__(self, spec: ModelSpec) -> None:
        super().__init__(spec)
        self.objects["made"] += 1
        self.mine = self.objects["made"]

    def number(self, text: str) -> float:
        """Return a number from 0 to 1."""
        return super().number(f"{self.mine} {text}")


class Clock(Good):
    """Writes the time of now into a prompt."""

    def dated_prompts(self, requests: Sequence[Any]) -> Mapping[str, str]:
        """Say which prompts hold a date."""
        return {r.id: f"{time.time_ns()}" for r in requests if isinstance(r, GenerationRequest)}


class InfoMapping(Good):
    """Says in another form what it knows."""

    @property
    def info(self) -> Any:
        """What is known of it."""
        return {"parameters": 1}


class InfoLater(Good):
    """Knows its size once it is loaded."""

    @property
    def info(self) -> Any:
        """What is known of it."""
        loaded = None if self.weights is None else self.weights.size
        return ModelInfo(self.spec.name, self.spec.role, parameters=loaded)


class Remembers(Good):
    """Holds what it began to answer as done, in every object, when a run breaks off by an error."""

    begun: ClassVar[set[Any]] = set()

    def predict(self, requests: Sequence[Any]) -> Iterator[Any]:
        """Answer them."""
        later = self.spec.began.year
        mine = {(later, replace(r, id="")) for r in requests}
        todo = [r for r in requests if (later, replace(r, id="")) not in self.begun]
        try:
            yield from super().predict(todo)
        except GeneratorExit:
            if len(requests) == 4 and self.spec.began > time_of_run():  # alike ones are one here
                self.begun.update(mine)
            raise


def time_of_run() -> Any:
    """Return a moment after the run of the first object began, and before that of the others."""
    from datetime import datetime, timedelta

    return datetime.now() + timedelta(days=1)


class Single(Good):
    """Is there once in a process."""

    made: ClassVar[list[Any]] = []

    def __init__(self, spec: ModelSpec) -> None:
        super().__init__(spec)
        if self.made:
            raise RuntimeError("there is one")
        self.made.append(self)


class ClosedUsed(Good):
    """Cannot be closed before it was asked."""

    def close(self) -> None:
        """Free the weights."""
        if not hasattr(self, "asked"):
            raise AttributeError("asked")
        super().close()

    def load(self) -> None:
        """Read the weights."""
        super().load()
        self.asked = True


class NotesByKey(Good):
    """Has notes in another form."""

    notes: ClassVar[Any] = {"note": "a sentence"}


class ClosedOnce(Good):
    """Cannot be closed twice."""

    def close(self) -> None:
        """Free the weights."""
        del self.weights


class KeepsWeights(Good):
    """Frees nothing."""

    def close(self) -> None:
        """Do nothing."""


class KeepsProcess(Good):
    """Starts a process, and leaves it alone."""

    started: ClassVar[list[subprocess.Popen[bytes]]] = []

    def __init__(self, spec: ModelSpec) -> None:
        super().__init__(spec)
        self.process: subprocess.Popen[bytes] | None = None

    def load(self) -> None:
        """Read the weights."""
        super().load()
        if self.process is None:
            wait = [sys.executable, "-c", "import sys; sys.stdin.read()"]
            self.process = subprocess.Popen(wait, stdin=subprocess.PIPE)
            self.started.append(self.process)
