"""Text as it is compared: one form for each character, and what counts as a word in any script.

Each function looks at one text alone, so that outputs and answers, of all models, are cut alike.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator
from functools import cache
from itertools import chain

# Scripts that put no blank between words: those of the line-breaking classes ID and SA of Unicode's
# annex 14 (Han, kana, Bopomofo, Yi; Thai, Lao, Myanmar, Khmer, Tai Le, New Tai Lue, Tai Tham, Tai
# Viet, Ahom), and the punctuation and full-width forms that stand in such text.
_LETTERS = (
    ("\u0e00", "\u0eff"),
    ("\u1000", "\u109f"),
    ("\u1780", "\u17ff"),
    ("\u1950", "\u19df"),
    ("\u1a20", "\u1aaf"),
    ("\u2e80", "\u2fff"),
    ("\u3001", "\u312f"),
    ("\u31a0", "\u31ff"),
    ("\u3400", "\u4dbf"),
    ("\u4e00", "\ua4cf"),
    ("\ua9e0", "\ua9ff"),
    ("\uaa60", "\uaadf"),
    ("\uf900", "\ufaff"),
    ("\ufe10", "\ufe1f"),
    ("\ufe30", "\ufe4f"),
    ("\uff00", "\uff9f"),
    ("\uffe0", "\uffef"),
    ("\U00011700", "\U0001174f"),
    ("\U0001b000", "\U0001b16f"),
    ("\U00020000", "\U000323af"),
)
_SEPARATORS = "\u0f0b\u0f0c\u1361"  # stand where others have a blank: Tibetan's, Ethiopic's
_SELECTORS = ("\ufe00-\ufe0f", "\U000e0100-\U000e01ef")
_FIRST_PICTURE = "\u2600"  # what comes before, such as a degree sign, rouge-score drops too
_ASCII_WORDS = re.compile(r"[a-z0-9]+")


def composed(text: str) -> str:
    """Return `text` in Unicode's form NFC: an accent is a part of its letter, however it came."""
    return unicodedata.normalize("NFC", text)


def spaced(text: str) -> str:
    """Return `text` with blanks around each character of a script that has none between words.

    As sacrebleu's tokenizer ``zh`` and BERT's basic tokenizer do it for Han characters; a vowel or
    tone mark stays with its letter. Text in other scripts is left as it is.
    """
    return text if text.isascii() else _unspaced().sub(r" \g<0> ", text)


def words(text: str) -> list[str]:
    """Return the words of `text` in lower case, as rouge-score cuts them where it does.

    It takes runs of a-z and 0-9 and drops all else. A word that it would drop altogether is kept
    here: a run of letters, digits and marks; an emoji or the like alone; and a character alone in
    scripts without blanks, see `spaced`.
    """
    text = composed(text.lower())
    if text.isascii():
        return _ASCII_WORDS.findall(text)
    cut = ((_ASCII_WORDS.findall(run) or [run]) for run in _runs(spaced(text)))
    return list(chain.from_iterable(cut))


def bare(text: str) -> str:
    """Return `text` in NFC and lower case, without punctuation: what is said, not how it is set.

    Punctuation is that of any script, and ASCII's symbols (``$+<=>^`|~``): as in the evaluation of
    MLQA, which follows SQuAD's for English.
    """
    return "".join(c for c in composed(text.lower()) if not _is_punctuation(c))


def _runs(text: str) -> Iterator[str]:
    run: list[str] = []
    for character in text:
        kind = _kind(character)
        if kind == "letter" or (kind == "mark" and run):
            run.append(character)
        elif kind != "invisible":
            if run:
                yield "".join(run)
            run = []
            if kind == "picture":
                yield character
    if run:
        yield "".join(run)


@cache
def _kind(character: str) -> str:
    category = unicodedata.category(character)
    if category == "So" and character >= _FIRST_PICTURE:
        return "picture"
    kinds = {"L": "letter", "N": "letter", "M": "mark"}
    return "invisible" if category == "Cf" else kinds.get(category[0], "between")


@cache
def _is_punctuation(character: str) -> bool:
    category = unicodedata.category(character)
    return category[0] == "P" or (character.isascii() and category[0] == "S")


@cache
def _unspaced() -> re.Pattern[str]:
    """Return what finds a character of a script without blanks, with the marks that it bears.

    Where a mark of the script's own stands for the blank, that mark.
    """
    every = (chr(code) for first, last in _LETTERS for code in range(ord(first), ord(last) + 1))
    marks = "".join(c for c in every if unicodedata.category(c)[0] == "M")
    letters = "".join(f"{first}-{last}" for first, last in _LETTERS)
    marks = f"[{re.escape(marks)}{''.join(_SELECTORS)}]*"
    return re.compile(f"[{_SEPARATORS}]|[{letters}]{marks}")
