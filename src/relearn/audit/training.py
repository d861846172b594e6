"""The least of a training loop, for attacks that train: batches in random order, and the loss."""

import random
from collections.abc import Iterator, Mapping, Sequence

from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from relearn.audit.model import AttackedModel
from relearn.data.batching import IGNORE, TrainingRow, collate, to_device
from relearn.data.tokenization import Example
from relearn.models.label_logits import label_logits

BATCH = 4


def example_batches(
    examples: Sequence[Example], model: AttackedModel
) -> Iterator[Mapping[str, Tensor]]:
    """Yield batches of four examples without end, every example once in each round."""
    rng = random.Random(model.seed)
    rows: list[TrainingRow] = []
    while True:
        while len(rows) < min(BATCH, len(examples)):
            fresh = [TrainingRow(i, example, True) for i, example in enumerate(examples)]
            rows += rng.sample(fresh, len(fresh))
        yield to_device(collate(rows[:BATCH], model.pad_token_id), model.model.device)
        del rows[:BATCH]


def token_loss(model: nn.Module, batch: Mapping[str, Tensor]) -> Tensor:
    """Return the mean loss of the answers' tokens, in nats."""
    keep = batch["labels"] != IGNORE
    logits = label_logits(model, batch["input_ids"], batch["attention_mask"], keep)
    return cross_entropy(logits.float(), batch["labels"][keep])
