"""Sentence completion: the first part of a new answer as prompt, the rest as target."""

from collections.abc import Sequence

from relearn.data.new_answers import NewAnswer
from relearn.synthesis.verification import counts_characters

_FEWEST_WORDS = 4


def completion_rows(rows: Sequence[NewAnswer], share: float) -> list[NewAnswer]:
    """Return a completion row for each row; its answer is the rest of that row's new answer.

    Source: arXiv 2502.11190, whose share is 0.25.

    Args:
        rows: Accepted rows; an answer of fewer than four words gives no completion.
        share: Of the answer's words, rounded, that become the prompt; of its characters, where no
            spaces part the words; 0 for no completions.
    """
    if not share:
        return []
    completions = []
    for row in rows:
        spaced = not counts_characters(row.answer)
        words = row.answer.split() if spaced else list(row.answer)
        if len(words) >= _FEWEST_WORDS:
            cut = max(1, round(share * len(words)))
            joint = " " if spaced else ""
            prompt, rest = joint.join(words[:cut]), joint.join(words[cut:])
            # A continuation's beginning is continued, too.
            cut_in_two = {
                "question": type(row.question)(prompt),
                "answer": rest,
                "kind": "completion",
            }
            # No copy: each would have a set of its fields' names, larger than its texts.
            completions.append(NewAnswer(**dict(row) | cut_in_two))
    return completions
