"""Whether one text follows from another, contradicts it, or neither."""

from collections.abc import Callable, Sequence
from functools import cache
from typing import get_args

import numpy as np
from sentence_transformers import CrossEncoder
from torch.nn import Softmax

from relearn.errors import UserError
from relearn.evaluation.rows import EntailmentLabel
from relearn.models.loading import model_folder
from relearn.progress import progress_bar
from relearn.registry import Registry

Pairs = Sequence[tuple[str, str]]

LABELS: tuple[EntailmentLabel, ...] = get_args(EntailmentLabel)

# Characters of a text that are tokenized; no judge here reads more (512 word pieces a pair).
_READ = 8000
_BATCH = 16  # pairs of one forward pass; pairs of like length go together
_CHUNK = 512  # pairs between two steps of the progress bar


class EntailmentJudge:
    """A cross-encoder that reads premise and hypothesis together.

    Args:
        encoder: The model; its classes are entailment, neutral and contradiction, in any order.

    Raises:
        UserError: the model's classes are others.
    """

    def __init__(self, encoder: CrossEncoder) -> None:
        id2label: dict[int, str] = getattr(encoder.config, "id2label", {})
        names = [str(name).lower() for _, name in sorted(id2label.items())]
        if sorted(names) != sorted(LABELS):
            raise UserError(
                f"it is no entailment judge: its labels are {', '.join(sorted(names))}.",
                "Choose another for evaluation.entailment.",
            )
        self._encoder = encoder
        self._order = [names.index(label) for label in LABELS]

    def __call__(self, pairs: Pairs) -> list[EntailmentLabel]:
        """Return the likeliest label of each (premise, hypothesis)."""
        return [LABELS[i] for i in self.probabilities(pairs).argmax(axis=1)]

    def probabilities(self, pairs: Pairs) -> np.ndarray:
        """Return the (pairs, 3) probabilities of `LABELS`; each row sums to 1."""
        texts = [(premise[:_READ], hypothesis[:_READ]) for premise, hypothesis in pairs]
        found = [np.empty((0, len(LABELS)))]
        with progress_bar("entailment") as advance:
            for start in range(0, len(texts), _CHUNK):
                chunk = texts[start : start + _CHUNK]
                found.append(
                    self._encoder.predict(
                        chunk, batch_size=_BATCH, activation_fn=Softmax(-1), show_progress_bar=False
                    )
                )
                advance(start + len(chunk), len(texts), "")
        return np.concatenate(found)[:, self._order]


ENTAILMENT: Registry[Callable[[], EntailmentJudge]] = Registry("entailment judge")


@ENTAILMENT.register("minilm-nli")
def minilm_nli() -> EntailmentJudge:
    """The offline default: all-MiniLM-L6-v2 with our adapter, trained on SNLI and TOFU."""
    from relearn.evaluation.judges.minilm_nli import trained_encoder

    return EntailmentJudge(trained_encoder())


@cache
def entailment_judge(name: str) -> EntailmentJudge:
    """Return the judge called `name`: a registered one, or a cross-encoder by hub name or folder.

    Raises:
        UserError: there is no such judge or model, or the model's labels are not those of
            entailment.
    """
    if name in ENTAILMENT:
        return ENTAILMENT[name]()
    try:
        return EntailmentJudge(CrossEncoder(str(model_folder(name))))
    except (UserError, OSError, ValueError) as error:
        reason = " ".join(str(error).split())
        raise UserError(
            f"entailment judge {name!r} is not registered and can't be loaded: {reason}",
            f"Registered: {', '.join(ENTAILMENT)}.",
        ) from error
