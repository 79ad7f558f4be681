"""Text in any script: what is a word in it, and that perfect answers score as such."""

from __future__ import annotations

import random
import string
import unicodedata
from collections.abc import Callable
from typing import Any

import pytest
import sacrebleu
from rouge_score import tokenize
from rouge_score.rouge_scorer import RougeScorer

from pytest_distill import ConfigError, GoldSetError
from pytest_distill.evals.built_in import BUILT_IN
from pytest_distill.evals.goldset import Example
from pytest_distill.evals.metrics import Answer
from pytest_distill.evals.normalisation import composed, spaced, words
from pytest_distill.evals.requests import Prediction
from pytest_distill.evals.tasks import Generation, MultipleChoice
from pytest_distill.gates import contamination

MakeAnswer = Callable[..., Answer]

TEXTS = {
    "Arabic": "مرحبا بالعالم، كيف حالك؟",
    "Armenian": "Բարև աշխարհ, ինչպես ես։",
    "Bengali": "ওহে বিশ্ব, কেমন আছো তুমি",
    "Bopomofo": "ㄋㄧˇㄏㄠˇㄕˋㄐㄧㄝˋ",
    "Burmese": "မင်္ဂလာပါ ကမ္ဘာလောက။",
    "Chinese": "今天天气很好，我们去公园吧。",
    "Ethiopic": "ሰላም ለዓለም፣ እንዴት ነህ።",
    "Georgian": "გამარჯობა მსოფლიო, როგორ ხარ",
    "Greek": "Γεια σου κόσμε, τι κάνεις;",
    "Hebrew": "שלום עולם, מה שלומך?",
    "Hindi": "नमस्ते दुनिया, आप कैसे हैं?",
    "Japanese": "今日はとても良い天気ですね。カタカナも。",
    "Khmer": "សួស្តីពិភពលោក។",
    "Korean": "오늘 날씨가 아주 좋습니다.",
    "Lao": "ສະບາຍດີຊາວໂລກ",
    "Polish": "Zażółć gęślą jaźń, proszę.",
    "Russian": "Сегодня очень хорошая погода.",
    "Tamil": "வணக்கம் உலகம், எப்படி இருக்கிறீர்கள்",
    "Thai": "สวัสดีครับ วันนี้อากาศดีมาก",
    "Tibetan": "བཀྲ་ཤིས་བདེ་ལེགས།",
    "Vietnamese": "Hôm nay trời rất đẹp.",
    "emoji": "👍🏽 🎉 👩‍🚀 ☀️",
    "full-width": "ＡＢＣ１２３，ｄｅｆ！",
    "half-width": "ﾊﾝｶｸｶﾅ ﾃﾞｽ",
}
BEST = {
    "exact_match": 1.0,
    "token_f1": 1.0,
    "rouge_l": 1.0,
    "bleu": 100.0,
    "chrf": 100.0,
    "word_error_rate": 0.0,
    "char_error_rate": 0.0,
}


@pytest.mark.parametrize("metric", BEST)
@pytest.mark.parametrize("script", TEXTS)
def test_a_perfect_answer_has_the_best_score_in_any_script(
    text_answer: MakeAnswer, script: str, metric: str
) -> None:
    """Also where one side writes its accents as characters of their own."""
    text = TEXTS[script]
    # A text of three words or less has no 4-gram: corpus BLEU is none of it.
    for form in ("NFC", "NFD"):
        answer = text_answer(unicodedata.normalize(form, text), text)
        assert BUILT_IN[metric].scores([answer])[0] == BEST[metric]


@pytest.mark.parametrize("metric", ["token_f1", "rouge_l", "bleu"])
@pytest.mark.parametrize("script", sorted(set(TEXTS) - {"emoji", "full-width", "half-width"}))
def test_a_half_right_answer_is_neither_right_nor_wrong(
    text_answer: MakeAnswer, script: str, metric: str
) -> None:
    """A sentence without blanks is more than one word."""
    text = composed(TEXTS[script])
    half = text[: len(text) // 2]
    least, most = 0.0, BEST[metric]
    assert least < BUILT_IN[metric].scores([text_answer(half, text)])[0] < most


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("今天3.5度，iPhone手机", ["今", "天", "3", "5", "度", "iphone", "手", "机"]),
        ("カタカナ", ["カ", "タ", "カ", "ナ"]),
        ("ดีค่ะ", ["ดี", "ค่", "ะ"]),
        ("नमस्ते दुनिया", ["नमस्ते", "दुनिया"]),
        ("می\u200cخواهم", ["میخواهم"]),
        ("Привет, мир!", ["привет", "мир"]),
        ("Grüße aus Köln à", ["gr", "e", "aus", "k", "ln", "à"]),
        ("don't A1_b2", ["don", "t", "a1", "b2"]),
        ("good👍 20 °C", ["good", "👍", "20", "c"]),
        ("，。！「」", []),
    ],
)
def test_words(text: str, expected: list[str]) -> None:
    """Runs of letters, and characters alone where a script has no blanks; a-z as rouge-score."""
    assert words(text) == expected


