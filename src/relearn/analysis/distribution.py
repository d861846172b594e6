"""Knowledge distribution: what a model expects at each place of the true answer.

The see-saw of arXiv 2502.11190 (section 5.2.1) is measured at the keys. Every token has a class
there: the *private* token; *plausible*, the base model's nucleus (Holtzman et al. 2020) of mass
0.95; *subject*, a token of the subject's name or of the question's content words; and the *rest*.
What the private token lost since the target model went to the tokens that gained; the see-saw is
the share of it that went to the rest:

    seesaw = sum_k lost_k * gained_rest_k / gained_k  /  sum_k lost_k

It is 0 where the mass goes to what fits, and 1 where it goes to anything but.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from relearn.analysis.names import CLASSES
from relearn.analysis.observe import Tables, joined_tables
from relearn.analysis.probes import Batch

NUCLEUS = 0.95
CANDIDATES = 5


class Reference:
    """The whole next-token distributions of one model at all answer tokens, on disk.

    An observer writes them: a file for each batch, so that the processes that share the batches
    need not write to one. What it sees are the (answer tokens,) log-probabilities of the batch's
    true tokens.

    Args:
        folder: Of the files, (answer tokens, vocabulary) log-probabilities in half precision.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.seen: list[Tensor] = []

    def hooks(self, batch: Batch) -> list[Any]:
        """Return no hooks: the logits are enough."""
        return []

    def see(self, batch: Batch, logits: Tensor) -> Tensor:
        """Write one batch."""
        log_probs = logits.log_softmax(-1)
        np.save(self._file(batch), log_probs.half().cpu().numpy(), allow_pickle=False)
        return log_probs.gather(1, batch.targets[:, None])[:, 0].cpu()

    def tables(self) -> Tables:
        """Return `tokens`: a row an answer token, its log-probability."""
        return {"tokens": pd.DataFrame({"log_prob": torch.cat(self.seen)})}

    def rows(self, batch: Batch) -> Tensor:
        """Read the (answer tokens, vocabulary) log-probabilities of a batch, float32."""
        return torch.from_numpy(np.load(self._file(batch), allow_pickle=False)).float()

    def _file(self, batch: Batch) -> Path:
        return self._folder / f"{batch.number}.npy"


class Distribution:
    """The distribution at every answer token, compared with the target's and the base's.

    Args:
        target: Distributions of the model before unlearning.
        base: Those of the model that never saw the answers; None where there is none: then what
            the target held for likely counts as plausible.
        decode: Turns a token id into text.
    """

    def __init__(self, target: Reference, base: Reference | None, decode: Any) -> None:
        self._target, self._base = target, base or target
        self._decode = decode
        self.seen: list[Tables] = []

    def hooks(self, batch: Batch) -> list[Any]:
        """Return no hooks: the logits are enough."""
        return []

    def see(self, batch: Batch, logits: Tensor) -> Tables:
        """Return the tables of one batch."""
        log_probs = logits.log_softmax(-1).cpu()
        tokens = batch.targets.cpu()
        target = self._target.rows(batch).log_softmax(-1)
        names: dict[str, list[Any]] = {"set": [], "id": [], "place": [], "key": []}
        related: list[frozenset[int]] = []
        for probe in batch.probes:
            length = len(probe.example.answer)
            names["set"] += [probe.set] * length
            names["id"] += [probe.id] * length
            names["place"] += range(length)
            names["key"] += [place in probe.keys for place in range(length)]
            related += [probe.related] * length
        rows = pd.DataFrame(names)
        rows["token"] = tokens.numpy()
        rows["log_prob"] = log_probs.gather(1, tokens[:, None])[:, 0].numpy()
        rows["rank"] = rank_of(log_probs, tokens).numpy()
        rows["entropy"] = entropy(log_probs).numpy()
        rows["kl_from_target"] = kl(target, log_probs).numpy()
        keys = torch.tensor(names["key"]).nonzero()[:, 0]
        if len(keys):
            base = self._base.rows(batch)[keys].log_softmax(-1)
            classes = classify(base, tokens[keys], [related[k] for k in keys.tolist()])
            moved = movement(log_probs[keys], target[keys], classes)
            for name, values in moved.items():
                rows.loc[keys.numpy(), name] = values.numpy()
        return {"tokens": rows, "candidates": self._top(rows, log_probs)}

    def _top(self, rows: pd.DataFrame, log_probs: Tensor) -> pd.DataFrame:
        best = log_probs.topk(CANDIDATES, dim=-1)
        repeated = rows[["set", "id", "place", "key"]].loc[rows.index.repeat(CANDIDATES)]
        top = repeated.reset_index(drop=True)
        top["candidate"] = np.tile(np.arange(1, CANDIDATES + 1), len(rows))
        top["token"] = best.indices.flatten().numpy()
        top["text"] = [self._decode(token) for token in top["token"].tolist()]
        top["probability"] = best.values.exp().flatten().numpy()
        return top

    def tables(self) -> Tables:
        """Return `tokens`, a row an answer token, and `candidates`, a row a candidate."""
        return joined_tables(self.seen)


