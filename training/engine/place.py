"""Where a stage of training keeps what it would need to go on."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from training.engine.run_log import RunLog


@dataclass(frozen=True)
class Place:
    """The folder of a stage's checkpoints, the log that it writes there, and whether it goes on from what it finds."""

    folder: Path
    log: RunLog | None = None
    resume: bool = True

    def begin(self) -> None:
        """Empties the folder of a stage that shall not go on."""
        if not self.resume:
            shutil.rmtree(self.folder, ignore_errors=True)

    @contextmanager
    def logged(self) -> Iterator[Place]:
        """The same place with a log in its folder, which is made; the log is closed when the block ends."""
        with RunLog(self.folder) as log:
            yield replace(self, log=log)