def test_ascii_is_cut_as_rouge_score_cuts_it() -> None:
    """To the last digit, for many random texts and for each character."""
    drawn = random.Random(0)
    texts = ["".join(drawn.choices(string.printable, k=40)) for _ in range(500)]
    for text in [*texts, *map(chr, range(128))]:
        assert words(text) == tokenize.tokenize(text, None)
        assert spaced(text) == text


def test_rouge_l_of_european_texts_is_rouge_scores(text_answer: MakeAnswer) -> None:
    """A word with letters of a-z in it is cut as rouge-score cuts it."""
    pairs = [
        ("Grüße aus Köln!", "Viele Grüße aus Köln!"),
        ("Das Café schließt um 20 °C", "Das Café öffnet um 8 Uhr"),
        ("naïve “quotes” — dashes… 5 €", "naive quotes and dashes: 5 €"),
    ]
    score = RougeScorer(["rougeL"]).score
    expected = [score(target, output)["rougeL"].fmeasure for output, target in pairs]
    assert all(0 < value < 1 for value in expected)
    found = BUILT_IN["rouge_l"].scores([text_answer(*pair) for pair in pairs])
    assert found.tolist() == pytest.approx(expected, abs=1e-15)


CHINESE = [
    ("今天天气很好，我们去公园。", "今天的天气很好，我们去公园吧。"),
    ("他用iPhone 15拍了3张照片！", "他用iPhone 15拍了30张照片！"),
    ("价格是3.5元（约0.5美元）", "价格为3.5元（约0.5美元）。"),
]


def test_bleu_of_chinese_is_that_of_sacrebleus_tokenizer_for_it(text_answer: MakeAnswer) -> None:
    """Characters count, where its default takes a sentence for a word."""
    outputs, references = [output for output, _ in CHINESE], [[target for _, target in CHINESE]]
    metric = BUILT_IN["bleu"]
    rows = metric.statistics([text_answer(*pair) for pair in CHINESE])
    found = float(metric.aggregate(rows.sum(axis=0)))
    expected = sacrebleu.corpus_bleu(outputs, references, tokenize="zh").score
    assert 20 < expected < 100
    assert found == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("script", ["Polish", "Russian", "Greek", "Korean", "Hindi", "Arabic"])
def test_bleu_of_scripts_with_blanks_is_sacrebleus_default(
    text_answer: MakeAnswer, script: str
) -> None:
    """Only scripts that 13a cannot cut are cut before it."""
    text = composed(TEXTS[script])
    output = " ".join([*text.split()[1:], "x"])
    expected = sacrebleu.sentence_bleu(output, [text]).score
    found = BUILT_IN["bleu"].scores([text_answer(output, text)])[0]
    assert found == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize(
    ("predicted", "target", "expected"),
    [
        ("“巴黎”。", "巴黎", 1.0),
        ("在巴黎", "巴黎", 0.8),
        ("Ｐaris！", "Ｐaris", 1.0),
        ("¿París?", "paris\u0301", 0.0),
        ("¿París?", "pari\u0301s", 1.0),
        ("«Москва»", "москва", 1.0),
        ("a$b", "ab", 1.0),
    ],
)
def test_token_f1_beyond_ascii(
    text_answer: MakeAnswer, predicted: str, target: str, expected: float
) -> None:
    """No punctuation of any script counts; a character is a word where none has blanks around it.

    By hand: 在巴黎 has 3 characters, 巴黎 2, both shared: 2 * 2 / 5 = 0.8.
    """
    assert BUILT_IN["token_f1"].scores([text_answer(predicted, target)])[0] == expected


def test_extract_finds_an_accent_however_it_is_encoded() -> None:
    """In the expression and in the output."""
    example = Example("1", {"input": "", "target": "été"}, "gold:1")
    for pattern in ("r\u00e9ponse: (.*)", "re\u0301ponse: (.*)"):
        task = Generation(extract=pattern)
        for output in ("r\u00e9ponse: \u00e9t\u00e9", "re\u0301ponse: e\u0301te\u0301"):
            answer = task.answer(example, Prediction("1", text=output))
            assert answer.predicted == "\u00e9t\u00e9"


def test_a_choice_is_found_however_its_accent_is_encoded() -> None:
    """As the target of an example, and as a prediction."""
    fields: dict[str, Any] = {
        "input": "",
        "choices": ["caf\u00e9", "th\u00e9"],
        "target": "the\u0301",
    }
    answer = MultipleChoice().answer(
        Example("1", fields, "gold:1"), Prediction("1", prediction="the\u0301")
    )
    assert answer.correct


@pytest.mark.parametrize("prompt", ["{{ ['a', 'b'] | random }}", "{{ lipsum() }}"])
def test_a_prompt_cannot_draw_at_random(prompt: str) -> None:
    """Teacher and student would be asked different things."""
    with pytest.raises((ConfigError, GoldSetError), match=r"random|lipsum"):
        Generation(prompt=prompt).request(Example("1", {"input": "", "target": "a"}, "gold:1"))


def test_texts_in_the_training_data_are_found_however_their_accents_are_encoded() -> None:
    """The words of both are compared in one form."""
    assert contamination.words("Un cafe\u0301") == contamination.words("un caf\u00e9")
