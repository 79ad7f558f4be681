from __future__ import annotations

import json
import shutil
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
import torch

from pytest_distill import ModelError
from pytest_distill.errors import ConfigError
from pytest_distill.evals.tasks.decoding import Decoding, GenerationRequest

from .tiny import TEXTS, Make, predicted

SHORT = Decoding(max_new_tokens=12)


def _alone(engine: Any, prompt: str, **options: Any) -> str:
    """Return what transformers generates for one prompt, greedily, without a batch."""
    inputs = engine.tokenizer(prompt, return_tensors="pt").to(engine.model.device)
    output = engine.model.generate(**inputs, do_sample=False, max_new_tokens=12, **options)[0]
    skip = inputs["input_ids"].shape[1] if engine.model.config.model_type == "llama" else 1
    return str(engine.tokenizer.decode(output[skip:], skip_special_tokens=True))


@pytest.mark.parametrize("batch_tokens", [1, 70, 4096])
@pytest.mark.parametrize("kind", ["causal", "seq2seq"])
def test_batched_greedy_texts_equal_those_of_each_prompt_alone(
    engine: Make, request: pytest.FixtureRequest, kind: str, batch_tokens: int
) -> None:
    """Greedy texts of causal and seq2seq models don't depend on the batch."""
    made = engine(request.getfixturevalue(f"{kind}_folder"), batch_tokens=batch_tokens)
    prompts = [GenerationRequest(str(i), t, decoding=SHORT) for i, t in enumerate(TEXTS)]
    got = {prediction.id: prediction.text for prediction in predicted(made, prompts)}
    assert got == {str(i): _alone(made, text) for i, text in enumerate(TEXTS)}
    assert len(set(got.values())) > 1


def test_stop_strings_end_a_text_and_are_cut_off(engine: Make, causal_folder: Path) -> None:
    """The text ends before the first stop string, whatever its tokens; others go on."""
    made = engine(causal_folder)
    whole = {t: _alone(made, t) for t in TEXTS}
    stop = (whole[TEXTS[0]][3:5], whole[TEXTS[1]][4:7])
    decoding = Decoding(max_new_tokens=12, stop=stop)
    requests = [GenerationRequest(text, text, decoding=decoding) for text in TEXTS]
    for prediction in predicted(made, requests):
        ends = [whole[prediction.id].find(string) for string in stop]
        end = min((at for at in ends if at >= 0), default=None)
        assert prediction.text == whole[prediction.id][:end]


def test_a_stop_string_that_began_in_the_prompt_does_not_end_the_text(
    engine: Make, causal_folder: Path
) -> None:
    """Only generated text is searched: the prompt's end and the text's start don't add up."""
    made = engine(causal_folder)
    whole = _alone(made, "one, two")
    decoding = Decoding(max_new_tokens=12, stop=("two" + whole[:1],))
    (prediction,) = predicted(made, [GenerationRequest("1", "one, two", decoding=decoding)])
    assert prediction.text == whole


def test_an_end_token_ends_the_text(engine: Make, causal_folder: Path, tmp_path: Path) -> None:
    """The checkpoint's own end tokens are kept, be it one or several."""
    made = engine(causal_folder)
    inputs = made.tokenizer("one, two", return_tensors="pt").to(made.model.device)
    output = made.model.generate(**inputs, do_sample=False, max_new_tokens=12)[0]
    new = output[inputs["input_ids"].shape[1] :].tolist()
    at = next(i for i in range(2, 12) if new[i] not in new[:i])
    copy = shutil.copytree(causal_folder, tmp_path / "copy")
    (copy / "generation_config.json").write_text(json.dumps({"eos_token_id": [1, new[at]]}))
    (prediction,) = predicted(engine(copy), [GenerationRequest("1", "one, two", decoding=SHORT)])
    assert prediction.text == made.tokenizer.decode(new[:at])


def test_the_checkpoint_does_not_decide_how_it_is_decoded(
    engine: Make, causal_folder: Path, tmp_path: Path
) -> None:
    """Sampling, penalties, beams and lengths in generation_config.json change nothing."""
    copy = shutil.copytree(causal_folder, tmp_path / "copy")
    smuggled = {
        "do_sample": True,
        "temperature": 3.0,
        "repetition_penalty": 5.0,
        "num_beams": 3,
        "max_length": 7,
        "min_new_tokens": 12,
        "no_repeat_ngram_size": 2,
        "suppress_tokens": list(range(100, 200)),
        "eos_token_id": 1,
    }
    (copy / "generation_config.json").write_text(json.dumps(smuggled))
    prompts = [GenerationRequest(str(i), t, decoding=SHORT) for i, t in enumerate(TEXTS)]
    made = engine(copy)
    theirs = {prediction.id: prediction.text for prediction in predicted(made, prompts)}
    plain = {
        prediction.id: prediction.text for prediction in predicted(engine(causal_folder), prompts)
    }
    assert theirs == plain
    assert made.model.generation_config.repetition_penalty == 5.0  # the user's object, as it was


def test_a_chat_goes_through_the_template(engine: Make, causal_folder: Path) -> None:
    """With chat the prompt is a user's message and the text begins where the answer does."""
    made = engine(causal_folder)
    chat, plain = predicted(
        made,
        [
            GenerationRequest("chat", "one, two", chat=True, decoding=SHORT),
            GenerationRequest("plain", "<|user|>one, two\n<|assistant|>", decoding=SHORT),
        ],
    )
    assert chat.text == plain.text == _alone(made, "<|user|>one, two\n<|assistant|>")


