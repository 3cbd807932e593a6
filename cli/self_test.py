"""A bundle's known ECG on this machine: how far each answer lies from the known one, and how far it may."""

from __future__ import annotations

from pathlib import Path
from typing import get_args

from rich.table import Table

from cli.console import out
from models.bundle import Bundle, BundleError, read_manifest, read_self_test, run_self_test
from models.bundle.loaded import Precision


def print_self_test(bundle_dir: Path, device: str) -> bool:
    """Whether every answer is near enough, in every precision. BundleError for a bundle without a known ECG."""
    manifest, _ = read_manifest(bundle_dir)
    known = read_self_test(bundle_dir, manifest)
    if known is None:
        raise BundleError(
            "this bundle has no known ECG to test itself with: it was written before there was one, or has no ECG "
            "encoder",
            hint="`echo2ecg bundle fit` writes a bundle with one.",
        )
    table = Table("Answer", "Precision", "Difference", "Allowed", "")
    holds = True
    for precision in get_args(Precision):
        loaded = Bundle.load(bundle_dir, device=device, parts=("ecg",), precision=precision)
        for one in run_self_test(loaded, known):
            table.add_row(
                one.answer, precision, f"{one.found:.1e}", f"{one.allowed:.0e}", "" if one.holds else "too far"
            )
            holds = holds and one.holds
    out.print(table)
    where = loaded.device_name
    said = "answers as it did where it was written" if holds else "does not answer as it did where it was written"
    out.print(f"On {where} the bundle {said}.")
    return holds
