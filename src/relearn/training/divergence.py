"""Whether a training has diverged."""

import math
from collections.abc import Mapping

from relearn.base.errors import UserError

_HINT = "lower training.learning_rate or training.epochs, or use a retain regularizer (`ce+kl`)"


class Divergence:
    """Tells from each step's log whether it makes sense to go on.

    Args:
        vocabulary: Its size; its logarithm is the cross-entropy of uniform guessing.
        factor: A loss this many times the first one's magnitude has exploded.
        margin: By how many nats the retain rows' cross-entropy may exceed that of uniform guessing,
            or the first step's, if that was higher.
    """

    def __init__(self, vocabulary: int, factor: float = 100, margin: float = 1) -> None:
        self._guessing = math.log(vocabulary)
        self._factor, self._margin = factor, margin
        self._first: float | None = None
        self._first_retain: float | None = None

    def seen_in(self, log: Mapping[str, float], retain_ce: float) -> str | None:
        """Return why to stop with the current weights, or None to continue.

        Args:
            log: `loss`, `step`, and the terms.
            retain_ce: Cross-entropy of the step's retain rows, 0 if there are none.

        Raises:
            UserError: the loss is not a finite number, so the weights are lost.
        """
        loss, step = log["loss"], log["step"]
        if not math.isfinite(loss):
            parts = [name for name, value in log.items() if not math.isfinite(value)]
            raise UserError(
                f"training diverged: the loss is {loss} at step {step} ({', '.join(parts)}).",
                f"{_HINT[0].upper()}{_HINT[1:]}.",
            )
        self._first = loss if self._first is None else self._first
        if abs(loss) > self._factor * max(1.0, abs(self._first)):
            return f"at step {step} the loss is {loss:.4g}, from {self._first:.4g}; {_HINT}."
        self._first_retain = retain_ce if self._first_retain is None else self._first_retain
        if retain_ce > max(self._guessing, self._first_retain) + self._margin:
            return (
                f"at step {step} the perplexity of retain answers is {math.exp(retain_ce):.3g}, "
                f"worse than uniform guessing; {_HINT}."
            )
        return None
