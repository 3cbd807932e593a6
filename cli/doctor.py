"""What this machine can do: each finding says how to mend what is missing."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from rich.table import Table

from cli.console import out
from cli.demo import DEMO_BUNDLE
from inputs.errors import InputError

State = Literal["fine", "note", "missing"]
FREE_DISK_GB = 2.0


@dataclass(frozen=True)
class Finding:
    """One look at the machine: `missing` means that something will not work until it is mended."""

    subject: str
    state: State
    sentence: str


def examine() -> list[Finding]:
    """Look at everything, even when an earlier look failed."""
    looks: dict[str, Callable[[], Finding]] = {
        "Python": _python,
        "Packages": _versions,
        "Device": _device,
        "Search": _search_backend,
        "ECG files": _ecg_decoders,
        "Echo files": _echo_decoders,
        "Solver": _baseline_solver,
        "Demo bundle": _bundle,
        "Free disk": _disk,
    }
    return [_tried(subject, look) for subject, look in looks.items()]


def _tried(subject: str, look: Callable[[], Finding]) -> Finding:
    try:
        return look()
    except InputError as error:
        return Finding(subject, "missing", error.sentence)
    except (ImportError, OSError) as error:  # PackageNotFoundError is an ImportError
        return Finding(subject, "missing", f"{type(error).__name__}: {error}; install the package again.")


def print_findings(findings: list[Finding]) -> None:
    table = Table()
    for name in ("Subject", "State", "What was found"):
        table.add_column(name)
    for finding in findings:
        table.add_row(finding.subject, finding.state, finding.sentence)
    out.print(table)


def _python() -> Finding:
    return Finding("Python", "fine", f"{platform.python_version()}, {os.cpu_count()} cores")


def _versions() -> Finding:
    names = ("torch", "numpy", "fastapi", "pydicom", "wfdb")
    found = ", ".join(f"{name} {importlib.metadata.version(name)}" for name in names)
    return Finding("Packages", "fine", found)


def _device() -> Finding:
    import torch

    if torch.cuda.is_available():
        free, total = torch.cuda.mem_get_info()
        name = torch.cuda.get_device_name()
        return Finding("Device", "fine", f"{name}, {free / 2**30:.0f} of {total / 2**30:.0f} GiB free")
    if torch.version.cuda is None:
        return Finding("Device", "note", "CPU only: this torch was built without CUDA; everything works, more slowly.")
    return Finding("Device", "note", "torch has CUDA but sees no device: is the NVIDIA driver loaded (nvidia-smi)?")


def _search_backend() -> Finding:
    try:
        from index.backends.faiss_backend import FaissIndex
    except ImportError:
        return Finding("Search", "missing", "FAISS is not installed: install the extra `cpu` or `gpu`, not both.")
    index = FaissIndex(8)
    moved = index.place_on("cuda")
    return Finding("Search", "fine", index.backend if moved else f"{index.backend}; {index.notice}".rstrip("; "))


def _ecg_decoders() -> Finding:
    from pydicom.data import get_testdata_file

    from inputs.ecg.read import read_ecg_path

    path = get_testdata_file("waveform_ecg.dcm", download=False)
    if path is None:
        return Finding("ECG files", "note", "pydicom's sample ECG is not installed, so reading was not tried.")
    recording = read_ecg_path(Path(str(path)))
    return Finding("ECG files", "fine", f"a real DICOM ECG was read: {recording.rate_hz:g} Hz")


def _echo_decoders() -> Finding:
    from pydicom.data import get_testdata_file

    from inputs.echo.read import read_echo

    path = get_testdata_file("examples_ybr_color.dcm", download=False)
    if path is None:
        return Finding("Echo files", "note", "pydicom's sample clip is not installed, so reading was not tried.")
    clip = read_echo(Path(str(path)), max_frames=2)
    return Finding("Echo files", "fine", f"a real JPEG clip was read: {clip.frames_THWC.shape[2]} pixels wide")


def _baseline_solver() -> Finding:
    from inputs.ecg.prepare import compile_solver

    try:
        compile_solver()
    except (RuntimeError, OSError):
        return Finding("Solver", "missing", "The compiled baseline solver cannot be cached: set NUMBA_CACHE_DIR.")
    return Finding("Solver", "fine", "the baseline solver is compiled and cached")


def _bundle() -> Finding:
    from models.bundle import BundleError, verify_bundle

    if not DEMO_BUNDLE.is_dir():
        return Finding("Demo bundle", "note", "not in this installation; give your own with --bundle")
    try:
        verify_bundle(DEMO_BUNDLE)
    except BundleError as error:
        return Finding("Demo bundle", "missing", str(error))
    return Finding("Demo bundle", "fine", "every file verifies")


def _disk() -> Finding:
    free_gb = shutil.disk_usage(Path.cwd()).free / 1e9
    state: State = "fine" if free_gb >= FREE_DISK_GB else "missing"
    advice = "" if state == "fine" else f": at least {FREE_DISK_GB:g} GB are needed for the demo"
    return Finding("Free disk", state, f"{free_gb:.0f} GB here{advice}")
