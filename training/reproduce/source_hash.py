"""Which code computed a number, where the package's version alone does not tell."""

from __future__ import annotations

from pathlib import Path

from ground.disk import sha256

_ROOT = Path(__file__).resolve().parents[2]
PACKAGES = ("cohorts", "embedding", "ground", "inputs", "models", "training")
"""What decides a trained model's numbers on a cohort that is there."""


def source_sha256(root: Path = _ROOT, packages: tuple[str, ...] = PACKAGES) -> str:
    """First 12 digits of the SHA-256 of names and contents of all sources of these packages.

    Whoever makes the cohort, too, adds what it is made by.
    """
    digest = sha256()
    for path in sorted(path for package in packages for path in (root / package).rglob("*.py")):
        content = path.read_bytes()
        digest.update(f"{path.relative_to(root).as_posix()} {len(content)}\n".encode() + content)
    return digest.hexdigest()[:12]
