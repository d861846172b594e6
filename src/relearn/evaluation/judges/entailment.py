"""Whether one text follows from another, contradicts it, or neither."""

from collections.abc import Callable, Sequence

from relearn.errors import UserError
from relearn.evaluation.judges.similarity import embedder
from relearn.evaluation.rows import EntailmentLabel
from relearn.language import english
from relearn.registry import Registry

Pairs = Sequence[tuple[str, str]]
EntailmentJudge = Callable[[Pairs], list[EntailmentLabel]]

ENTAILMENT: Registry[EntailmentJudge] = Registry("entailment judge")

# Cosines of MiniLM: above the first two texts say the same, below the second they are about
# different things and can't contradict each other.
_SAME = 0.85
_RELATED = 0.6


@ENTAILMENT.register("provisional")
def provisional(pairs: Pairs) -> list[EntailmentLabel]:
    """A provisional rule: similar texts that name different numbers or people contradict.

    It sees conflicting names, numbers and negation in texts about the same thing, and no other
    contradiction; a trained judge is to replace it. Texts that are neither alike nor in conflict
    are neutral.
    """
    cosines = embedder("minilm").similarities([p for p, _ in pairs], [h for _, h in pairs])
    docs = list(english().pipe([text for pair in pairs for text in pair]))
    return [
        _label(_facts(premise), _facts(hypothesis), float(cosine))
        for premise, hypothesis, cosine in zip(docs[::2], docs[1::2], cosines, strict=True)
    ]


def _facts(doc: object) -> tuple[set[str], bool]:
    """Return the names and numbers of a text, and whether it is negated."""
    tokens = list(doc)  # type: ignore[call-overload]
    names = {t.lower_ for t in tokens if t.ent_type_ and t.pos_ in ("PROPN", "NUM")}
    return names, sum(t.dep_ == "neg" for t in tokens) % 2 == 1


def _label(
    premise: tuple[set[str], bool], hypothesis: tuple[set[str], bool], cosine: float
) -> EntailmentLabel:
    (said, said_not), (claimed, claimed_not) = premise, hypothesis
    if cosine < _RELATED:
        return "neutral"
    if said_not != claimed_not or (said - claimed and claimed - said):
        return "contradiction"
    return "entailment" if cosine >= _SAME and claimed <= said else "neutral"


def entailment_judge(name: str) -> EntailmentJudge:
    """Return the judge called `name`: a registered one, or a cross-encoder by hub name or folder.

    Raises:
        UserError: there is no such judge or model, or the model's labels are not those of
            entailment.
    """
    if name in ENTAILMENT:
        return ENTAILMENT[name]
    from transformers import pipeline

    try:
        classify = pipeline("text-classification", model=name)
    except (OSError, ValueError) as error:
        raise UserError(
            f"entailment judge {name!r} is not registered and can't be loaded as a model.",
            f"Registered: {', '.join(ENTAILMENT)}.",
        ) from error
    names = classify.model.config.id2label or {}
    labels = {str(label).lower() for label in names.values()}
    if labels != {"entailment", "neutral", "contradiction"}:
        raise UserError(
            f"model {name!r} is no entailment judge: its labels are {', '.join(sorted(labels))}.",
            "Choose another for evaluation.entailment.",
        )

    def judge(pairs: Pairs) -> list[EntailmentLabel]:
        inputs = [{"text": premise, "text_pair": hypothesis} for premise, hypothesis in pairs]
        return [result["label"].lower() for result in classify(inputs, batch_size=16)]

    return judge