def rank_of(log_probs: Tensor, tokens: Tensor) -> Tensor:
    """Return the rank of each token in its distribution, from 1 up."""
    return (log_probs > log_probs.gather(1, tokens[:, None])).sum(-1) + 1


def entropy(log_probs: Tensor) -> Tensor:
    """Return the entropy of each distribution in nats, 0 to ln(vocabulary)."""
    return -(log_probs.exp() * log_probs).sum(-1)


def kl(log_p: Tensor, log_q: Tensor) -> Tensor:
    """Return KL(p || q) of each pair of distributions in nats, 0 up."""
    return (log_p.exp() * (log_p - log_q)).sum(-1).clamp_min(0)


def classify(base: Tensor, private: Tensor, related: Sequence[frozenset[int]]) -> Tensor:
    """Return the class of every token at every key, as places in `CLASSES`.

    Args:
        base: (keys, vocabulary) log-probabilities under the base model.
        private: (keys,) the private tokens.
        related: For each key the token ids that belong to subject and question.

    Returns:
        (keys, vocabulary) integers. A token of several classes has the first of them.
    """
    probabilities = base.exp()
    ordered = probabilities.sort(-1, descending=True).values
    # The least probability within the smallest set that holds the nucleus' mass.
    within = ((ordered.cumsum(-1) < NUCLEUS).sum(-1)).clamp_max(base.shape[1] - 1)
    floor = ordered.gather(1, within[:, None])
    classes = torch.full(base.shape, CLASSES.index("rest"), dtype=torch.int8)
    for row, ids in enumerate(related):
        inside = [i for i in ids if i < base.shape[1]]
        classes[row, inside] = CLASSES.index("subject")
    classes[probabilities >= floor] = CLASSES.index("plausible")
    return classes.scatter(1, private[:, None], CLASSES.index("private"))


def movement(log_probs: Tensor, target: Tensor, classes: Tensor) -> dict[str, Tensor]:
    """Return what each class of tokens holds, and what it gained since the target model.

    Args:
        log_probs: (keys, vocabulary), the model's.
        target: (keys, vocabulary), the target model's.
        classes: (keys, vocabulary) from `classify`.

    Returns:
        (keys,) each: `mass_<class>`, summing to 1; `lost`, what the private token lost, 0 to 1;
        `gained_<class>` for the other classes, what their tokens that grew have gained, 0 to 1.
    """
    after = log_probs.exp()
    change = after - target.exp()
    values: dict[str, Tensor] = {}
    for place, name in enumerate(CLASSES):
        of_class = classes == place
        values[f"mass_{name}"] = (after * of_class).sum(-1)
        if name == "private":
            values["lost"] = (-change * of_class).sum(-1).clamp_min(0)
        else:
            values[f"gained_{name}"] = (change.clamp_min(0) * of_class).sum(-1)
    return values


def seesaw(rows: pd.DataFrame) -> float | None:
    """Return the see-saw over the key rows, 0 to 1; None where the private tokens lost nothing.

    Args:
        rows: With the columns of `movement`.
    """
    gained = rows["gained_plausible"] + rows["gained_subject"] + rows["gained_rest"]
    lost = rows["lost"].where(gained > 0, 0.0)
    if lost.sum() < 1e-3 * len(rows):
        return None
    share = (rows["gained_rest"] / gained).fillna(0.0)
    return float((lost * share).sum() / lost.sum())
