"""The verdict in plain words: whether it forgot, whether it kept, whether the language is intact.

Each answer follows from the figures by a stated rule, and the report prints the rule beside it.
"""

from dataclasses import dataclass
from typing import Literal

from relearn.base.errors import listed
from relearn.evaluation.significance import wilson_interval
from relearn.report.glossary import SETS, number, percent
from relearn.report.results import RunResults

Answer = Literal["yes", "partly", "no", "nothing to forget", "not measured"]

# Rules: (at least this is a yes, at least this is a partly).
KFR_STEPS = (0.8, 0.5)
FORGOTTEN_SHARE_STEPS = (0.5, 0.25)  # by how much the answers' overlap with the truth fell
KEPT_SHARE_STEPS = (0.9, 0.7)
LANGUAGE_SHARE_STEPS = (0.9, 0.7)
# A target model whose answers count as forgotten this often, and that says less than this of the
# references, never knew the forget set.
UNKNOWN_FROM_KFR, KNOWN_FROM_OVERLAP = KFR_STEPS[0], 0.5
# Share of answers that must be measured for a rate to be relied on.
MEASURED_FROM = 0.5

_CLAUSES: dict[str, dict[Answer, str]] = {
    "forget": {
        "yes": "the model has forgotten what it was asked to forget",
        "partly": "the model has forgotten only part of what it was asked to forget",
        "no": "the model has not forgotten what it was asked to forget",
        "nothing to forget": "there was nothing to forget, since the target model did not know it",
        "not measured": "forgetting was not measured",
    },
    "keep": {
        "yes": "it kept what it was to keep",
        "partly": "it lost some of what it was to keep",
        "no": "it lost much of what it was to keep",
        "not measured": "keeping was not measured",
    },
    "language": {
        "yes": "its language is intact",
        "partly": "its language is weakened",
        "no": "its language is damaged",
        "not measured": "its language was not measured",
    },
}


@dataclass(frozen=True)
class Finding:
    """The answer to one of the three questions.

    Attributes:
        question: As a reader asks it.
        answer: By the rule.
        clause: The answer as part of a sentence.
        evidence: The figures it rests on.
        rule: How the answer follows from them.
    """

    question: str
    answer: Answer
    clause: str
    evidence: str
    rule: str


@dataclass(frozen=True)
class Verdict:
    """The three findings, the sentence they make, and what a reader has to bear in mind."""

    sentence: str
    findings: list[Finding]
    caveats: list[str]


def judge(results: RunResults) -> Verdict:
    """Return the verdict on the unlearned model of a run."""
    findings = [_forgotten(results), _kept(results), _language(results)]
    clauses = [finding.clause for finding in findings]
    if left := len(results.unanswered):
        clauses.insert(1, f"{left} {'record was' if left == 1 else 'records were'} not unlearned")
    sentence = "; ".join(clauses) + "."
    return Verdict(sentence[0].upper() + sentence[1:], findings, _caveats(results))


def _forgotten(results: RunResults) -> Finding:
    kfr = _relied_on(results, "forget", "kfr")
    before, after = _pair(results, "forget/rougeL_recall")
    fall = None if before is None or after is None else 1 - after / before if before else 0.0
    evidence = [
        *_rate(results, "forget", "kfr", "count as forgotten (KFR)"),
        *_overlap(before, after),
        *_rate(results, "forget_unseen", "kfr", "count as forgotten"),
    ]
    answer, clause = _conclude("forget", (kfr, KFR_STEPS), (fall, FORGOTTEN_SHARE_STEPS))
    if results.unanswered and answer == "yes":
        answer, clause = "partly", _CLAUSES["forget"]["partly"]
    if _never_knew(results):
        answer, clause = "nothing to forget", _CLAUSES["forget"]["nothing to forget"]
        known = results.metric("target", "forget/kfr") or 0.0
        evidence.insert(
            0, f"before unlearning, {percent(known)} of the answers counted as forgotten"
        )
    return Finding(
        "Did it forget?",
        answer,
        clause,
        _sentence(evidence),
        f"Yes: KFR of at least {KFR_STEPS[0]} and ROUGE-L recall on the forget set at least "
        f"halved. Partly: KFR of at least {KFR_STEPS[1]} and a fall of at least "
        f"{percent(FORGOTTEN_SHARE_STEPS[1])}. No yes while a record got no new answer. Nothing to "
        f"forget: a KFR of at least {UNKNOWN_FROM_KFR} and a recall below {KNOWN_FROM_OVERLAP} "
        "before unlearning.",
    )


def _never_knew(results: RunResults) -> bool:
    """Return whether the target model did not know the forget set to begin with."""
    kfr, overlap = (results.metric("target", f"forget/{m}") for m in ("kfr", "rougeL_recall"))
    if kfr is None or overlap is None:
        return False
    return kfr >= UNKNOWN_FROM_KFR and overlap < KNOWN_FROM_OVERLAP


def _relied_on(results: RunResults, set_name: str, metric: str) -> float | None:
    """Return a rate of the unlearned model; None where most answers could not be measured."""
    rate = results.metric("unlearned", f"{set_name}/{metric}")
    measured, left_out = _counts(results, set_name, metric)
    return None if left_out and measured < MEASURED_FROM * (measured + left_out) else rate


def _counts(results: RunResults, set_name: str, metric: str) -> tuple[int, int]:
    """Return how many of the unlearned model's answers make a rate, and how many are left out."""
    answers = sum(
        example.set == set_name and "unlearned" in example.answers for example in results.examples
    )
    left_out = int(results.metric("unlearned", f"{set_name}/{metric}_unmeasured") or 0)
    return max(0, answers - left_out), left_out


