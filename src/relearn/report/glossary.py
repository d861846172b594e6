"""What each figure of a run means and which way is good, in a reader's words."""

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

SETS = {
    "forget": "Forget set",
    "forget_unseen": "Forget set, unseen phrasings",
    "retain": "Retain set",
    "retain_unseen": "Retain set, unseen phrasings",
    "real_authors": "Real authors",
    "world_facts": "World facts",
    "holdout": "Holdout, never seen",
    "overall": "Over several sets",
    "general": "General ability",
}
"""Headings of the evaluated sets, in the order in which they are shown."""

METHODS = {
    "relearn": "ReLearn",
    "relearn_dpo": "ReLearn-DPO",
    "ga": "GA",
    "grad_diff": "GradDiff",
    "kl_min": "KL-min",
    "npo": "NPO",
    "simnpo": "SimNPO",
    "dpo": "DPO",
    "idk": "IDK",
    "altpo": "AltPO",
    "undial": "UNDIAL",
    "wga": "WGA",
    "satimp": "SatImp",
    "ceu": "CE-U",
    "pdu": "PDU",
    "rmu": "RMU",
    "task_vector": "Task-vector negation",
    "npo_sure": "NPO + SURE",
    "npo_memflex": "NPO + MemFlex",
}
"""Names of the unlearning methods, as papers write them."""

MAIN_FIGURES = {
    "forget/rougeL_recall": "forget ROUGE-L",
    "retain/rougeL_recall": "retain ROUGE-L",
    "forget/kfr": "KFR",
    "retain/krr": "KRR",
    "forget/ls": "LS",
    "seconds": "seconds",
}
"""What tells models apart at a glance; `seconds` is the training's wall-clock time."""

SHOWN_FIRST = (
    *("forget/kfr", "forget/rougeL_recall", "forget/ls", "forget/perplexity", "forget_unseen/kfr"),
    *("retain/krr", "retain/rougeL_recall", "retain/ls", "retain/perplexity", "retain_unseen/krr"),
    *("overall/forget_quality", "overall/model_utility"),
)
"""What the report's table shows before it is unfolded."""

Direction = Literal["higher", "lower"]


@dataclass(frozen=True)
class Meaning:
    """How one metric is to be read.

    Attributes:
        label: Its name.
        text: What it is, in one line.
        range: The values it can take.
        forget: Which way is good on a forget set; None where neither is.
        retain: Likewise on a retain set.
    """

    label: str
    text: str
    range: str
    forget: Direction | None = None
    retain: Direction | None = None

    def direction(self, set_name: str) -> Direction | None:
        """Return which way is good on the set `set_name`."""
        return self.forget if set_name.startswith("forget") else self.retain