def test_a_chat_without_template_is_an_error(
    engine: Make, causal_folder: Path, tmp_path: Path
) -> None:
    """The error names the model and the key to change."""
    copy = shutil.copytree(causal_folder, tmp_path / "copy")
    (copy / "chat_template.jinja").unlink()
    message = "tokenizer of model 'student' has no chat template; set chat: false"
    with pytest.raises(ModelError, match=message):
        list(engine(copy).predict([GenerationRequest("1", "one", chat=True)]))


def test_a_chat_template_that_fails_is_an_error(
    engine: Make, causal_folder: Path, tmp_path: Path
) -> None:
    """What the template itself raises is passed on with the example's id."""
    copy = shutil.copytree(causal_folder, tmp_path / "copy")
    (copy / "chat_template.jinja").write_text("{{ raise_exception('system first') }}")
    message = "chat template of model 'student' fails on example '1': system first"
    with pytest.raises(ModelError, match=message):
        list(engine(copy).predict([GenerationRequest("1", "one", chat=True)]))


def test_sampling_depends_on_seed_and_prompt_alone(engine: Make, causal_folder: Path) -> None:
    """The same seed gives the same texts in any batch and order, another seed others."""

    def texts(seed: int, batch_tokens: int, order: int) -> dict[str, str | None]:
        decoding = Decoding(max_new_tokens=8, do_sample=True, temperature=2.0, top_p=0.9, seed=seed)
        requests = [GenerationRequest(t, t, decoding=decoding) for t in TEXTS][::order]
        made = engine(causal_folder, batch_tokens=batch_tokens)
        return {prediction.id: prediction.text for prediction in predicted(made, requests)}

    first = texts(1, 4096, 1)
    assert first == texts(1, 1, -1)
    assert first != texts(2, 4096, 1)


def test_sampled_tokens_follow_the_nucleus_of_the_distribution(
    engine: Make, causal_folder: Path
) -> None:
    """Over 600 seeds the first token's frequencies are the top-p probabilities (chi-square)."""
    made = engine(causal_folder)
    inputs = made.tokenizer("one, two", return_tensors="pt").to(made.model.device)
    with torch.no_grad():
        logits = made.model(**inputs).logits[0, -1].double() / 1.5
    order = logits.softmax(-1).sort(descending=True)
    size = int((order.values.cumsum(-1) < 0.6).sum()) + 1
    nucleus = order.values[:size] / order.values[:size].sum()
    decodings = [
        Decoding(max_new_tokens=1, do_sample=True, temperature=1.5, top_p=0.6, seed=seed)
        for seed in range(600)
    ]
    requests = [GenerationRequest(str(d.seed), "one, two", decoding=d) for d in decodings]
    seen = Counter(prediction.text for prediction in predicted(made, requests))
    names = [made.tokenizer.decode([i], skip_special_tokens=True) for i in order.indices[:size]]
    assert set(seen) <= set(names)
    expected = Counter[str]()
    for name, probability in zip(names, nucleus.tolist(), strict=True):
        expected[name] += 600 * probability
    statistic = sum((seen[name] - count) ** 2 / count for name, count in expected.items())
    assert statistic < len(expected) + 4 * (2 * len(expected)) ** 0.5


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"do_sample": True}, "do_sample: needs a seed"),
        ({"do_sample": True, "seed": 1, "temperature": 0.0}, "temperature: must be .* above 0"),
        ({"do_sample": True, "seed": 1, "top_p": 1.5}, "top_p: must be above 0 and at most 1"),
        ({"max_new_tokens": 0}, "max_new_tokens: must be at least 1, not 0"),
    ],
)
def test_impossible_decoding_is_an_error(given: dict[str, Any], message: str) -> None:
    """Sampling without a seed, and settings that mean nothing, are refused."""
    with pytest.raises(ConfigError, match=message):
        Decoding(**given)


def test_a_prompt_beyond_the_context_is_an_error_with_its_id(
    engine: Make, causal_folder: Path
) -> None:
    """Prompt and new tokens must fit together, unless the prompt may be cut from the left."""
    made = engine(causal_folder)
    long = "one, two, three " * 30
    message = r"example 'g3': the prompt has \d+ tokens and max_new_tokens is 12, .* is 96"
    with pytest.raises(ModelError, match=message):
        list(made.predict([GenerationRequest("g3", long, decoding=SHORT)]))
    cut = GenerationRequest("g3", long, decoding=SHORT, truncate="left")
    (prediction,) = predicted(made, [cut])
    tokens = made.tokenizer(long)["input_ids"][-84:]
    assert prediction.text == _alone(made, made.tokenizer.decode(tokens))
    hopeless = GenerationRequest("g3", "o", decoding=Decoding(max_new_tokens=96), truncate="left")
    with pytest.raises(ModelError, match="max_new_tokens is 96"):
        list(made.predict([hopeless]))


def test_an_empty_prompt_starts_from_the_prefix_token(engine: Make, causal_folder: Path) -> None:
    """Without a prompt the text is what follows BOS."""
    made = engine(causal_folder)
    (prediction,) = predicted(made, [GenerationRequest("1", "", decoding=SHORT)])
    assert prediction.text == _alone(made, "<s>")
