"""Generation: vLLM writes token by token; where a text ends is told here, as for every engine."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from pytest_distill.engines.transformers.encoding import encode_rendered, fitting, rendered
from pytest_distill.engines.transformers.failures import quiet
from pytest_distill.engines.transformers.generation import joined, prediction
from pytest_distill.engines.transformers.reader import Reader
from pytest_distill.engines.transformers.texts import Text
from pytest_distill.engines.vllm.loading import RunningModel
from pytest_distill.engines.vllm.process import Job, JobAnswer
from pytest_distill.engines.vllm.scoring import refuse_refused
from pytest_distill.errors import ModelError
from pytest_distill.evals.requests import Prediction
from pytest_distill.evals.tasks.decoding import GenerationRequest

_COLDEST = 0.01
"""The lowest temperature at which vLLM samples; it takes a lower one for this."""
_SEEDS = 2**63


def generate(running: RunningModel, requests: Sequence[GenerationRequest]) -> Iterator[Prediction]:
    """Yield the generated text of every request, each as soon as it is finished.

    Greedy unless the request samples. What a sampled text follows from is its seed and its prompt,
    and nothing beside it, up to the rounding of the logits. With each text comes its log-likelihood
    under the model itself, before temperature and nucleus, as of the engine transformers.

    Raises
    ------
    ModelError
        When the prompt and the new tokens don't fit the model's context, a chat is asked of a
        tokenizer without a chat template, or the model's logits are no numbers.
    """
    reader = running.reader
    with quiet():
        prompts = rendered(reader, requests)
        rows = fitting(reader, requests, encode_rendered(reader, requests, prompts))
    every = [
        Text(index, rows[index], request.decoding, running.ends)
        for index, request in enumerate(requests)
    ]
    longest = list(joined(every))
    jobs = (
        Job(number, text.prompt, _sampling(reader, requests[text.index], text))
        for number, text in enumerate(longest)
    )
    for answer in running.process.answers(jobs):
        text = longest[answer.job.of]
        refuse_refused(reader, requests[text.index], answer)
        if _goes_on(reader, text, answer):
            continue
        for one in (*text.beginnings(), text):
            yield prediction(reader, requests[one.index], prompts[one.index], one)


def _goes_on(reader: Reader, text: Text, answer: JobAnswer) -> bool:
    """Add tokens to a text; return whether it is not at its end."""
    tokens, likely, reason = answer.values
    for token, log_probability in zip(tokens, likely, strict=True):
        text.tokens.append(token)
        text.log_probabilities.append(log_probability)
        if text.ending(reader) is not None:
            if reason is None:
                answer.stop()  # at a stop string, of which vLLM knows nothing
            return False
    if reason is not None:
        raise ModelError(
            f"{reader.who}: vLLM ended a text after {len(text.tokens)} of at most "
            f"{text.decoding.max_new_tokens} tokens ({reason}), at no token and no text that ends "
            "one"
        )
    return True


def _sampling(reader: Reader, request: GenerationRequest, text: Text) -> dict[str, Any]:
    """Return how vLLM is told to write a text."""
    decoding = text.decoding
    own: dict[str, Any] = {
        "max_tokens": decoding.max_new_tokens,
        "stop_token_ids": list(text.ends),
        "logprobs": 0,  # of the token that is chosen, and no other
    }
    if not decoding.do_sample:
        return {**own, "temperature": 0.0}
    if decoding.temperature < _COLDEST:
        raise ModelError(
            f"model '{reader.name}', example '{request.id}': temperature is "
            f"{decoding.temperature:g}, and vLLM samples at no temperature below {_COLDEST}: set a "
            "higher one, or leave out do_sample"
        )
    return {
        **own,
        "temperature": decoding.temperature,
        "top_p": decoding.top_p,
        "seed": text.key % _SEEDS,
    }
