"""A reader with little room, for files made to cost much."""

from __future__ import annotations

import pytest

from inputs.guarded.reader import GuardedReader
from inputs.limits import ChildLimits


@pytest.fixture(scope="module")
def narrow():
    """Its child has 300 MB and, for each file, four to five seconds of a processor."""
    with GuardedReader(ChildLimits(memory_bytes=300 * 10**6, cpu_s=4, wall_s=60.0)) as reader:
        yield reader
