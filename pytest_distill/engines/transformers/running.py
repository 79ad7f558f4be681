"""Many texts generated at once, where a finished one makes room for the next."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import torch

from pytest_distill.engines.transformers.batching import mask, pad
from pytest_distill.engines.transformers.caching import Cached, filled, kept
from pytest_distill.engines.transformers.decoding import SeededSampling, of_tokens, tail_length
from pytest_distill.engines.transformers.loading import Loaded
from pytest_distill.engines.transformers.logits import logits_at
from pytest_distill.engines.transformers.memory import attempt, shrink
from pytest_distill.engines.transformers.products import computing
from pytest_distill.engines.transformers.tree_attention import read_prefix
from pytest_distill.engines.transformers.trees import common_prefix
from pytest_distill.evals.requests import Decoding

_ROOM = 4  # new texts are let in once a fourth of the places is free: every time costs a copy


@dataclass(eq=False)
class Text:
    """A text that is being generated.

    Parameters
    ----------
    index : int
        Which request it answers.
    prompt : list of int
        The tokens that it follows.
    seed : int, optional
        Of its sampling.
    tokens : list of int
        What was generated so far, an end token included.
    log_probabilities : list of float
        The model's log-probability of each of these tokens, before temperature and nucleus.
    """

    index: int
    prompt: list[int]
    seed: int | None
    tokens: list[int] = field(default_factory=list)
    log_probabilities: list[float] = field(default_factory=list)
    sampling: SeededSampling | None = None


def run_all(
    loaded: Loaded, texts: Sequence[Text], decoding: Decoding, ends: Sequence[int]
) -> Iterator[Text]:
    """Yield every text as soon as it is finished.

    Where memory runs out, the budget is halved and the texts that were not finished start again,
    fewer at a time; what was yielded before is done.

    Raises
    ------
    ModelError
        When a single text doesn't fit into memory.
    """
    left = sorted(texts, key=lambda text: -len(text.prompt))
    while left:
        running = _Running(loaded, left, decoding, ends)
        while running.texts or running.queue:
            fits, finished = attempt(running.step)
            if not fits or finished is None:
                lengths = [running.length(text) for text in running.read]
                running = _Running(loaded, [], decoding, ends)  # gives its tensors back
                shrink(loaded, loaded.generation_budget, lengths)
                break
            for text in finished:
                left.remove(text)
                yield text


class _Running:
    """The texts that are generated at the moment, and what the model keeps of them.

    Every text is a row; its tokens stand at the right end of the cache, and what is left of them
    is masked.
    """

    def __init__(
        self, loaded: Loaded, queue: Sequence[Text], decoding: Decoding, ends: Sequence[int]
    ) -> None:
        self.loaded, self.decoding, self.ends = loaded, decoding, frozenset(ends)
        self.queue = list(queue)
        self.texts: list[Text] = []
        self.read: list[Text] = []  # those that the last step had in memory
        self.kept: Cached = []
        self.seen = torch.zeros(0, 0, dtype=torch.long, device=loaded.device)
        self.tail = tail_length(decoding.stop)
        self.prefix: Cached | None = None
        self.skip = 0
        for text in self.queue:
            text.tokens.clear()
            text.log_probabilities.clear()
            text.sampling = (
                SeededSampling(decoding, [text.prompt], [text.seed]) if decoding.do_sample else None
            )

    def length(self, text: Text) -> int:
        """Return how many tokens a text has in the end, at most."""
        return len(text.prompt) + self.decoding.max_new_tokens

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
        chosen = self._choose(entering, logits)
        for text, token, log_probability in zip(entering, *chosen, strict=True):
            text.tokens.append(token)
            text.log_probabilities.append(log_probability)
        finished = [text for text in entering if self._is_finished(text)]
        if finished:
            self._leave(finished)
        return finished

    def _entering(self) -> list[Text]:
        """Return the next texts from the queue that there are places and a forward pass for."""
        if not self.queue:
            return []
        longest = max(map(self.length, [*self.texts, self.queue[0]]))
        places = max(1, self.loaded.generation_budget.tokens // longest)
        free = places - len(self.texts)
        if self.texts and free < max(1, places // _ROOM):
            return []
        at_once = self.loaded.budget.tokens // max(1, len(self.queue[0].prompt) - self.skip)
        return self.queue[: max(1, min(free, at_once))]

    def _read(self, texts: Sequence[Text]) -> torch.Tensor:
        """Read prompts and keep them; return the logits that follow each."""
        self._share_prefix()
        device = self.loaded.device
        rows = [text.prompt[self.skip :] for text in texts]
        own = mask(rows, device, "left")
        shared = torch.ones(len(rows), self.skip, dtype=torch.long, device=device)
        cache = filled(self.prefix or [], len(rows))
        inputs = {
            "input_ids": pad(rows, 0, device, "left"),
            "attention_mask": torch.cat([shared, own], dim=1),
            "position_ids": (own.cumsum(dim=1) - 1).clamp(min=0) + self.skip,
            **self.loaded.going_on(cache),
        }
        last = own.shape[1] - 1
        logits = logits_at(self.loaded, inputs, range(len(rows)), [last] * len(rows))
        self._join(kept(cache), inputs["attention_mask"])
        return logits

    def _share_prefix(self) -> None:
        """Read what all prompts begin with once, where that saves at least half a batch."""
        if self.texts or self.prefix is not None or len(self.queue) < 2:
            return
        prefix = common_prefix([tuple(text.prompt) for text in self.queue])
        prefix = prefix[: min(len(text.prompt) for text in self.queue) - 1]
        if len(prefix) * (len(self.queue) - 1) >= max(1, self.loaded.budget.tokens // 2):
            self.prefix, self.skip = read_prefix(self.loaded, prefix), len(prefix)

    def _go_on(self) -> torch.Tensor:
        """Read the last token of each text; return the logits that follow."""
        device = self.loaded.device
        self.seen = torch.nn.functional.pad(self.seen, (0, 1), value=1)
        cache = filled(self.kept, len(self.texts))
        with computing(self.loaded):
            logits: torch.Tensor = self.loaded.model(
                input_ids=torch.tensor([[text.tokens[-1]] for text in self.texts], device=device),
                attention_mask=self.seen,
                position_ids=self.seen.sum(dim=1, keepdim=True) - 1,
                **self.loaded.going_on(cache),
            ).logits[:, -1]
        self.kept = kept(cache)
        return logits

    def _choose(self, texts: Sequence[Text], logits: torch.Tensor) -> tuple[list[int], list[float]]:
        """Return the next token of each text, and the model's log-probability of it."""
        own = scores = logits.float()
        if self.decoding.do_sample:
            none = torch.empty(0)
            drawn = [
                text.sampling(none, scores[row : row + 1])
                for row, text in enumerate(texts)
                if text.sampling is not None
            ]
            scores = torch.cat(drawn)
        tokens = scores.argmax(dim=-1)
        likely: list[float] = of_tokens(own, tokens).tolist()
        return tokens.tolist(), likely

    def _is_finished(self, text: Text) -> bool:
        if text.tokens[-1] in self.ends or len(text.tokens) >= self.decoding.max_new_tokens:
            return True
        if not self.decoding.stop:
            return False
        # Only generated text counts: a prompt that ends in half a stop string stops nothing.
        tail = self.loaded.tokenizer.decode(text.tokens[-self.tail :])
        return any(string in tail for string in self.decoding.stop)

    def _join(self, new: Cached, seen: torch.Tensor) -> None:
        """Put new rows under those that are there, all of them filled up on the left."""
        if self.kept:
            width = max(self.seen.shape[1], seen.shape[1])
            both = zip(self.kept, new, strict=True)
            self.kept = [
                (
                    torch.cat([_widened(old, width) for old in (a, c)]),
                    torch.cat([_widened(old, width) for old in (b, d)]),
                )
                for (a, b), (c, d) in both
            ]
            pairs = (torch.nn.functional.pad(m, (width - m.shape[1], 0)) for m in (self.seen, seen))
            self.seen = torch.cat(list(pairs))
        else:
            self.kept, self.seen = new, seen

    def _leave(self, finished: Sequence[Text]) -> None:
        """Drop rows, and the columns that only they needed."""
        gone = set(map(id, finished))
        stay = [row for row, text in enumerate(self.texts) if id(text) not in gone]
        self.texts = [self.texts[row] for row in stay]
        if not stay:
            self.kept, self.seen = [], self.seen[:0]
            return
        rows = torch.tensor(stay, device=self.seen.device)
        seen = self.seen[rows]
        begin = int(seen.any(dim=0).int().argmax())
        self.seen = seen[:, begin:]
        self.kept = [
            (
                keys[rows.to(keys.device), :, begin:],
                values[rows.to(values.device), :, begin:],
            )
            for keys, values in self.kept
        ]


def _widened(states: torch.Tensor, width: int) -> torch.Tensor:
    return torch.nn.functional.pad(states, (0, 0, width - states.shape[2], 0))
