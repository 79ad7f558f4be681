"""Text into tokens, exactly as lm-evaluation-harness 0.4.13 does for causal models.

The rules are those of ``lm_eval/models/huggingface.py`` (``tok_encode``, ``prefix_token_id``) and
``lm_eval/api/model.py`` (``_encode_pair``, ``loglikelihood``), so that log-likelihoods agree.
"""

from __future__ import annotations

from collections.abc import Sequence

from pytest_distill.engines.transformers.loaded import Loaded
from pytest_distill.errors import ModelError


def prefix_token(loaded: Loaded) -> int:
    """Return the token that stands before the first one of a text: BOS, else EOS."""
    tokenizer = loaded.tokenizer
    for token in (tokenizer.bos_token_id, tokenizer.eos_token_id):
        if token is not None:
            return int(token)
    raise ModelError(
        f"model '{loaded.name}': its tokenizer has neither a BOS nor an EOS token, so there is "
        "nothing to predict the first token of a text from"
    )


def encode(loaded: Loaded, texts: Sequence[str]) -> list[list[int]]:
    """Return the tokens of each text, with the special tokens that the tokenizer adds by itself.

    A text that already begins with the BOS token (a rendered chat) gets no second one.
    """
    has_prefix = (loaded.tokenizer.bos_token_id, loaded.tokenizer.eos_token_id) != (None, None)
    prefix = loaded.tokenizer.decode([prefix_token(loaded)]) if has_prefix else None
    bare = [not (prefix and text.startswith(prefix)) for text in texts]
    tokens: list[list[int]] = [[] for _ in texts]
    for special in (True, False):
        if indices := [index for index, added in enumerate(bare) if added is special]:
            chosen = [texts[index] for index in indices]
            encoded = loaded.tokenizer(chosen, add_special_tokens=special)["input_ids"]
            for index, row in zip(indices, encoded, strict=True):
                tokens[index] = list(row)
    return tokens


def encode_pairs(
    loaded: Loaded, context: str, continuations: Sequence[str]
) -> list[tuple[list[int], list[int]]]:
    """Return the tokens of the context and of the continuation, for each continuation.

    Spaces at the end of the context belong to the continuation, and context and continuation are
    encoded as one text and then split, because tokens may reach across the seam.
    """
    if context == "":
        prefix = prefix_token(loaded)
        pairs = []
        encoded = loaded.tokenizer(list(continuations), add_special_tokens=False)["input_ids"]
        for row in map(list, encoded):
            begins = bool(row) and row[0] == prefix
            pairs.append((row[:1], row[1:]) if begins else ([prefix], row))
        return pairs
    stripped = context.rstrip()
    spaces = context[len(stripped) :]
    wholes = [stripped + (spaces + continuation) for continuation in continuations]
    first, *rest = encode(loaded, [stripped, *wholes])
    return [(first, whole[len(first) :]) for whole in rest]
