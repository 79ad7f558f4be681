"""The built-in metrics by name."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from pytest_distill.evals.metrics.base import Metric
from pytest_distill.evals.metrics.corpus import BLEU, CHRF
from pytest_distill.evals.metrics.labels import ACCURACY, ACCURACY_NORM, MACRO_F1, MATTHEWS
from pytest_distill.evals.metrics.perplexities import BITS_PER_BYTE, PERPLEXITY, WORD_PERPLEXITY
from pytest_distill.evals.metrics.texts import EXACT_MATCH, ROUGE_L, TOKEN_F1

BUILT_IN: Mapping[str, Metric] = MappingProxyType(
    {
        metric.name: metric
        for metric in (
            ACCURACY,
            ACCURACY_NORM,
            MACRO_F1,
            MATTHEWS,
            EXACT_MATCH,
            TOKEN_F1,
            ROUGE_L,
            BLEU,
            CHRF,
            PERPLEXITY,
            WORD_PERPLEXITY,
            BITS_PER_BYTE,
        )
    }
)
