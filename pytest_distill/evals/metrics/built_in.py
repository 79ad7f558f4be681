"""The built-in metrics by name."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from pytest_distill.errors import ConfigError
from pytest_distill.evals.metrics.base import Metric, check_metric
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


def check_own_metric(metric: object, where: str) -> Metric:
    """Return a metric of the user's, or a built-in one handed over as an object.

    Raises
    ------
    ConfigError
        It lacks something, or has the name of a built-in metric, whose numbers everybody would
        take its own for.
    """
    checked = check_metric(metric, where)
    built_in = BUILT_IN.get(checked.name)
    if built_in is not None and checked is not built_in:
        raise ConfigError(
            f"{where}: {metric!r:.80} has the name of the built-in metric '{checked.name}' and "
            f"would take its place; give it another, such as 'my_{checked.name}'"
        )
    return checked
