"""The least of a training loop, for attacks that train: batches in random order, and the loss.

Rows are packed and computed as training does, where the model gives the same.
"""

import random
from collections.abc import Iterator, Mapping, Sequence

from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from relearn.audit.model import AttackedModel
from relearn.data.batching import IGNORE, TrainingRow, collate, pack, to_device
from relearn.data.tokenization import Example
from relearn.models.label_logits import label_logits
from relearn.training.engine import fast_ways, packs_exactly

BATCH = 4


def example_batches(
    examples: Sequence[Example], model: AttackedModel
) -> Iterator[Mapping[str, Tensor]]:
    """Yield batches of four examples without end, every example once in each round."""
    rng = random.Random(model.seed)
    every = [TrainingRow(i, example, True) for i, example in enumerate(examples)]
    packed = packs_exactly(model.model, every, model.pad_token_id)
    rows: list[TrainingRow] = []
    while True:
        while len(rows) < min(BATCH, len(examples)):
            rows += rng.sample(every, len(every))
        batch = pack(rows[:BATCH]) if packed else collate(rows[:BATCH], model.pad_token_id)
        yield to_device(batch, model.model.device)
        del rows[:BATCH]


def token_loss(model: nn.Module, batch: Mapping[str, Tensor]) -> Tensor:
    """Return the mean loss of the answers' tokens, in nats."""
    keep = batch["labels"] != IGNORE
    layout = {name: batch[name] for name in ("position_ids", "row_layout") if name in batch}
    with fast_ways(model, packed="row_layout" in batch):
        logits = label_logits(
            model, batch["input_ids"], batch.get("attention_mask"), keep, **layout
        )
    return cross_entropy(logits.float(), batch["labels"][keep])