MEANINGS = {
    "kfr": Meaning(
        "KFR, knowledge forgetting rate",
        "Share of answers that contradict the reference or lack its names, dates and other "
        "entities; where it has none, its telling words.",
        "0 to 1",
        forget="higher",
    ),
    "krr": Meaning(
        "KRR, knowledge retention rate",
        "Share of answers that don't contradict the reference and name enough of its entities; "
        "where it has none, of its telling words.",
        "0 to 1",
        retain="higher",
    ),
    "kfr_unmeasured": Meaning(
        "Answers left out of KFR",
        "Answers of which nothing could measure whether they are forgotten.",
        "0 and up",
    ),
    "krr_unmeasured": Meaning(
        "Answers left out of KRR",
        "Answers of which nothing could measure whether they are retained.",
        "0 and up",
    ),
    "rouge1_recall": Meaning(
        "ROUGE-1 recall",
        "Share of the reference's words that stand in the answer.",
        "0 to 1",
        forget="lower",
        retain="higher",
    ),
    "rougeL_recall": Meaning(
        "ROUGE-L recall",
        "Share of the reference's words that stand in the answer in the same order.",
        "0 to 1",
        forget="lower",
        retain="higher",
    ),
    "rouge1_f1": Meaning(
        "ROUGE-1 F1",
        "Words that answer and reference share, as a part of both.",
        "0 to 1",
        forget="lower",
        retain="higher",
    ),
    "rougeL_f1": Meaning(
        "ROUGE-L F1",
        "Words that answer and reference share in the same order, as a part of both.",
        "0 to 1",
        forget="lower",
        retain="higher",
    ),
    "exact_match": Meaning(
        "Exact match",
        "Share of answers that are the reference but for case, punctuation and articles.",
        "0 to 1",
        forget="lower",
        retain="higher",
    ),
    "embedding_similarity": Meaning(
        "Embedding similarity",
        "Likeness of meaning of answer and reference: cosine of their sentence embeddings.",
        "-1 to 1",
        forget="lower",
        retain="higher",
    ),
    "entity_coverage": Meaning(
        "Entity coverage",
        "Share of the reference's entities that the answer names.",
        "0 to 1",
        forget="lower",
        retain="higher",
    ),
    "ls": Meaning(
        "LS, linguistic score",
        "Fluency and richness in one: harmonic mean of perplexity (in the prompt format), Brunet's "
        "index and Honoré's statistic, each squashed. Compare it between models; small values are "
        "usual.",
        "0 to 1",
        forget="higher",
        retain="higher",
    ),
    "plain_ls": Meaning(
        "LS, with perplexity of plain text",
        "The same with the perplexity of plain text, as in the paper's code.",
        "0 to 1",
        forget="higher",
        retain="higher",
    ),
    "perplexity": Meaning(
        "Perplexity, in the prompt format",
        "How surprising the answers are to the original base model, asked in the run's prompt "
        "format (the chat template, where there is one).",
        "1 and up",
        forget="lower",
        retain="lower",
    ),
    "plain_perplexity": Meaning(
        "Perplexity, of plain text",
        "The same with question and answer as plain text, as in the paper's code.",
        "1 and up",
        forget="lower",
        retain="lower",
    ),
    "brunet_index": Meaning(
        "Brunet's index",
        "Vocabulary richness whatever the length; low is rich.",
        "1 and up",
        forget="lower",
        retain="lower",
    ),
    "honore_statistic": Meaning(
        "Honoré's statistic",
        "Vocabulary richness by the words used only once.",
        "0 to 1,000,000",
        forget="higher",
        retain="higher",
    ),
    "rttr": Meaning(
        "RTTR",
        "Different words over the square root of all words.",
        "0 and up",
        forget="higher",
        retain="higher",
    ),
    "distinct_1": Meaning(
        "Distinct-1",
        "Share of different words among the words of an answer.",
        "0 to 1",
        forget="higher",
        retain="higher",
    ),
    "distinct_2": Meaning(
        "Distinct-2",
        "Share of different word pairs among the pairs of an answer.",
        "0 to 1",
        forget="higher",
        retain="higher",
    ),
    "repetition_rate": Meaning(
        "Repetition rate",
        "Share of runs of four words that came before in the same answer.",
        "0 to 1",
        forget="lower",
        retain="lower",
    ),
    "probability": Meaning(
        "Probability (TOFU)",
        "How likely the reference is, by the geometric mean of its tokens.",
        "0 to 1",
        forget="lower",
        retain="higher",
    ),
    "truth_ratio": Meaning(
        "Truth ratio (TOFU)",
        "How little true and wrong answers are told apart (forget), how well (others).",
        "0 to 1",
        forget="higher",
        retain="higher",
    ),
    "exact_memorization": Meaning(
        "Exact memorisation",
        "Share of the tokens of the reference that the model puts first, given those before.",
        "0 to 1",
        forget="lower",
        retain="higher",
    ),
    "extraction_strength": Meaning(
        "Extraction strength",
        "Share of the reference, from its end, that the model completes by itself.",
        "0 to 1",
        forget="lower",
        retain="higher",
    ),
    "verbatim_memorization": Meaning(
        "Verbatim memorisation (MUSE)",
        "Overlap with the reference when the model is given its first half.",
        "0 to 1",
        forget="lower",
        retain="higher",
    ),
    "knowledge_memorization": Meaning(
        "Knowledge memorisation (MUSE)",
        "Overlap of the answers with the references, ROUGE-L F1.",
        "0 to 1",
        forget="lower",
        retain="higher",
    ),
    "model_utility": Meaning(
        "Model utility (TOFU)",
        "What is left of the model on retain set, real authors and world facts.",
        "0 to 1",
        retain="higher",
    ),
    "forget_quality": Meaning(
        "Forget quality (TOFU)",
        "p-value: could the forget answers be those of a model that never saw them?",
        "0 to 1",
        retain="higher",
    ),
    "ks_statistic": Meaning(
        "KS statistic (TOFU)",
        "Greatest gap to the truth ratios of a model that never saw the forget set.",
        "0 to 1",
        retain="lower",
    ),
    "privacy_leakage": Meaning(
        "Privacy leakage (MUSE)",
        "Membership inference against that of a retain model; best at 0.",
        "-1 and up",
    ),
    "semeval": Meaning(
        "SemEval-2025 aggregate",
        "Mean of task, membership and ability scores.",
        "0 to 1",
        retain="higher",
    ),
    "ability": Meaning(
        "General ability",
        "Mean accuracy over the tasks of lm-evaluation-harness.",
        "0 to 1",
        retain="higher",
    ),
    "mia_loss_auc": Meaning(
        "Membership inference, loss: AUC",
        "How well an attacker tells the forget set from unseen records; 0.5 is guessing.",
        "0 to 1",
    ),
    "mia_loss_tpr": Meaning(
        "Membership inference, loss: TPR",
        "Share of forget records found at 1 % false alarms; 0.01 is guessing.",
        "0 to 1",
    ),
    "mia_zlib_auc": Meaning(
        "Membership inference, zlib: AUC",
        "How well an attacker tells the forget set from unseen records; 0.5 is guessing.",
        "0 to 1",
    ),
    "mia_zlib_tpr": Meaning(
        "Membership inference, zlib: TPR",
        "Share of forget records found at 1 % false alarms; 0.01 is guessing.",
        "0 to 1",
    ),
    "mia_min_k_auc": Meaning(
        "Membership inference, min-k: AUC",
        "How well an attacker tells the forget set from unseen records; 0.5 is guessing.",
        "0 to 1",
    ),
    "mia_min_k_tpr": Meaning(
        "Membership inference, min-k: TPR",
        "Share of forget records found at 1 % false alarms; 0.01 is guessing.",
        "0 to 1",
    ),
    "mia_min_k_plus_plus_auc": Meaning(
        "Membership inference, min-k++: AUC",
        "How well an attacker tells the forget set from unseen records; 0.5 is guessing.",
        "0 to 1",
    ),
    "mia_min_k_plus_plus_tpr": Meaning(
        "Membership inference, min-k++: TPR",
        "Share of forget records found at 1 % false alarms; 0.01 is guessing.",
        "0 to 1",
    ),
    "mia_reference_auc": Meaning(
        "Membership inference, reference model: AUC",
        "How well an attacker tells the forget set from unseen records; 0.5 is guessing.",
        "0 to 1",
    ),
    "mia_reference_tpr": Meaning(
        "Membership inference, reference model: TPR",
        "Share of forget records found at 1 % false alarms; 0.01 is guessing.",
        "0 to 1",
    ),
    "mia_gradient_norm_auc": Meaning(
        "Membership inference, gradient norm: AUC",
        "How well an attacker tells the forget set from unseen records; 0.5 is guessing.",
        "0 to 1",
    ),
    "mia_gradient_norm_tpr": Meaning(
        "Membership inference, gradient norm: TPR",
        "Share of forget records found at 1 % false alarms; 0.01 is guessing.",
        "0 to 1",
    ),
}
"""The metrics the report knows, in the order in which they are shown."""


