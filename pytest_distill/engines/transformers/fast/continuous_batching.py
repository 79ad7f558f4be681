"""Many texts generated at once, where a finished one makes room for the next."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import takewhile
from operator import itemgetter

import torch

from pytest_distill.engines.transformers.batching import attempt, shrink
from pytest_distill.engines.transformers.fast import caching
from pytest_distill.engines.transformers.fast.caching import Slots
from pytest_distill.engines.transformers.fast.onednn import all_logits
from pytest_distill.engines.transformers.fast.trees import common_prefix
from pytest_distill.engines.transformers.likelihood import logits_at
from pytest_distill.engines.transformers.loaded import Loaded, Neighbours
from pytest_distill.engines.transformers.texts import Text, go_on
from pytest_distill.engines.transformers.whole_texts import crosses, difference

_ROOM = 4  # new texts are let in once a fourth of the places is free: every time costs a pass


class WrongTextError(Exception):
    """A text is not what the model says when it reads all of it at once."""


def run_all(loaded: Loaded, texts: Sequence[Text]) -> Iterator[Text]:
    """Yield every text as soon as it is finished, and `shorter` ones as soon as it is so long.

    Where memory runs out, the budget is halved and the texts that were not finished start again,
    fewer at a time; what was yielded before is done, but for shorter ones, which come again.

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
                left.pop(text, None)  # a shorter one isn't in it
                yield text


class _Batch:
    """The texts that are generated at the moment, and their keys and values."""

    def __init__(self, loaded: Loaded, queue: Sequence[Text], border: int | None) -> None:
        self.loaded, self.border = loaded, border
        self.queue = _in_order(queue)
        self.texts: list[Text] = []  # in the order of their slots
        self.read: list[Text] = []  # those that the last step had in memory
        self.slots = Slots()
        self.prefix: caching.Cached = []
        self.skip = 0

    @torch.inference_mode()
    def step(self) -> list[Text]:
        """Let texts in, or generate one token of each; return what is finished by it."""
        entering = self._entering()
        went_on = not entering
        self.read = self.texts + entering
        if entering:
            logits = self._read(entering)
            self.queue = self.queue[len(entering) :]
            self.texts += entering
        else:
            entering, logits = self.texts, self._go_on()
        go_on(entering, logits)
        finished = [text for text in entering if text.ending(self.loaded)]
        begun = [own for text in entering for own in text.beginnings(len(text.tokens))]
        self._leave(finished)
        self._check([*begun, *finished], went_on=went_on)
        return [*begun, *finished]

    def _check(self, finished: Sequence[Text], *, went_on: bool) -> None:
        """Refuse texts that are not what the model says, as far as that was not looked at.

        Those whose prompts were just read tell nothing of what a step after that does.
        """
        seen = self.loaded.findings.looped.setdefault((self.skip > 0, went_on), Neighbours())
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
        """Return the next texts from the queue that there are slots and a forward pass for."""
        if not self.queue:
            return []
        longest = max(text.longest for text in (*self.texts, self.queue[0]))
        fitting = max(1, self.loaded.generation_budget.tokens // longest)
        places = min(fitting, len(self.texts) + len(self.queue))
        if places >= 2 * self.slots.rows:  # more slots cost a copy of all that are taken
            self.slots.rows, self.slots.columns = places, longest
        free = self.slots.rows - len(self.texts)
        if self.texts and free < max(1, self.slots.rows // _ROOM):
            return []
        at_once = max(1, self.loaded.budget.tokens // max(1, self.queue[0].size - self.skip))
        _, of_rows = self._rows(self.queue[:free])
        return self.queue[: len(list(takewhile(lambda row: row < at_once, of_rows)))]

    def _read(self, texts: Sequence[Text]) -> torch.Tensor:
        """Read prompts and keep them; return the logits that follow each.

        A text that goes on writes over the padding.
        """
        self._share_prefix()
        rows, places = self._rows(texts)
        inputs, cache = caching.reading_on(self.loaded, rows, self.prefix, self.skip)
        _mark(texts)
        ends = [len(rows[place]) - 1 for place in places]
        logits = logits_at(self.loaded, inputs, places, ends)
        kept = caching.keys_and_values(cache)
        if len(rows) < len(texts):
            kept = caching.each(itemgetter(places), kept)
        self.slots.enter(kept, len(self.texts))
        return logits

    def _rows(self, texts: Sequence[Text]) -> tuple[list[list[int]], list[int]]:
        """Return what is read for some texts, each different row once, and which is each text's."""
        rows = [text.row[self.skip :] for text in texts]
        if not self.loaded.joins:
            return rows, list(range(len(rows)))
        places: dict[tuple[int, ...], int] = {}
        found = [places.setdefault(tuple(row), len(places)) for row in rows]
        return list(map(list, places)), found

    def _share_prefix(self) -> None:
        """Read what all prompts begin with once, where that saves at least half a batch."""
        if self.texts or self.prefix or len(self.queue) < 2:
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
        _mark(self.texts)
        inputs = self.slots.open([text.size - 1 for text in self.texts], device)
        return all_logits(
            self.loaded,
            input_ids=torch.tensor([[text.tokens[-1]] for text in self.texts], device=device),
            **inputs,
            **caching.going_on(self.loaded, self.slots.cache),
        )[:, -1]

    def _leave(self, finished: Sequence[Text]) -> None:
        """Free the slots of texts that ended or reached the border."""
        gone = set(finished)
        if self.border is not None:
            gone |= {text for text in self.texts if text.size > self.border}
        if gone:
            stay = [row for row, text in enumerate(self.texts) if text not in gone]
            order = self.slots.keep(stay, len(self.texts))
            self.texts = [self.texts[row] for row in order]


def _in_order(texts: Sequence[Text]) -> list[Text]:
    """Return the longest texts first, for the slots fit all to come, and equal prompts together."""
    first: dict[tuple[int, ...], int] = {}
    order = [first.setdefault(tuple(text.prompt), len(first)) for text in texts]
    places = sorted(range(len(texts)), key=lambda place: (-texts[place].longest, order[place]))
    return [texts[place] for place in places]


def _mark(texts: Sequence[Text]) -> None:
    """Write down how much company texts have in a pass: masked columns, and other rows."""
    longest = max(text.size for text in texts)
    for text in texts:
        text.padding = max(text.padding, longest - text.size)
        text.rows = max(text.rows, len(texts))
