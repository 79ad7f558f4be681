"""A model behind a server: what is asked, and what is made of the answers."""

from __future__ import annotations

from itertools import count

from pytest_distill.engines import ModelSpec
from pytest_distill.engines.openai import OpenAIEngine
from pytest_distill.evals.tasks.decoding import Decoding, GenerationRequest
from tests.servers.served import Asked, Reply, chat_answer, completion, served


def engine(url: str, **options: object) -> OpenAIEngine:
    """Return an engine for the model ``m`` of a server."""
    said = {"base_url": url, "model": "m", **options}
    return OpenAIEngine(ModelSpec("teacher", "teacher", options=said))


def test_every_request_gets_the_answer_to_it() -> None:
    """Of many requests at once, chats and plain prompts."""
    numbers = count()

    def handle(asked: Asked) -> Reply:
        number = next(numbers)
        if asked.path.endswith("chat/completions"):
            return Reply(chat_answer(f"chat {asked.body['messages'][-1]['content']}", number))
        return Reply(completion(f"plain {asked.body['prompt']}", number))

    decoding = Decoding(max_new_tokens=5, stop=("\n",))
    with served(handle) as server:
        for chat, kind in ((True, "chat"), (False, "plain")):
            requests = [
                GenerationRequest(f"e{n}", f"prompt {n}", chat, decoding) for n in range(50)
            ]
            answers = {p.id: p.text for p in engine(server.url).predict(requests)}
            assert answers == {f"e{n}": f"{kind} prompt {n}" for n in range(50)}
    assert {asked.body["model"] for asked in server.asked} == {"m"}
    assert {
        "model": "m",
        "messages": [{"role": "user", "content": "prompt 7"}],
        "max_tokens": 5,
        "temperature": 0,
        "stop": ["\n"],
        "logprobs": True,
    } in [asked.body for asked in server.asked]
