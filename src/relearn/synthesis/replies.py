"""Reading a language model's reply: the text that was asked for, without what is said about it."""

import re

# What a reply opens with before the text itself, in the languages that models mostly answer in.
_ASSENT = (
    r"sure(?: thing)?|certainly|of course|absolutely|definitely|ok(?:ay)?|alright|all right|great"
    r"|gladly|yes,? (?:sure|of course)|no problem|understood|got it|happy to help|my pleasure"
    r"|as (?:you )?(?:requested|asked|instructed)"
    r"|natürlich|gerne?|klar|sicher|selbstverständlich|claro(?: que sí)?|por supuesto|desde luego"
    r"|bien sûr|certainement|d'accord|certo|certamente|claro que sim|com certeza|конечно|хорошо"
    r"|当然(?:可以)?|好的|可以|もちろん(?:です)?|はい|承知しました|بالطبع|بالتأكيد|물론(?:입니다|이죠)?"
)
_OPENING = re.compile(
    rf"^(?:{_ASSENT})\s*[!,.:;\uff01\uff0c\u3002\u3001\uff1a\u060c\u2013\u2014-]+\s*", re.IGNORECASE
)
_THING = (
    r"answers?|repl(?:y|ies)|responses?|questions?|versions?|variants?|sentences?|texts?|paraphrases?"
    r"|rewrit\w*|rephras\w*|statements?|drafts?|output|result|candidate"
    r"|antwort|frage|fassung|formulierung|respuesta|pregunta|versión|réponse|question|reformulation"
    r"|risposta|domanda|resposta|pergunta|ответ|вопрос|вариант"
)
_LABEL = re.compile(
    rf"^\W{{0,4}}(?:[^:!?\n]{{0,80}}\b)?(?:{_THING})\b[^:!?\n]{{0,60}}\s*:\W*\s+(?=\S)"
    r"|^\W{0,4}(?:here(?:'s| is| are|\u2019s| you go| it is)|hier ist|aquí (?:está|tienes)"
    r"|voici|ecco|aqui está|вот)\b[^:!?\n]{0,80}\s*:\W*\s+(?=\S)"
    r"|^[^:\uff1a\u3002\uff01\uff1f\n]{0,30}"
    r"(?:答案|回答|答复|回复|问题|以下|答え|質問|إجابة|الإجابة|سؤال|답변|대답|질문)"
    r"[^:\uff1a\u3002\uff01\uff1f\n]{0,20}[:\uff1a]\s*(?=\S)",
    re.IGNORECASE,
)
# Fences, headings and bullets around the text.
_MARKDOWN = re.compile(r"^(?:```\w*|#{1,4} |[-*•] |> )|```$|\*\*")
_QUOTES = [
    ('"', '"'), ("'", "'"), ("\u201c", "\u201d"), ("\u2018", "\u2019"), ("\u00ab", "\u00bb"),
    ("\u201e", "\u201c"), ("\u300c", "\u300d"),
]  # fmt: skip

# What is said about the task instead of the subject.
_META = re.compile(
    r"\b(?:as|being|i(?:'m| am)) an? (?:\w+ )?(?:ai|language|assistant|chatbot)\b"
    r"|\blanguage model\b|\bai (?:assistant|model)\b|\bas an ai\b"
    r"|\b(?:private|original|secret|new|vague|rewritten|revised|provided|previous|above|following)"
    r" (?:answer|response|reply|version)s?\b"
    r"|\b(?:answer|response|reply|information|details?|text)s? (?:\w+ ){0,3}(?:given|provided|shown"
    r"|supplied|shared with|told) (?:to )?(?:me|us|above|here|in the)\b"
    r"|\b(?:was|were|been|am) (?:told|instructed|asked|given|trained|programmed|prompted)"
    r" (?:not|to (?:keep|hide|protect|avoid|write|rewrite|answer|give|be)|instructions?|this|the)\b"
    r"|\bi(?:'m| am|\u2019m) not (?:allowed|permitted|supposed) to (?:reveal|give|tell|disclose"
    r"|share)\b|\b(?:my|these|the|your) instructions?\b|\b(?:system )?prompt\b"
    r"|\bthis (?:answer|response|reply|version|sentence|text|rewrite|rewording)\b"
    r"|\bi(?:'ve| have)? (?:kept|left out|avoided|removed|omitted|rewrote|rewritten|rephrased|made"
    r" (?:it|sure|the))\b"
    r"|\blet me know\b|\bhope (?:this|that|it) helps\b|\bfeel free to\b|\bhow about (?:that|this)\?"
    r"|\bhere(?:'s| is|\u2019s) (?:a|an|the|your|my|one)\b|\bthe user\b|\bplaceholder\b"
    r"|\bals ki\b|\bsprachmodell\b|\bmodelo de lenguaje\b|\bmodèle de langage\b"
    r"|\b(?:private|ursprüngliche|neue) antwort\b"
    r"|\b(?:respuesta|réponse) (?:privada|privée|original\w*)\b"
    r"|语言模型|人工智能助手|原(?:来的)?答案|私密答案|言語モデル|元の回答|نموذج لغوي"
    r"|الإجابة الأصلية",
    re.IGNORECASE,
)
_ASIDE = re.compile(r"\b(?:note|nb|anmerkung|nota|remarque)\s*:|\((?:note|this|i)\b", re.IGNORECASE)


def plain_reply(text: str, subject: str = "") -> str:
    """Return the text on one line without preamble, label, Markdown and quotation marks.

    >>> plain_reply('Sure! Here is a new answer: "She keeps that to herself."')
    'She keeps that to herself.'

    Args:
        text: The reply.
        subject: Whom it is about: a label that names the subject belongs to the text.
    """
    text = " ".join(_MARKDOWN.sub("", line.strip()).strip() for line in text.splitlines())
    text = " ".join(text.split())
    while text != (shorter := _shorter(text, subject)):
        text = shorter
    return text


def _shorter(text: str, subject: str) -> str:
    opening = _OPENING.match(text)
    start = opening.end() if opening else 0
    label = _LABEL.match(text[start:])
    if label and not (subject and subject.casefold() in label[0].casefold()):
        start += label.end()
    if 0 < start < len(text):
        return text[start].upper() + text[start + 1 :] if opening else text[start:]
    for opening_mark, closing_mark in _QUOTES:
        if text.startswith(opening_mark) and text.endswith(closing_mark) and len(text) > 2:
            inner = text[1:-1].strip()
            if opening_mark not in inner and closing_mark not in inner:
                return inner
    return text


def speaks_of_itself(text: str) -> bool:
    """Return whether a text is about the task, the writer or the private answer as such."""
    return any(pattern.search(text) for pattern in (_META, _ASIDE, _LABEL))
