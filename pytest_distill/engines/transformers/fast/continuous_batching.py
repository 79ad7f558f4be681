"""Many texts generated at once, where a finished one makes room for the next."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import torch

from pytest_distill.engines.transformers.batching import mask, pad
from pytest_distill.engines.transformers.fast import caching
from pytest_distill.engines.transformers.fast.onednn import computing
from pytest_distill.engines.transformers.fast.trees import common_prefix
from pytest_distill.engines.transformers.findings import Neighbours
from pytest_distill.engines.transformers.loaded import Loaded
from pytest_distill.engines.transformers.logits import logits_at
from pytest_distill.engines.transformers.memory import attempt, shrink
from pytest_distill.engines.transformers.texts import Text, crosses, difference, go_on

_ROOM = 4  # new texts are let in once a fourth of the places is free: every time costs a copy


class WrongTextError(Exception):
    """A text is not what the model says when it reads all of it at once."""


def run_all(loaded: Loaded, texts: Sequence[Text]) -> Iterator[Text]:
    """Yield every text as soon as it is finished.

    Where memory runs out, the budget is halved and the texts that were not finished start again,
    fewer at a time; what was yielded before is done.

    Texts that are longer than those before, were ever more padded, or stood beside more others, are
    compared with what the model says when it reads all of one at once, before they are yielded;
    three of those that end together. A text that reaches the border of the model's positions (see
    `trials`) leaves, and is read anew with those beyond it.

    Raises
    ------
    ModelError
        When a single text doesn't fit into memory.
    WrongTextError
        When a text isn't what the model says.
    """
    border = loaded.findings.border
    left = dict.fromkeys(texts)
    for text in left:
        text.begin()
    while left:
        own = sorted(left, key=lambda text: -text.size)
        beyond = border is not None and own[0].size > border
        if border is not None and beyond:
            own = [text for text in own if text.size > border]
        running = _Batch(loaded, own, None if beyond else border)
        while running.texts or running.queue:
            finished = attempt(running.step)
            if finished is None:
                lengths = [text.longest for text in running.read]
                running = _Batch(loaded, [], border)  # gives its tensors back
                shrink(loaded, loaded.generation_budget, lengths)
                for text in left:
                    text.begin()
                break
            for text in finished:
                del left[text]
                yield text


class _Batch:
    """The texts that are generated at the moment, and their keys and values.

    Every text is a row; its tokens stand at the right end of the cache, and what is left of them
    is masked.
    """

    def __init__(self, loaded: Loaded, queue: Sequence[Text], border: int | None) -> None:
        self.loaded, self.border = loaded, border
        self.queue = list(queue)
        self.texts: list[Text] = []
        self.read: list[Text] = []  # those that the last step had in memory
        self.cached: caching.Cached = []
        self.seen = torch.zeros(0, 0, dtype=torch.long, device=loaded.device)
        self.joined = False  # whether rows came since the last token
        self.prefix: caching.Cached | None = None
        self.skip = 0

    @torch.inference_mode()
    def step(self) -> list[Text]:
        """Let texts in, or generate one token of each; return those that are finished by it."""
        entering = self._entering()
        self.read = self.texts + entering
        if entering:
            logits = self._read(entering)
            self.queue = self.queue[len(entering) :]
            self.texts += entering
        else:
            entering, logits = self.texts, self._go_on()
        go_on(entering, logits)
        finished = [text for text in entering if text.is_finished(self.loaded)]
        self._leave(finished)
        self._check(finished)
        return finished

    def _check(self, finished: Sequence[Text]) -> None:
        """Refuse texts that are not what the model says, as far as that was not looked at."""
        seen = self.loaded.findings.looped.setdefault(self.skip > 0, Neighbours())
        new = [
            text
            for text in finished
            if not crosses(self.loaded, text, text.size) and not seen.reaches(*text.extent)
        ]
        if self.loaded.settled or not new:
            return
        new.sort(key=lambda text: text.padding)
        first = [new.pop(place) for place in sorted({0, len(new) // 2, len(new) - 1}, reverse=True)]
        for text in (*first, *new):
            if text not in first and seen.reaches(*text.extent):
                continue
            if reason := difference(self.loaded, text):
                raise WrongTextError(reason)
            seen.extend(*text.extent)

    def _entering(self) -> list[Text]:
        """Return the next texts from the queue that there are places and a forward pass for."""
        if not self.queue:
            return []
        longest = max(text.longest for text in (*self.texts, self.queue[0]))
        places = max(1, self.loaded.generation_budget.tokens // longest)
        free = places - len(self.texts)
        if self.texts and free < max(1, places // _ROOM):
            return []
        at_once = self.loaded.budget.tokens // max(1, self.queue[0].size - self.skip)
        return self.queue[: max(1, min(free, at_once))]

    def _read(self, texts: Sequence[Text]) -> torch.Tensor:
        """Read prompts and keep them; return the logits that follow each."""
        self._share_prefix()
        device = self.loaded.device
        rows = [text.row[self.skip :] for text in texts]
        own = mask(rows, device, "left")
        shared = torch.ones(len(rows), self.skip, dtype=torch.long, device=device)
        cache = caching.filled(self.prefix or [], len(rows))
        inputs = {
            "input_ids": pad(rows, 0, device, "left"),
            "attention_mask": torch.cat([shared, own], dim=1),
            "position_ids": (own.cumsum(dim=1) - 1).clamp(min=0) + self.skip,
            **caching.going_on(self.loaded, cache),
        }
        _mark(texts, own)
        last = own.shape[1] - 1
        logits = logits_at(self.loaded, inputs, range(len(rows)), [last] * len(rows))
        self._join(caching.keys_and_values(cache), inputs["attention_mask"])
        return logits

    def _share_prefix(self) -> None:
        """Read what all prompts begin with once, where that saves at least half a batch."""
        if self.texts or self.prefix is not None or len(self.queue) < 2:
            return
        prefix = common_prefix([tuple(text.row) for text in self.queue])
        prefix = prefix[: min(text.size for text in self.queue) - 1]
        if self.border is None and len(prefix) <= (self.loaded.findings.border or 0):
            return  # what a cache keeps of a short prefix is not what a long text makes of it
        if len(prefix) * (len(self.queue) - 1) >= max(1, self.loaded.budget.tokens // 2):
            self.prefix, self.skip = caching.read_prefix(self.loaded, prefix), len(prefix)

    def _go_on(self) -> torch.Tensor:
        """Read the last token of each text; return the logits that follow."""
        device = self.loaded.device
        if self.joined:  # between one time and the next both only shrink
            _mark(self.texts, self.seen)
            self.joined = False
        self.seen = torch.nn.functional.pad(self.seen, (0, 1), value=1)
        cache = caching.filled(self.cached, len(self.texts))
        with computing(self.loaded):
            logits: torch.Tensor = self.loaded.model(
                input_ids=torch.tensor([[text.tokens[-1]] for text in self.texts], device=device),
                attention_mask=self.seen,
                position_ids=self.seen.sum(dim=1, keepdim=True) - 1,
                **caching.going_on(self.loaded, cache),
            ).logits[:, -1]
        self.cached = caching.keys_and_values(cache)
        return logits

    def _join(self, new: caching.Cached, seen: torch.Tensor) -> None:
        """Put new rows under those that are there, all of them filled up on the left."""
        self.joined = True
        if self.cached:
            width = max(self.seen.shape[1], seen.shape[1])

            def below(*states: torch.Tensor) -> torch.Tensor:
                return torch.cat([_widened(old, width) for old in states])

            self.cached = caching.each(below, self.cached, new)
            pairs = (torch.nn.functional.pad(m, (width - m.shape[1], 0)) for m in (self.seen, seen))
            self.seen = torch.cat(list(pairs))
        else:
            self.cached, self.seen = new, seen

    def _leave(self, finished: Sequence[Text]) -> None:
        """Drop rows that ended or reached the border, and the columns that only they needed."""
        gone = set(map(id, finished))
        if self.border is not None:
            gone |= {id(text) for text in self.texts if text.size > self.border}
        if not gone:
            return
        stay = [row for row, text in enumerate(self.texts) if id(text) not in gone]
        self.texts = [self.texts[row] for row in stay]
        if not stay:
            self.cached, self.seen = [], self.seen[:0]
            return
        rows = torch.tensor(stay, device=self.seen.device)
        seen = self.seen[rows]
        begin = int(seen.any(dim=0).int().argmax())
        self.seen = seen[:, begin:]
        self.cached = caching.each(lambda old: old[rows.to(old.device), :, begin:], self.cached)


def _mark(texts: Sequence[Text], seen: torch.Tensor) -> None:
    """Write down how much company texts have in a pass: masked columns, and other rows."""
    for text, padding in zip(texts, (seen == 0).sum(dim=1).tolist(), strict=True):
        text.padding, text.rows = max(text.padding, padding), max(text.rows, len(texts))


def _widened(states: torch.Tensor, width: int) -> torch.Tensor:
    return torch.nn.functional.pad(states, (0, 0, width - states.shape[2], 0))
