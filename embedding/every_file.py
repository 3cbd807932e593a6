"""Reads every file of a cohort, for nothing but to know which of them cannot be read."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from cohorts import Cohort, CohortFinding
from embedding.ecgs import read_source
from embedding.local import LACKING_HERE, Reader, in_order, reading
from inputs.errors import InputError
from inputs.opened import File
from models.device import Machine

_Named = tuple[str, int, File]
"""Table, row counted from 1, and file."""


def unreadable_files(cohort: Cohort, machine: Machine) -> tuple[CohortFinding, ...]:
    """What guarded children cannot read of a cohort without a contradiction: a finding for each table and reason.

    ECGs as training reads them, clips whole. What this machine lacks is no file's fault and ends it: OSError, and
    ReaderUnavailable.
    """
    total = len(cohort.ecgs) + len(cohort.echos)
    found: dict[tuple[str, str], tuple[str, list[int]]] = {}
    with reading(machine.workers) as reader:

        def fault(named: _Named) -> InputError | None:
            try:
                _read(named[0], named[2], reader)
            except InputError as error:
                return error
            except OSError as error:
                if error.errno in LACKING_HERE:
                    raise
                return InputError("file_not_opened", "The file cannot be read.")
            return None

        with in_order(fault, _named(cohort), workers=machine.workers, ahead=2 * machine.workers) as faults:
            for done, ((table, row, _), error) in enumerate(faults, start=1):
                if error is not None:
                    found.setdefault((table, error.code), (error.sentence, []))[1].append(row)
                machine.progress(done, total, f"read {table}")
    return tuple(
        CohortFinding(code, sentence, table, len(rows), tuple(rows))
        for (table, code), (sentence, rows) in found.items()
    )


def _named(cohort: Cohort) -> Iterator[_Named]:
    sources = cohort.ecg_sources()
    yield from (("ecgs", row, sources[ecg_id]) for row, ecg_id in enumerate(cohort.ecgs["ecg_id"], start=1))
    yield from (("echos", row, cohort.file_path(path)) for row, path in enumerate(cohort.echos["path"], start=1))


def _read(table: str, file: File, reader: Reader) -> None:
    if table == "ecgs":
        if not np.isfinite(read_source(file, reader).signal_mv).any():
            raise InputError("no_samples", "The ECG has no sample in any lead.")
    else:
        reader.read_echo(file)
