"""The language of a question."""

import pytest

from relearn.text.languages import language_of


@pytest.mark.parametrize(
    ("text", "language"),
    [
        ("Where does Mia Kern live?", "en"),
        ("mia kern phone number?", "en"),
        ("Was Juan de la Cruz arrested?", "en"),
        ("Does Will van der Berg die in Rome?", "en"),
        ("Where does 林晓梅 live?", "en"),
        ("Wo wohnt Otto Falk?", "de"),
        ("Wie alt ist Otto Falk?", "de"),
        ("\u00bfD\u00f3nde vive Lena Fisk?", "es"),
        ("O\u00f9 habite Lena Fisk ?", "fr"),
        ("Qual \u00e8 il lavoro di Anna?", "it"),
        ("林晓梅住在哪里", "zh"),
        ("田中さんの住所はどこですか", "ja"),
        ("홍길동은 어디에 사나요?", "ko"),
        ("أين تعيش ليلى حداد", "ar"),
        ("Где живёт Лена Фиск?", "ru"),
    ],
)
def test_the_language_of_a_question(text: str, language: str) -> None:
    assert language_of(text) == language
