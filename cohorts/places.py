"""Where the files of a cohort lie: the one place that turns a path of a table into a file.

A path lies in the cohort folder or, with the name of a root before a colon, under that root: `ecg:files/p10/1.hea`.
A file that is reached through links must lie under one of them in the end.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from cohorts.tables import CohortError
from inputs.opened import PlacedFile


@dataclass(frozen=True)
class Places:
    """The cohort folder and the roots that `cohort.json` names, all of them real folders."""

    folder: Path
    roots: Mapping[str, Path] = field(default_factory=dict)

    @cached_property
    def under(self) -> tuple[Path, ...]:
        """The folders below one of which every file must lie."""
        return tuple(dict.fromkeys((self.folder.resolve(), *self.roots.values())))

    def file(self, named: str) -> PlacedFile:
        """The file that a path of a table names; whoever opens it is told by its descriptor where it really lies.

        Raises CohortError where it lies elsewhere now, or the path is no file name.
        """
        self.real_path(named)
        return PlacedFile(self._path(named), self.under)

    def real_path(self, named: str) -> Path:
        """Where a file lies when all links are followed. Raises CohortError as `file` does."""
        try:
            real = self._path(named).resolve()
        except (ValueError, OSError, RuntimeError):  # a NUL in the name, a name too long, a loop of links
            raise CohortError("path_invalid", "A path in a table is not a file name.") from None
        if not self.holds(real):
            where = "the cohort folder and its roots" if self.roots else "the cohort folder"
            raise CohortError("path_outside", f"A path in a table leads outside {where}.")
        return real

    def holds(self, real: Path) -> bool:
        """Whether a path without links lies where files of the cohort may."""
        return any(real.is_relative_to(folder) for folder in self.under)

    def _path(self, named: str) -> Path:
        root, colon, rest = named.partition(":")
        if colon and root in self.roots:
            return self.roots[root] / rest
        return self.folder / named
