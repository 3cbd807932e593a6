"""Search engines behind one protocol (`index.base.StudyIndex`), by the name that a generation's manifest gives them.

A new one is one file here and one line in `BACKENDS`; the congruence test takes it from there. An engine's package is
imported when a generation that names it is opened or written.
"""

from __future__ import annotations

from collections.abc import Callable

from index.base import IndexDamaged, StudyIndex


def _faiss_flat() -> type[StudyIndex]:
    from index.backends.faiss_backend import FaissIndex

    return FaissIndex


BACKENDS: dict[str, Callable[[], type[StudyIndex]]] = {"faiss-flat": _faiss_flat}
DEFAULT_BACKEND = "faiss-flat"
"""What a generation is written with unless somebody names another."""
UNNAMED_BACKEND = "faiss-flat"
"""What a manifest means that names none: there was only this one."""


def backend_named(name: str) -> type[StudyIndex]:
    """The class of a back-end. IndexDamaged for a name that this version does not know."""
    if name not in BACKENDS:
        raise IndexDamaged(f"The index was written for the search engine {name}, which this version does not have.")
    return BACKENDS[name]()
