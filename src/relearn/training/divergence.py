"""When a training has gone wrong."""

import math
from collections.abc import Mapping

from relearn.base.errors import UserError

MEND = "lower training.learning_rate or training.epochs, or take a retain regularizer (`ce+kl`)"


class Divergence:
    """Tells from each step's log whether it makes sense to go on.

    Args:
        vocabulary: Its size; who knows nothing has a cross-entropy of its logarithm.
        factor: A loss this many times the first one's magnitude has exploded.
        margin: By how many nats the retain rows' cross-entropy may be above that of who knows
            nothing, or above the first one where that was higher.
    """

    def __init__(self, vocabulary: int, factor: float = 100, margin: float = 1) -> None:
        self._ignorance = math.log(vocabulary)
        self._factor, self._margin = factor, margin
        self._first: float | None = None
        self._first_retain: float | None = None

    def seen_in(self, log: Mapping[str, float], retain_ce: float) -> str | None:
        """Return why to stop here with the weights as they are, or None to go on.

        Args:
            log: `loss`, `step`, and the terms.
            retain_ce: Cross-entropy of the step's retain rows, 0 if there are none.

        Raises:
            UserError: the loss is no number any more, and so are the weights.
        """
        loss, step = log["loss"], log["step"]
        if not math.isfinite(loss):
            parts = [name for name, value in log.items() if not math.isfinite(value)]
            raise UserError(
                f"training diverged: the loss is {loss} at step {step} ({', '.join(parts)}).",
                f"{MEND[0].upper()}{MEND[1:]}.",
            )
        self._first = loss if self._first is None else self._first
        if abs(loss) > self._factor * max(1.0, abs(self._first)):
            return f"at step {step} the loss is {loss:.4g}, from {self._first:.4g}; {MEND}."
        self._first_retain = retain_ce if self._first_retain is None else self._first_retain
        if retain_ce > max(self._ignorance, self._first_retain) + self._margin:
            return (
                f"at step {step} the perplexity of retain answers is {math.exp(retain_ce):.3g}, "
                f"above that of who knows nothing; {MEND}."
            )
        return None
