"""The data of the example suite: movie review sentences that people rated, read in place.

Hutto and Gilbert (2014) had 10,605 sentences from rotten.tomatoes.com rated from -4 to 4 by 20
people each. The ratings travel in the source distribution of vaderSentiment, as an archive in the
archive; its wheel leaves them out, so `pip install` cannot bring them.
"""

from __future__ import annotations

import io
import random
import re
import tarfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from _artifacts import Missing

ARCHIVE = "vaderSentiment-3.3.2.tar.gz"
INNER = "vaderSentiment-3.3.2/additional_resources/hutto_ICWSM_2014.tar.gz"
RATINGS = "hutto_ICWSM_2014/movieReviewSnippets_GroundTruth.txt"
DOWNLOAD = "pip download --no-deps --no-binary vaderSentiment vaderSentiment==3.3.2 -d {folder}"


@dataclass(frozen=True)
class Review:
    """One sentence, and the mean of what its raters said, from -4 to 4."""

    id: str
    text: str
    rating: float

    @property
    def label(self) -> str:
        """Which side of neutral the rating is on."""
        return "positive" if self.rating > 0 else "negative"


@dataclass(frozen=True)
class Split:
    """Who sees which sentence; no sentence is in two of the lists."""

    gold: list[Review]
    labelled: list[Review]
    unlabelled: list[Review]


def split(folder: Path, *, gold: int, labelled: int, seed: int) -> Split:
    """Read the sentences, and deal them out.

    Sentences that the raters found nearly neutral (at most 0.5 either way) have no honest label:
    they only ever serve as unlabelled text. The gold set is the same for every seed.
    """
    reviews = _distinct(_read(folder / ARCHIVE))
    clear = [review for review in reviews if abs(review.rating) > 0.5]
    neutral = [review for review in reviews if abs(review.rating) <= 0.5]
    random.Random("gold").shuffle(clear)
    rest = clear[gold:]
    random.Random(seed).shuffle(rest)
    return Split(clear[:gold], rest[:labelled], rest[labelled:] + neutral)


def gold_row(review: Review) -> dict[str, Any]:
    """Give a line of the gold set, with the fields that `distill.yaml` slices by."""
    words = len(review.text.split())
    strength = abs(review.rating)
    return {
        "id": review.id,
        "text": review.text,
        "label": review.label,
        "length": "short" if words <= 12 else "medium" if words <= 24 else "long",
        "strength": "mild" if strength <= 1 else "clear" if strength <= 2 else "strong",
    }


def _read(archive: Path) -> list[Review]:
    if not archive.exists():
        command = DOWNLOAD.format(folder=archive.parent)
        raise Missing(f"{archive} is missing. Run: {command}")
    with tarfile.open(archive) as outer:
        inner = _member(outer, INNER)
    with tarfile.open(fileobj=io.BytesIO(inner)) as corpus:
        text = _member(corpus, RATINGS).decode("latin-1")
    rows = (line.split("\t", 2) for line in text.split("\n") if line.strip())
    return [
        Review(f"movie-{id}", " ".join(text.split()), float(rating)) for id, rating, text in rows
    ]


def _member(archive: tarfile.TarFile, name: str) -> bytes:
    file = archive.extractfile(name)
    if file is None:
        raise Missing(f"{name} is not a file in the archive")
    return file.read()


def _distinct(reviews: list[Review]) -> list[Review]:
    """Drop repeats, compared by letters and digits, so that no gold sentence is also trained on."""
    first: dict[str, Review] = {}
    for review in reviews:
        key = re.sub(r"[^a-z0-9]", "", review.text.lower())
        if key:
            first.setdefault(key, review)
    return list(first.values())
