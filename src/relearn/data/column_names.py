"""What data sets call a record's fields."""

# What the field's data sets call a record's fields (KnowUnDo, TOFU, Alpaca, SQuAD, …), the surest
# names first; the first group that a set has decides.
NAMES: dict[str, tuple[tuple[str, ...], ...]] = {
    "id": (("id",), ("uid", "idx", "index", "record_id")),
    "question": (
        ("question",),
        ("query", "prompt", "instruction"),
        ("text", "input"),
        ("inputs", "user", "human", "q"),
    ),
    "answer": (
        ("answer",),
        ("answers", "response", "output", "completion", "chosen"),
        ("labels", "label", "target"),
        ("targets", "assistant", "best_answer", "gt", "a"),
    ),
    "subject": (("subject",), ("author", "entity", "name")),
    "paraphrases": (("paraphrases",), ("paraphrased_question", "paraphrased_questions")),
    "paraphrased_answer": (("paraphrased_answer",),),
    "wrong_answers": (
        ("wrong_answers",),
        ("perturbed_answer", "perturbed_answers"),
        ("incorrect_answers",),
    ),
    "choices": (("choices", "options"),),
    "system": (("system",), ("system_prompt", "system_message")),
    "continues": (("continues",),),
}
USUAL_NAMES = frozenset(n for groups in NAMES.values() for group in groups for n in group)
REQUIRED = ("question", "answer")
# Names that often mean something else: what is read from them is said aloud.
GUESSED = frozenset(
    "text input labels label target author entity name user human q assistant gt a".split()
)
# What a question may lean on, and is not read.
CONTEXTS = ("context", "passage", "article")
CLASSES = ("labels", "label", "target")


def usual(name: str) -> str:
    """Return a column's name as `NAMES` writes it."""
    return "_".join(name.casefold().replace("-", " ").split())
