"""Options of `serve` over the settings, then the service."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any


def run_service(
    *,
    bundle: Path | None,
    index: Path | None,
    host: str | None,
    port: int | None,
    device: str | None,
    cohorts: Mapping[str, Path],
) -> None:
    """Run until SIGTERM or interrupt. Raises SettingsError or BundleError for what cannot be served."""
    from app.main import serve
    from app.settings import Settings

    given: dict[str, Any] = {"bundle_dir": bundle, "index_dir": index, "host": host, "port": port, "device": device}
    given["cohorts"] = dict(cohorts) or None
    serve(Settings(**{name: value for name, value in given.items() if value is not None}))
