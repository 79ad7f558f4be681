"""A server whose log-probabilities come from a real model in this process; it can lie too."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import count
from math import exp
from pathlib import Path
from typing import Any

import torch
import transformers

from tests.servers.served import Asked, Reply, Served, served

hf: Any = transformers  # whose constructors carry no types

LABEL_KEYS = ("structured_outputs", "response_format")


@dataclass(frozen=True)
class Lies:
    """What a server does not do as it should. Without any it does as vLLM's does."""

    shifted: int = 0
    """By how many tokens the log-probabilities of a prompt are off."""
    late: bool = False
    """Has how likely each token is after itself."""
    no_logprobs: bool = False
    """Leaves them out, without a word."""
    scale: float = 1.0
    """What its log-probabilities are multiplied by: their logarithms are of another base."""
    probabilities: bool = False
    """Has probabilities in their place."""
    rounded: bool = False
    """Rounds them to two digits."""
    top_only: bool = False
    """Has those of the most likely tokens alone."""
    no_tops: bool = False
    """Does not say which tokens are the most likely."""
    no_echo: bool = False
    """Leaves the prompt out of the answer, without a word."""
    no_lists: bool = False
    """Refuses lists of prompts."""
    first_of_list: bool = False
    """Answers the first prompt of a list alone."""
    no_ids: bool = False
    """Refuses to write tokens as ids."""
    longest: int | None = None
    """How many tokens a prompt may have."""
    longest_list: int | None = None
    """How many prompts a list may have."""
    no_tokenize: bool = False
    """Has no /tokenize."""
    no_usage: bool = False
    """Does not say how many tokens it wrote."""
    no_completions: bool = False
    """Has chats alone."""
    cuts: int | None = None
    """To how many tokens a prompt is cut on the left, without a word."""
    fingerprint: str | None = None
    """What it calls the state that it answers in."""
    ignores: tuple[str, ...] = ()
    """Which of `LABEL_KEYS` are ignored, without a word."""


HONEST = Lies()


