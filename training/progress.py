"""How a long run says how far it is. No torch here: the processes that read files import this too."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Progress:
    """`done` of `total` of a named stage, with the numbers worth showing beside it."""

    stage: str
    done: int
    total: int
    values: Mapping[str, float] = field(default_factory=dict)


Report = Callable[[Progress], None]


def silent(progress: Progress) -> None:
    """The report of a run that nobody watches."""
