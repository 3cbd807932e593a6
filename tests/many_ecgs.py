"""A folder of many invented ECGs, hostile files among them, and what a service said of each, as a row of a table."""

from __future__ import annotations

import io
import struct
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from dipole import heart_mv

from ground.findings import SHD_FLAGS
from inputs.records import STANDARD_LEADS

Files = dict[str, bytes]
"""The parts of one ECG by name, its header first."""


def wfdb(name: str, signal_mv: np.ndarray, leads=STANDARD_LEADS, *, samples: int | None = None) -> Files:
    counts_NL = np.round(1000 * signal_mv.T).astype("<i2")
    lines = [f"{name} {len(leads)} 500 {samples or len(counts_NL)}"]
    lines += [f"{name}.dat 16 1000/mV 16 0 0 0 0 {lead}" for lead in leads]
    return {f"{name}.hea": ("\n".join(lines) + "\n").encode(), f"{name}.dat": counts_NL.tobytes()}


def table(name: str, signal_mv: np.ndarray) -> Files:
    rows = [",".join(f"{value:.3f}" for value in (at / 500, *row)) for at, row in enumerate(signal_mv.T)]
    head = ",".join(["time_s", *(f"{lead} (mV)" for lead in STANDARD_LEADS)])
    return {f"{name}.csv": "\n".join([head, *rows]).encode()}


def zipped(name: str, files: Files) -> Files:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
        for each, data in files.items():
            archive.writestr(each, data)
    return {f"{name}.zip": stream.getvalue()}


def npy(array: np.ndarray) -> bytes:
    stream = io.BytesIO()
    np.save(stream, array)
    return stream.getvalue()


def good(number: int) -> Files:
    """The ECG of this number: every fifth in another form, some without an answer."""
    name, signal_mv = f"ecg{number:04}", heart_mv(number)
    match number % 10:
        case 1:
            return zipped(name, wfdb(name, signal_mv))
        case 3:
            return table(name, signal_mv)
        case 5:  # without the leads that follow from I and II
            kept = [row for row, lead in enumerate(STANDARD_LEADS) if lead not in ("III", "aVL")]
            return wfdb(name, signal_mv[kept], [STANDARD_LEADS[row] for row in kept])
        case 7:  # no ECG, by its quality
            return wfdb(name, 0.2 * np.random.default_rng(number).standard_normal((12, 5000)))
        case 9:  # states no rate: it is asked for
            return {f"{name}.npy": npy(signal_mv.astype(np.float32))}
    return wfdb(name, signal_mv)


def _claims(shape: str) -> bytes:
    about = f"{{'descr': '<f8', 'fortran_order': False, 'shape': {shape}, }}".ljust(117) + "\n"
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(about)) + about.encode() + bytes(800)


def _nested_entities() -> bytes:
    lines = ['<!ENTITY a0 "ha">', *(f'<!ENTITY a{n} "{f"&a{n - 1};" * 10}">' for n in range(1, 12))]
    return ("<?xml version='1.0'?><!DOCTYPE x [" + "".join(lines) + "]><AnnotatedECG>&a11;</AnnotatedECG>").encode()


HOSTILE: list[Callable[[str, int], Files]] = [
    lambda name, n: {f"{name}.dat": b""},
    lambda name, n: {f"{name}.bin": np.random.default_rng(n).bytes(5_000)},
    lambda name, n: wfdb(name, heart_mv(n)[:, :3000], samples=5000),
    lambda name, n: {f"{name}.hea": wfdb(name, heart_mv(n))[f"{name}.hea"]},
    lambda name, n: zipped(name, {"a.csv": b"I,II\n" + b"\n" * 60_000_000}),
    lambda name, n: zipped(name, zipped("inner", wfdb("a", heart_mv(n)))),
    lambda name, n: zipped(name, {"../../a.csv": b"I,II\n1,2\n"}),
    lambda name, n: {f"{name}.hea": b"a 1 500 5000\n/etc/passwd 16 1000/mV 16 0 0 0 0 I\n"},
    lambda name, n: wfdb(name, heart_mv(n), samples=10**12),
    lambda name, n: {f"{name}.npy": _claims("(12, 99999999999)")},
    lambda name, n: {f"{name}.xml": _nested_entities()},
    lambda name, n: zipped(name, wfdb("a", heart_mv(n)) | wfdb("b", heart_mv(n + 1))),
    lambda name, n: {f"{name}.hea": b"a 12 500 5000\n" + b"a.dat 16 " * 20_000},
]
HUNGRY: Files = {"hungry.npy": npy(np.zeros((12, 333_000)))}
"""More than a child with 64 MB of its own can hold: it ends the child."""


