"""Random batches, and an objective's loss on them as the engine would take it."""

import math
from dataclasses import dataclass, replace

import torch
from hypothesis import strategies as st
from torch import Tensor

from relearn.objectives import OBJECTIVES, TokenStatistics
from relearn.objectives.regularizers import retain_terms

VOCABULARY = 7
HIDDEN = 5


@dataclass(frozen=True)
class Row:
    """One row: its kind, and everything that the model and the reference say about each token."""

    kind: str  # forget, private, chosen or retain
    targets: list[int]
    logits: Tensor  # (tokens, vocabulary)
    reference_logits: Tensor
    hidden: Tensor  # (tokens, hidden)
    reference_hidden: Tensor
    private: tuple[int, ...] = ()  # tokens of private words

    @property
    def log_probs(self) -> list[float]:
        """Of the answer tokens, by the definition of the softmax."""
        return chosen_log_probs(self.logits, self.targets)

    @property
    def reference_log_probs(self) -> list[float]:
        return chosen_log_probs(self.reference_logits, self.targets)


def chosen_log_probs(logits: Tensor, targets: list[int]) -> list[float]:
    probs = logits.exp() / logits.exp().sum(-1, keepdim=True)
    return [float(row[t].log()) for row, t in zip(probs, targets, strict=True)]


@st.composite
def batches(draw: st.DrawFn, *, pairs: bool = False, private: bool = False) -> list[Row]:
    """Rows as the sampler orders them: forget, chosen, retain; at least one of each kind wanted."""
    forget = draw(st.integers(1, 3))
    kinds = ["forget"] * forget + ["chosen"] * (forget * pairs)
    kinds += ["private"] * draw(st.integers(1, 3)) if private else []
    kinds += ["retain"] * draw(st.integers(1, 3))
    generator = torch.Generator().manual_seed(draw(st.integers(0, 2**32)))
    spread = draw(st.floats(0.1, 5))

    def normal(*shape: int) -> Tensor:
        return spread * torch.randn(*shape, generator=generator, dtype=torch.float64)

    rows = []
    for kind in kinds:
        length = draw(st.integers(1, 5))
        targets = torch.randint(VOCABULARY, (length,), generator=generator).tolist()
        tensors = [normal(length, size) for size in (VOCABULARY, VOCABULARY, HIDDEN, HIDDEN)]
        words = [i for i in range(length) if draw(st.booleans())] if kind == "private" else []
        rows.append(Row(kind, targets, *tensors, tuple(words)))
    return rows


def statistics(rows: list[Row]) -> TokenStatistics:
    """What the engine would hand over, without vocabulary functions."""
    policy = torch.cat([row.logits for row in rows]).log_softmax(-1)
    reference = torch.cat([row.reference_logits for row in rows]).log_softmax(-1)
    targets = torch.tensor([t for row in rows for t in row.targets])[:, None]
    return TokenStatistics(
        log_probs=policy.gather(1, targets)[:, 0],
        row=torch.tensor([i for i, row in enumerate(rows) for _ in row.targets]),
        is_forget=torch.tensor([row.kind in ("forget", "private") for row in rows]),
        is_private=torch.tensor([row.kind == "private" for row in rows]),
        private=torch.tensor([i in row.private for row in rows for i in range(len(row.targets))]),
        reference_log_probs=reference.gather(1, targets)[:, 0],
        kl=(reference.exp() * (reference - policy)).sum(-1),
        is_chosen=torch.tensor([row.kind == "chosen" for row in rows]),
        hidden=torch.cat([row.hidden for row in rows]),
        reference_hidden=torch.cat([row.reference_hidden for row in rows]),
    )


def with_vocabulary(
    stats: TokenStatistics, rows: list[Row], name: str, options: dict[str, float]
) -> TokenStatistics:
    policy = torch.cat([row.logits for row in rows]).log_softmax(-1)
    reference = torch.cat([row.reference_logits for row in rows]).log_softmax(-1)
    targets = torch.tensor([t for row in rows for t in row.targets])
    functions = OBJECTIVES[name].vocabulary_functions(options)
    return replace(
        stats, vocabulary={n: f(policy, targets, reference) for n, f in functions.items()}
    )


def loss(name: str, rows: list[Row], regularizer: str | None = None, **options: float) -> float:
    """The loss of an optimizer step over these rows, with the objective's own regularizer."""
    objective = OBJECTIVES[name]
    stats = with_vocabulary(statistics(rows), rows, name, options)
    terms = retain_terms(stats, regularizer or objective.regularizer, objective.retain_weight)
    counts = objective.counts(stats, options)
    kept = sum(float(t.weight * t.values.sum() / counts[t.unit].clamp(min=1)) for t in terms)
    return float(objective(stats, **options)) + kept


def of(rows: list[Row], kind: str) -> list[Row]:
    return [row for row in rows if row.kind == kind]


def mean(values: list[float]) -> float:
    return sum(values) / len(values)


def mean_log_prob(rows: list[Row], kind: str) -> float:
    return mean([x for row in of(rows, kind) for x in row.log_probs])


def mean_kl(rows: list[Row]) -> float:
    """KL(reference || policy) over the retain tokens, from the definition."""
    values = []
    for row in of(rows, "retain"):
        for z, r in zip(row.logits.tolist(), row.reference_logits.tolist(), strict=True):
            p, q = softmax(z), softmax(r)
            values.append(sum(b * (math.log(b) - math.log(a)) for a, b in zip(p, q, strict=True)))
    return mean(values)


def softmax(logits: list[float]) -> list[float]:
    exponentials = [math.exp(x) for x in logits]
    return [x / sum(exponentials) for x in exponentials]