def _kept(results: RunResults) -> Finding:
    before, after = _pair(results, "retain/rougeL_recall")
    evidence = [
        *_rate(results, "retain", "krr", "count as retained (KRR)"),
        *_overlap(before, after),
        *_rate(results, "retain_unseen", "krr", "count as retained"),
    ]
    steps = KEPT_SHARE_STEPS
    return Finding(
        "Did it keep the rest?",
        *_conclude(
            "keep",
            (_share(_pair(results, "retain/krr")[0], _relied_on(results, "retain", "krr")), steps),
            (_share(before, after), steps),
        ),
        _sentence(evidence),
        f"Yes: KRR and ROUGE-L recall on the retain set are at least {percent(steps[0])} of what "
        f"they were before. Partly: at least {percent(steps[1])}.",
    )


def _language(results: RunResults) -> Finding:
    steps, shares, evidence = LANGUAGE_SHARE_STEPS, [], []
    for set_name in ("forget", "retain"):
        before, after = _pair(results, f"{set_name}/ls")
        shares.append((_share(before, after), steps))
        if before is not None and after is not None:
            evidence.append(f"LS on the {set_name} set: {number(before)} → {number(after)}")
    if evidence:
        evidence[-1] += " (its perplexity is taken in the prompt format)"
    return Finding(
        "Is the language intact?",
        *_conclude("language", *shares),
        _sentence(evidence),
        f"Yes: LS on both sets is at least {percent(steps[0])} of what it was before. "
        f"Partly: at least {percent(steps[1])}.",
    )


def _conclude(
    subject: str, *measured: tuple[float | None, tuple[float, float]]
) -> tuple[Answer, str]:
    """Return the weakest answer of the measured values, and its clause."""
    order: list[Answer] = ["yes", "partly", "no"]
    grades = [_grade(value, steps) for value, steps in measured if value is not None]
    # Half of the evidence is not enough for an answer that someone will rely on.
    answer = order[max(grades)] if len(grades) == len(measured) else "not measured"
    return answer, _CLAUSES[subject][answer]


def _grade(value: float, steps: tuple[float, float]) -> int:
    """Return 0 for a yes, 1 for a partly, 2 for a no."""
    return sum(value < step - 1e-9 for step in steps)


def _rate(results: RunResults, set_name: str, metric: str, what: str) -> list[str]:
    """Return the evidence that a rate is, with its interval; nothing if it was not measured."""
    before, share = _pair(results, f"{set_name}/{metric}")
    count, left_out = _counts(results, set_name, metric)
    if share is None:
        return [f"none of {left_out} answers could be measured"] if left_out else []
    text = f"{number(share)} of the answers {what}"
    if count and 0 <= share <= 1:
        low, high = wilson_interval(share, count)
        interval = f"95% interval {percent(low)} to {percent(high)}"
        text = f"{percent(share)} of {count} answers {what}, {interval}"
    if before is not None and metric == "krr":
        text += f", {percent(before)} before"
    if left_out:
        text += f" ({left_out} more could not be measured and are left out)"
    return [f"to questions never trained on, {text}" if set_name.endswith("_unseen") else text]


def _overlap(before: float | None, after: float | None) -> list[str]:
    if before is None or after is None:
        return []
    return [f"overlap with the true answers: {number(before)} → {number(after)}"]


def _caveats(results: RunResults) -> list[str]:
    caveats = []
    if results.unanswered:
        caveats.append(
            "Synthesis found no new answer for these forget records, so that nothing was trained "
            f"in place of their private answers: {listed(results.unanswered)}."
        )
    known = results.metric("target", "forget/rougeL_recall")
    if known is not None and known < KNOWN_FROM_OVERLAP and not _never_knew(results):
        caveats.append(
            f"The target model reproduced little of the forget set before unlearning (ROUGE-L "
            f"recall {number(known)}), so there was little to forget."
        )
    kfr, unseen_kfr = (results.metric("unlearned", f"{s}/kfr") for s in ("forget", "forget_unseen"))
    if _holds_less(kfr, unseen_kfr, KFR_STEPS):
        caveats.append(
            "It forgot less where it is asked what it was not trained on; see the figures under "
            f"\u201c{SETS['forget_unseen']}\u201d."
        )
    krr, unseen_krr = (_share(*_pair(results, f"{s}/krr")) for s in ("retain", "retain_unseen"))
    if _holds_less(krr, unseen_krr, KEPT_SHARE_STEPS):
        caveats.append(
            "It kept less of what training did not repeat to it; see the figures under "
            f"\u201c{SETS['retain_unseen']}\u201d."
        )
    if unlearned := results.model("unlearned"):
        caveats += unlearned.not_computed
    caveats.append(
        "The figures say what the model answers when it is asked; they don't prove that nothing "
        "is left in its weights for an attack to bring back."
    )
    return caveats


def _holds_less(seen: float | None, unseen: float | None, steps: tuple[float, float]) -> bool:
    """Tell whether a rate on unseen questions would mean a weaker answer."""
    return seen is not None and unseen is not None and _grade(unseen, steps) > _grade(seen, steps)


def _pair(results: RunResults, key: str) -> tuple[float | None, float | None]:
    return results.metric("target", key), results.metric("unlearned", key)


def _share(before: float | None, after: float | None) -> float | None:
    if before is None or after is None:
        return None
    return after / before if before > 0 else 1.0


def _sentence(parts: list[str]) -> str:
    return "; ".join(parts) + "." if parts else "No figures."
