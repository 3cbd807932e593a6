"""What a run leaves behind about itself: JSON lines for programs, TensorBoard files for people."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType

from ground.extras import require


def require_tensorboard() -> None:
    """ExtraMissing, in one sentence, where TensorBoard is not installed: to be said before a run begins."""
    require("tensorboard", "A training run")


class RunLog:
    """Appends one JSON object per event to `log.jsonl` and the same numbers to TensorBoard, in one folder."""

    def __init__(self, folder: Path) -> None:
        require_tensorboard()
        from torch.utils.tensorboard import SummaryWriter  # an extra: whoever only serves has no TensorBoard

        folder.mkdir(parents=True, exist_ok=True)
        self._lines = open(folder / "log.jsonl", "a", encoding="utf-8")  # noqa: SIM115 - lives as long as the log
        self._tensorboard = SummaryWriter(str(folder / "tensorboard"))

    def write(self, stage: str, step: int, values: Mapping[str, float]) -> None:
        self._lines.write(json.dumps({"stage": stage, "step": step, **values}) + "\n")
        self._lines.flush()
        for name, value in values.items():
            self._tensorboard.add_scalar(f"{stage}/{name}", value, step)

    def close(self) -> None:
        self._lines.close()
        self._tensorboard.close()

    def __enter__(self) -> RunLog:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self.close()