@dataclass
class Scored:
    """A causal model as a server has it.

    Parameters
    ----------
    folder : Path
        The checkpoint.
    lies : Lies
        What its server does not do as it should.
    """

    folder: Path
    lies: Lies = HONEST

    def __post_init__(self) -> None:
        self.model = hf.AutoModelForCausalLM.from_pretrained(self.folder).eval()
        self.tokenizer = hf.AutoTokenizer.from_pretrained(self.folder)
        self._numbers = count()

    def ids(self, prompt: str | Sequence[int], *, special: bool = True) -> list[int]:
        """Return the tokens of a prompt."""
        if not isinstance(prompt, str):
            return list(prompt)
        found: list[int] = self.tokenizer(prompt, add_special_tokens=special)["input_ids"]
        return found

    @torch.inference_mode()
    def logs(self, row: Sequence[int]) -> torch.Tensor:
        """Return the log-probabilities after each token of a row."""
        logits: torch.Tensor = self.model(input_ids=torch.tensor([list(row)])).logits[0]
        return logits.log_softmax(-1)

    def handle(self, asked: Asked) -> Reply:
        """Answer one request."""
        if asked.path == "/tokenize" and not self.lies.no_tokenize:
            special = asked.body["add_special_tokens"]
            return Reply({"tokens": self.ids(asked.body["prompt"], special=special)})
        if asked.path == "/v1/completions" and not self.lies.no_completions:
            return self._complete(asked.body)
        if asked.path == "/v1/chat/completions":
            return self._chat(asked.body)
        return Reply({"detail": "Not Found"}, 404)

    def _complete(self, body: Mapping[str, Any]) -> Reply:
        prompt = body["prompt"]
        several = isinstance(prompt, list) and not isinstance(prompt[0], int)
        if self.lies.no_ids and "return_tokens_as_token_ids" in body:
            return Reply({"error": "unknown parameter"}, 400)
        if several and self.lies.no_lists:
            return Reply({"error": "prompt must be a text"}, 400)
        prompts = prompt if several else [prompt]
        if len(prompts) > (self.lies.longest_list or len(prompts)):
            return Reply({"error": "too many prompts"}, 400)
        longest = max(len(self.ids(one)) for one in prompts)
        if longest > (self.lies.longest or longest):
            return Reply({"error": f"context length is {self.lies.longest}, not {longest}"}, 400)
        if self.lies.first_of_list:
            prompts = prompts[:1]
        choices = [self._choice(n, body, self.ids(one)) for n, one in enumerate(prompts)]
        return self._answer(choices, sum(choice.pop("written") for choice in choices))

    def _choice(self, index: int, body: Mapping[str, Any], row: list[int]) -> dict[str, Any]:
        row = row[-(self.lies.cuts or len(row)) :]
        start, end = len(row), self.tokenizer.eos_token_id
        while len(row) < start + body["max_tokens"] and row[-1] != end:
            row.append(int(self.logs(row)[-1].argmax()))
        first = 0 if body.get("echo") and not self.lies.no_echo else start
        text = self.tokenizer.decode(row[first:], skip_special_tokens=True)
        choice = {"index": index, "text": text, "written": len(row) - start}
        if body.get("logprobs") is not None and not self.lies.no_logprobs:
            choice["logprobs"] = self._logprobs(body, row, first, start)
        return choice

    def _logprobs(
        self, body: Mapping[str, Any], row: list[int], first: int, start: int
    ) -> dict[str, Any]:
        def name(token: int) -> str:
            if body.get("return_tokens_as_token_ids"):
                return f"token_id:{token}"
            return str(self.tokenizer.decode([token]))

        logs = self.logs(row)
        values: list[float | None] = [None]
        tops: list[dict[str, float] | None] = [None]
        for place in range(1, len(row)):
            own, best = row[place], int(logs[place - 1].argmax())
            value = logs[place - (not self.lies.late or place >= start), own].item()
            value, top = map(self._told, (value, logs[place - 1, best].item()))
            tops.append({name(own): value, name(best): top})
            if self.lies.rounded:
                value = round(value, 2)
            values.append(None if self.lies.top_only and own != best else value)
        if self.lies.shifted:
            read = values[1:start]
            values[1:start] = read[self.lies.shifted :] + read[: self.lies.shifted]
        said = {"tokens": [name(token) for token in row[first:]], "token_logprobs": values[first:]}
        return said if self.lies.no_tops else {**said, "top_logprobs": tops[first:]}

    def _told(self, value: float) -> float:
        """Return what is said for a log-probability."""
        return exp(value) if self.lies.probabilities else value * self.lies.scale

    def _chat(self, body: Mapping[str, Any]) -> Reply:
        prompt = self.tokenizer.apply_chat_template(
            body["messages"], tokenize=False, add_generation_prompt=True
        )
        row = self.ids(prompt)
        allowed = self._allowed(body)
        if allowed is None:
            row, start = list(row), len(row)
            for _ in range(body["max_tokens"]):
                row.append(int(self.logs(row)[-1].argmax()))
            text = self.tokenizer.decode(row[start:], skip_special_tokens=True)
        else:  # what is allowed and likeliest, token for token
            text = max(allowed, key=lambda one: self._likelihood(row, one))
        message = {"role": "assistant", "content": text}
        return self._answer([{"index": 0, "message": message, "finish_reason": "stop"}], 1)

    def _allowed(self, body: Mapping[str, Any]) -> list[str] | None:
        key = next((key for key in LABEL_KEYS if key in body), None)
        if key is None or key in self.lies.ignores:
            return None
        if key == "structured_outputs":
            return list(body[key]["choice"])
        labels = body[key]["json_schema"]["schema"]["properties"]["label"]["enum"]
        return [json.dumps({"label": label}) for label in labels]

    def _likelihood(self, row: list[int], text: str) -> float:
        more = [*self.ids(text, special=False), self.tokenizer.eos_token_id]
        logs = self.logs([*row, *more])
        return sum(logs[len(row) - 1 + n, token].item() for n, token in enumerate(more))

    def _answer(self, choices: list[Any], written: int) -> Reply:
        answer: dict[str, Any] = {"id": f"answer-{next(self._numbers)}", "choices": choices}
        if self.lies.fingerprint is not None:
            answer["system_fingerprint"] = self.lies.fingerprint
        usage = {"prompt_tokens": 1, "completion_tokens": written, "total_tokens": 1 + written}
        return Reply(answer if self.lies.no_usage else {**answer, "usage": usage})


@contextmanager
def scoring(model: Scored, lies: Lies = HONEST) -> Iterator[Served]:
    """Run a server of a model as long as the block lasts."""
    model.lies = lies
    with served(model.handle) as server:
        yield server
