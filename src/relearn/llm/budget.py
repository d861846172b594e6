"""The limits of time, tokens and cost that every backend keeps."""

import time

from relearn.config import LLMConfig
from relearn.llm.base import cost


class LimitReachedError(Exception):
    """A limit would be exceeded; what is not answered yet is recorded as failed."""


class Budget:
    """Keeps time, tokens and cost within their limits, calls under way counted at their most.

    Args:
        config: Limits and prices; the time begins with the first call.
    """

    def __init__(self, config: LLMConfig) -> None:
        self._config = config
        self._start: float | None = None
        self._sent = self._received = 0

    def reserved(self, sent: int, received: int) -> "Reservation":
        """Return a context within which the most that a call may use is set aside."""
        return Reservation(self, sent, received)

    def take(self, sent: int, received: int) -> None:
        """Set tokens aside.

        Raises:
            LimitReachedError: that would exceed a limit.
        """
        self._start = self._start or time.monotonic()
        self.check_time()
        limits, sent_all, received_all = self._config, self._sent + sent, self._received + received
        if limits.max_tokens is not None and sent_all + received_all > limits.max_tokens:
            raise LimitReachedError(f"the limit of {limits.max_tokens} tokens is reached")
        spent = cost(limits, sent_all, received_all)
        if limits.max_cost is not None and spent > limits.max_cost:
            raise LimitReachedError(f"the cost limit of {limits.max_cost} is reached")
        self.add(sent, received)

    def add(self, sent: int, received: int) -> None:
        """Correct what is set aside."""
        self._sent += sent
        self._received += received

    def seconds_left(self) -> float | None:
        """Return the seconds that are left, 0 or less where there are none; None for no limit."""
        limit, now = self._config.max_seconds, time.monotonic()
        return None if limit is None else limit - (now - (self._start or now))

    def check_time(self, wait: float = 0.0) -> None:
        """Refuse to go on, or to wait so many seconds, beyond the time limit.

        Raises:
            LimitReachedError: the time is over, or would be.
        """
        left = self.seconds_left()
        if left is not None and left < wait:
            limit = self._config.max_seconds
            raise LimitReachedError(f"the time limit of {limit:g} s is reached")


class Reservation:
    """What a call may use at most, and once it is charged, what it has used."""

    def __init__(self, budget: Budget, sent: int, received: int) -> None:
        self._budget = budget
        self._most = (sent, received)
        self._charged = (0, 0)

    def charge(self, sent: int, received: int) -> None:
        """Note what the call has used."""
        self._charged = (sent, received)

    def __enter__(self) -> "Reservation":
        self._budget.take(*self._most)
        return self

    def __exit__(self, *_: object) -> None:
        self._budget.add(
            *(used - most for used, most in zip(self._charged, self._most, strict=True))
        )
