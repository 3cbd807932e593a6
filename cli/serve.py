"""Options of `serve` over the settings, then the service."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any


def run_service(
    *,
    bundle: Path | None,
    index: Path | None,
    host: str | None,
    port: int | None,
    device: str | None,
    cohorts: Sequence[str],
) -> None:
    """Run until SIGTERM or interrupt. Raises ValueError in one sentence when the settings cannot be served."""
    from app.main import serve
    from app.settings import Settings

    given: dict[str, Any] = {"bundle_dir": bundle, "index_dir": index, "host": host, "port": port, "device": device}
    given["cohorts"] = _named_folders(cohorts) or None
    serve(Settings(**{name: value for name, value in given.items() if value is not None}))


def _named_folders(pairs: Sequence[str]) -> dict[str, Path]:
    folders: dict[str, Path] = {}
    for pair in pairs:
        name, separator, folder = pair.partition("=")
        if not (name and separator and folder):
            raise ValueError(f"--cohort wants NAME=FOLDER, not {pair!r}.")
        folders[name] = Path(folder)
    return folders
