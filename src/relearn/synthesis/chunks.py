"""Long answers in chunks of whole sentences."""

from relearn.text.english import english


def sentence_chunks(text: str, words: int) -> list[str]:
    """Cut a text between sentences into chunks of at most so many words.

    A sentence that is longer than that is a chunk of its own.

    Returns:
        At least one chunk; joined with spaces they are the text.
    """
    if len(text.split()) <= words:
        return [text]
    chunks: list[list[str]] = [[]]
    room = words
    for sentence in english()(text).sents:
        parts = sentence.text.split()
        if chunks[-1] and len(parts) > room:
            chunks.append([])
            room = words
        chunks[-1] += parts
        room -= len(parts)
    return [" ".join(chunk) for chunk in chunks if chunk]