def meaning(metric: str) -> Meaning:
    """Return how `metric` is to be read; an unknown one has its key for a label, no direction."""
    return MEANINGS.get(metric, Meaning(metric, "", ""))


def order(key: str) -> tuple[int, int]:
    """Return the sort key of the flat metric key `key` ("forget/kfr"); unknown ones come last."""
    set_name, _, metric = key.partition("/")
    return _position(set_name, SETS), _position(metric, MEANINGS)


def _position(name: str, names: Iterable[str]) -> int:
    places = {known: place for place, known in enumerate(names)}
    return places.get(name, len(places))


def number(value: float | None) -> str:
    """Return `value` with three digits: 0.847, 14.5, 2,345; a dash where there is none.

    >>> [number(x) for x in (0.8474, 1.0, 14.47, 2345.1, 0.00012, None)]
    ['0.847', '1.00', '14.5', '2,345', '1.20e-04', '-']
    """
    if value is None or not math.isfinite(value):
        return "-"
    size = abs(value)
    if size >= 1e6 and size != 1e6:
        return f"{value:.2e}"
    for limit, digits in ((100, 0), (10, 1), (1, 2), (0.001, 3)):
        if round(size, digits) >= limit:
            return f"{value:,.{digits}f}"
    return f"{value:.2e}" if value else "0"


def percent(value: float) -> str:
    """Return the share `value` as a whole percentage."""
    return f"{value:.0%}"


def duration(seconds: float) -> str:
    """Return `seconds` as a person says them: 4.2 s, 3 min 05 s, 2 h 10 min."""
    if seconds < 59.95:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {rest:02d} s"
    return f"{minutes // 60} h {minutes % 60:02d} min"


def size(count: float) -> str:
    """Return `count` bytes in GiB or MiB."""
    return f"{count / 2**30:.2f} GiB" if count >= 2**30 else f"{count / 2**20:.0f} MiB"
