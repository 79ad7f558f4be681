"""Why a generated text ended, where its length alone tells."""

from __future__ import annotations

from dataclasses import replace

from pytest_distill.evals.requests import Prediction


def with_ending(prediction: Prediction, most: int) -> Prediction:
    """Return a prediction that says why its text ended, as far as that is known.

    One that does not say it and has fewer tokens than the greatest number, `most`, ended by
    itself: earlier versions stored no endings, and many files have none.
    """
    if prediction.finish is not None or prediction.text is None or prediction.tokens is None:
        return prediction
    return replace(prediction, finish="end") if prediction.tokens < most else prediction
