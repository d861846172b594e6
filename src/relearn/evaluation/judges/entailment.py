"""Whether one text follows from another, contradicts it, or neither."""

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from functools import cache
from pathlib import Path
from typing import get_args

import numpy as np
from sentence_transformers import CrossEncoder
from torch.nn import Softmax

from relearn.base.errors import UserError
from relearn.base.registry import Registry
from relearn.evaluation.batches import in_batches
from relearn.evaluation.rows import EntailmentLabel
from relearn.models.loading import load_errors, model_folder

Pairs = Sequence[tuple[str, str]]

LABELS: tuple[EntailmentLabel, ...] = get_args(EntailmentLabel)

# Characters of a text that are tokenized; no judge here reads more (512 word pieces a pair).
_READ = 8000
_BATCH = 16  # pairs of one forward pass; pairs of like length go together
_CHUNK = 256  # pairs that are kept and shown as progress together


class EntailmentJudge:
    """A cross-encoder that reads premise and hypothesis together.

    Args:
        encoder: The model; its classes are entailment, neutral and contradiction, in any order.
        contradiction_from: Probability, 0 to 1, from which on `cautious` says contradiction.

    Raises:
        UserError: the model's classes are others.
    """

    def __init__(self, encoder: CrossEncoder, contradiction_from: float = 0.0) -> None:
        id2label: dict[int, str] = getattr(encoder.config, "id2label", {})
        names = [str(name).lower() for _, name in sorted(id2label.items())]
        if sorted(names) != sorted(LABELS):
            raise UserError(
                f"it is no entailment judge: its labels are {', '.join(sorted(names))}.",
                "Choose another for evaluation.entailment.",
            )
        self._encoder = encoder
        self._contradiction_from = contradiction_from
        self._order = [names.index(label) for label in LABELS]

    def __call__(self, pairs: Pairs, parts: Path | None = None) -> list[EntailmentLabel]:
        """Return the likeliest label of each (premise, hypothesis); `parts` as below."""
        return likeliest(self.probabilities(pairs, parts))

    def cautious(self, pairs: Pairs, parts: Path | None = None) -> list[EntailmentLabel]:
        """Return the labels that count in KFR and KRR: contradiction only where it is sure."""
        return likeliest(self.probabilities(pairs, parts), self._contradiction_from)

    def probabilities(self, pairs: Pairs, parts: Path | None = None) -> np.ndarray:
        """Return the (pairs, 3) probabilities of `LABELS`; each row sums to 1.

        Args:
            pairs: Of premise and hypothesis.
            parts: Folder in which finished batches are kept; None keeps none.
        """
        texts = [(premise[:_READ], hypothesis[:_READ]) for premise, hypothesis in pairs]
        found = in_batches(
            texts, self._read, _CHUNK, file=parts and parts / "entailment.jsonl",
            title="entailment",
        )  # fmt: skip
        return np.array(found, dtype=np.float32).reshape(-1, len(LABELS))[:, self._order]

    def _read(self, pairs: Pairs) -> list[list[float]]:
        found = self._encoder.predict(
            list(pairs), batch_size=_BATCH, activation_fn=Softmax(-1), show_progress_bar=False
        )
        return [chances.tolist() for chances in found]


def likeliest(probabilities: np.ndarray, contradiction_from: float = 0.0) -> list[EntailmentLabel]:
    """Return the likeliest label of each row.

    Args:
        probabilities: (pairs, 3), of `LABELS`.
        contradiction_from: Where contradiction has less than this, the likelier of the others is
            returned.
    """
    sure = (probabilities >= contradiction_from) | (np.array(LABELS) != "contradiction")
    return [LABELS[i] for i in np.where(sure, probabilities, -1).argmax(axis=1)]


ENTAILMENT: Registry[Callable[[], EntailmentJudge]] = Registry("entailment judge")


@ENTAILMENT.register("minilm-nli")
def minilm_nli() -> EntailmentJudge:
    """The offline default: all-MiniLM-L6-v2 with our adapter, trained on SNLI and TOFU."""
    from relearn.evaluation.judges.minilm_nli import CONTRADICTION_FROM, trained_encoder

    return EntailmentJudge(trained_encoder(), CONTRADICTION_FROM)


def check_entailment_judge(name: str) -> None:
    """Find out whether there is a judge of that name, without loading it.

    Raises:
        UserError: there is none.
    """
    if name not in ENTAILMENT:
        with _load_errors(name):
            model_folder(name)


@cache
def entailment_judge(name: str) -> EntailmentJudge:
    """Return the judge called `name`: a registered one, or a cross-encoder by hub name or folder.

    Raises:
        UserError: there is no such judge or model, or the model's labels are not those of
            entailment.
    """
    if name in ENTAILMENT:
        return ENTAILMENT[name]()
    with _load_errors(name):
        return EntailmentJudge(CrossEncoder(str(model_folder(name))))


def _load_errors(name: str) -> AbstractContextManager[None]:
    problem = f"entailment judge {name!r} is not registered and can't be loaded"
    return load_errors(problem, f"Registered: {', '.join(ENTAILMENT)}.")