def hostile(number: int) -> Files:
    return HOSTILE[number % len(HOSTILE)](f"hostile{number:03}", number)


def many(good_ones: int, hostile_ones: int) -> dict[str, Files]:
    """By the name that a row of a table of this folder has: hostile ones lie among the others, in three folders."""
    parts = [good(number) for number in range(good_ones)] + [hostile(number) for number in range(hostile_ones)]
    return {f"ward{place % 3}/{next(iter(files))}": files for place, files in enumerate(parts)}


def write(root: Path, ecgs: Mapping[str, Files]) -> Path:
    for name, files in ecgs.items():
        folder = (root / name).parent
        folder.mkdir(parents=True, exist_ok=True)
        for each, data in files.items():
            (folder / each).write_bytes(data)
    return root


def row_of(status: int, answer: dict[str, Any]) -> dict[str, Any]:
    """What a table should say of an ECG of which the service said this, by column; what is not there is empty.

    `reason` is left to those who compare sentences: the command names options where the service names parameters.
    """
    if status != 200:
        failed = answer["code"] in ("reading_failed", "unexpected_error")
        return {"status": "failed" if failed else "refused", "reason_codes": answer["code"]}
    given = "predictions" in answer or "neighbours" in answer
    codes = [*dict.fromkeys(warning["code"] for warning in answer["warnings"])]
    ecg, measured = answer["ecg"], answer["measured"]
    row = {"status": "answered" if given else "withheld", "reason_codes": answer.get("withheld")}
    row |= {"warnings": codes, "bundle": answer["bundle"], "generation": answer.get("generation")}
    row |= {name: ecg[name] for name in ("sha256", "format", "rate_hz", "duration_s", "leads")}
    for code in ("leads_derived", "leads_lost"):
        row[code] = [lead for warning in answer["warnings"] if warning["code"] == code for lead in warning["leads"]]
    row |= measured | {"not_reliable": measured["not_reliable"]}
    if "predictions" in answer:
        row |= _predicted(answer["predictions"])
    for rank, hit in enumerate(answer.get("neighbours", []), start=1):
        row |= {f"neighbour_{rank}_study_id": hit["study_id"], f"neighbour_{rank}_similarity": hit["similarity"]}
    return {name: _cell(value) for name, value in row.items() if value not in (None, [])}


def _predicted(said: Mapping[str, Any]) -> dict[str, Any]:
    lvef, shd = said["lvef"], said["shd"]
    row = {f"lvef_{one['label'].replace(' ', '_')}_probability": one["probability"] for one in lvef["classes"]}
    row |= {"lvef_predicted": lvef["predicted"], "lvef_prediction_set": lvef.get("prediction_set")}
    estimate = lvef.get("estimate", {})
    row |= {"lvef_positive": lvef.get("positive"), "lvef_percent": estimate.get("percent")}
    row |= {"lvef_percent_low": estimate.get("low"), "lvef_percent_high": estimate.get("high")}
    row |= {"shd_probability": shd["probability"], "shd_positive": shd["positive"]}
    row |= {"shd_prediction_set": shd.get("prediction_set")}
    for flag in shd.get("flags", []):
        assert flag["flag"] in SHD_FLAGS
        row |= {f"{flag['flag']}_probability": flag["probability"], f"{flag['flag']}_finding": flag.get("finding")}
    ood = said.get("ood", {})
    return row | {"unusual_score": ood.get("score"), "unusual_percentile": ood.get("percentile")}


def _cell(value: Any) -> str:
    """As a CSV has it."""
    if isinstance(value, bool):
        return str(value).lower()
    return ";".join(value) if isinstance(value, list) else str(value)
