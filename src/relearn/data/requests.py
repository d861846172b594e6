"""Deletion requests in a row: which of them a record of an earlier one belongs to.

Ids are unique within a request only, so that those of earlier requests get its number, from 1, in
front: `2/forget-3`.
"""

from collections.abc import Sequence
from itertools import groupby
from typing import Protocol, TypeVar

EARLIER = "forget_earlier"
"""Name of the set that holds the records of all earlier requests, in order."""


class HasId(Protocol):
    """A record, or what is made of one."""

    @property
    def id(self) -> str:
        """The record's id."""


T = TypeVar("T", bound=HasId)


def numbered(request: int, id_: str) -> str:
    """Return a record's id as it is in later runs."""
    return f"{request}/{id_}"


def request_of(id_: str) -> int:
    """Return the number of the request that a record of an earlier one belongs to, by its id."""
    return int(id_.partition("/")[0])


def by_request(rows: Sequence[T]) -> list[list[T]]:
    """Return the rows of earlier requests, each request's apart, in the requests' order."""

    def request(row: T) -> int:
        return request_of(row.id)

    return [list(of_one) for _, of_one in groupby(sorted(rows, key=request), request)]
