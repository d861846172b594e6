"""The attack that asks whether a model was trained on the facts, by scores of its likelihoods."""

from collections.abc import Mapping, Sequence
from typing import Any

from relearn.audit.base import Attempt, Beside, attack
from relearn.audit.facts import Fact
from relearn.audit.model import AttackedModel
from relearn.base.distributed import shared_out
from relearn.data.tokenization import Example
from relearn.evaluation.metrics.membership import ATTACKS as SCORES
from relearn.evaluation.metrics.membership import roc_area
from relearn.evaluation.rows import EvaluatedRow
from relearn.inference.length_batches import in_length_batches
from relearn.inference.likelihood import answer_statistics, gradient_norm

_CHEAP = ("loss", "zlib", "min_k", "min_k_plus_plus")


def _figures(attempts: Sequence[Attempt], control: Sequence[Attempt] | None) -> dict[str, Any]:
    areas = _areas(attempts)
    figures: dict[str, Any] = {"auc": areas}
    if control is not None and (others := _areas(control)):
        near = {name: closeness(areas[name], others[name]) for name in areas if name in others}
        figures |= {"closeness": near, "mean_closeness": sum(near.values()) / len(near)}
    return figures


def closeness(area: float, control: float) -> float:
    """Return 1 - min(|AUC - AUC_control| / AUC_control, 1): 1 for a model like the control.

    Forgetting more than the control ever knew is as telling as forgetting less. An area below 0.5
    is that of the other set by 1 - AUC, so that it does not matter which set is called a member's.

    Args:
        area: Of the model, 0 to 1.
        control: Of the control, 0 to 1.
    """
    return 1 - min(abs(area - control) / max(control, 1 - control), 1.0)


@attack("membership", figures=_figures, quick={"scores": _CHEAP},
        standard={"scores": (*_CHEAP, "reference")},
        thorough={"scores": (*_CHEAP, "reference", "gradient_norm")})  # fmt: skip
def membership(
    model: AttackedModel,
    facts: Sequence[Fact],
    *,
    scores: Sequence[str],
    beside: Beside | None = None,
) -> list[Attempt]:
    """Score true answers, and answers that no model saw, as membership attacks do; none is asked.

    Those that no model saw are the records' wrong answers; without any the retained records stand
    in, which the control did see: there even the target has a closeness of one half or more. `auc`
    is the chance that a true answer scores higher than one of the others; `closeness`, 0 to 1, how
    near that is to the control's: 1 for a model that forgot just enough.

    Source: the scores' own, see the metrics `mia_*`; PrivLeak of MUSE (arXiv 2407.06460) for the
    comparison with a model that never saw the facts
    """
    members, others = _sides(facts, beside.retain if beside else ())
    if not others:
        return []
    base = beside.model("base") if beside and "reference" in scores else None
    if base is None:
        scores = [name for name in scores if name != "reference"]
    sides = [("true", fact) for fact in members] + [("other", fact) for fact in others]
    rows = _rows(model, base, [fact for _, fact in sides], "gradient_norm" in scores)
    return [
        Attempt(
            fact.record.id, side, "", "", None,
            figures={name: SCORES[name][1](row) for name in scores},
        )
        for (side, fact), row in zip(sides, rows, strict=True)
    ]  # fmt: skip


def _sides(facts: Sequence[Fact], retain: Sequence[Fact]) -> tuple[Sequence[Fact], Sequence[Fact]]:
    """Return what was learned, and what stands for what was not."""
    doubted = [fact for fact in facts if fact.record.wrong_answers]
    if not doubted:
        return facts, retain
    wrong = [{"answer": fact.record.wrong_answers[0]} for fact in doubted]
    return doubted, [
        Fact(f.record.model_copy(update=answer)) for f, answer in zip(doubted, wrong, strict=True)
    ]


def _rows(
    model: AttackedModel, base: AttackedModel | None, facts: Sequence[Fact], gradients: bool
) -> list[EvaluatedRow]:
    """Return the facts as rows with what the scores read."""
    examples = [model.prompt_format.encode(f.record.question, f.record.answer) for f in facts]
    found = in_length_batches(
        examples,
        lambda batch: answer_statistics(model.model, batch, model.pad_token_id),
        length=len,
        size=model.batch_size,
        title=None,
        shared=True,
    )
    losses = [-float(each.mean()) for each in base.log_probs(examples)] if base else None
    norms = _gradient_norms(model, examples) if gradients else None
    return [
        EvaluatedRow(
            set="forget",
            question=fact.record.question,
            reference=fact.record.answer,
            generation="",
            answer_log_probs=each.log_probs.tolist(),
            answer_z_scores=each.z_scores.tolist(),
            base_loss=losses[i] if losses else None,
            gradient_norm=norms[i] if norms else None,
        )
        for i, (fact, each) in enumerate(zip(facts, found, strict=True))
    ]


def _gradient_norms(model: AttackedModel, examples: Sequence[Example]) -> list[float]:
    norms = shared_out(lambda e: gradient_norm(model.model, e, model.pad_token_id), examples)
    model.model.requires_grad_(False)
    return norms


def _areas(attempts: Sequence[Attempt]) -> Mapping[str, float]:
    sides: dict[str, list[Attempt]] = {"true": [], "other": []}
    for attempt in attempts:
        sides[attempt.variant].append(attempt)
    if not all(sides.values()):
        return {}
    return {
        name: roc_area(*([a.figures[name] for a in side] for side in sides.values()))
        for name in sides["true"][0].figures
    }
