"""Whether one text follows from another, contradicts it, or neither."""

from collections.abc import Callable, Sequence
from functools import cache
from typing import get_args

from spacy.tokens import Doc

from relearn.errors import UserError
from relearn.evaluation.judges.similarity import embedder
from relearn.evaluation.rows import EntailmentLabel
from relearn.language import english
from relearn.models.loading import model_folder
from relearn.progress import progress_bar
from relearn.registry import Registry

Pairs = Sequence[tuple[str, str]]
EntailmentJudge = Callable[[Pairs], list[EntailmentLabel]]

ENTAILMENT: Registry[EntailmentJudge] = Registry("entailment judge")

# Cosines of MiniLM: above the first two texts say the same, below the second they are about
# different things and can't contradict each other.
_SAME = 0.85
_RELATED = 0.6

# Characters of a text that the rule reads; the embedding sees no more (256 word pieces).
_READ = 2000

_BATCH = 16  # pairs of one forward pass of a cross-encoder


@ENTAILMENT.register("provisional")
def provisional(pairs: Pairs) -> list[EntailmentLabel]:
    """A provisional rule: similar texts that name different numbers or people contradict.

    It sees conflicting names, numbers and negation in texts about the same thing, and no other
    contradiction; a trained judge is to replace it. Texts that are neither alike nor in conflict
    are neutral. Its labels agree with those in the paper's record no more often than the commonest
    label does (Cohen's kappa 0.14 forget, 0.12 retain; 0.02 on SNLI): hardly beyond chance.
    """
    cosines = embedder("minilm").similarities([p for p, _ in pairs], [h for _, h in pairs])
    docs = english().pipe(text[:_READ] for pair in pairs for text in pair)
    labels = []
    with progress_bar("entailment") as advance:
        for premise, hypothesis, cosine in zip(docs, docs, cosines, strict=True):
            labels.append(_label(_facts(premise), _facts(hypothesis), float(cosine)))
            advance(len(labels), len(pairs), "")
    return labels


def _facts(doc: Doc) -> tuple[set[str], bool]:
    """Return the names and numbers of a text, and whether it is negated."""
    names = {t.lower_ for t in doc if t.ent_type_ and t.pos_ in ("PROPN", "NUM")}
    return names, sum(t.dep_ == "neg" for t in doc) % 2 == 1


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
    return ENTAILMENT[name] if name in ENTAILMENT else _cross_encoder(name)


@cache
def _cross_encoder(name: str) -> EntailmentJudge:
    from transformers import pipeline

    try:
        folder = str(model_folder(name))
        classify = pipeline("text-classification", model=folder, batch_size=_BATCH)
    except (UserError, OSError, ValueError) as error:
        reason = " ".join(str(error).split())
        raise UserError(
            f"entailment judge {name!r} is not registered and can't be loaded: {reason}",
            f"Registered: {', '.join(ENTAILMENT)}.",
        ) from error
    labels = {str(label).lower() for label in (classify.model.config.id2label or {}).values()}
    if labels != set(get_args(EntailmentLabel)):
        raise UserError(
            f"model {name!r} is no entailment judge: its labels are {', '.join(sorted(labels))}.",
            "Choose another for evaluation.entailment.",
        )

    def judge(pairs: Pairs) -> list[EntailmentLabel]:
        inputs = [{"text": premise, "text_pair": hypothesis} for premise, hypothesis in pairs]
        found: list[EntailmentLabel] = []
        with progress_bar("entailment") as advance:
            for start in range(0, len(inputs), _BATCH):
                # Cut to what the model can read: an answer may be of any length.
                results = classify(inputs[start : start + _BATCH], truncation=True)
                found += [result["label"].lower() for result in results]
                advance(len(found), len(inputs), "")
        return found

    return judge
