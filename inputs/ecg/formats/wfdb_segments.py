"""WFDB records of several segments: which of them a stretch needs, whether they belong together, and how they join.

In a fixed layout every segment has the same signals. In a variable one the first segment has no samples and lists all
signals, of which the others have some: a lead that one lacks is missing there. Samples are read elsewhere.
https://physionet.org/physiotools/wag/header-5.htm
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from inputs.ecg.formats.base import check_no_lead_twice, millivolts_per
from inputs.ecg.formats.wfdb_header import Header, Signal
from inputs.errors import UnreadableFile


@dataclass(frozen=True)
class Piece:
    """What a stretch takes of one segment, its frames from `first` to before `last`. name: None for a gap."""

    name: str | None
    first: int
    last: int


def pieces_of(master: Header, window: slice) -> tuple[Piece, ...]:
    """The pieces that make up `window`, which is in frames of the whole record."""
    pieces = []
    start = 0
    for name, length in master.segments:
        first, last = max(window.start - start, 0), min(window.stop - start, length)
        if first < last:
            pieces.append(Piece(None if name == "~" else name, first, last))
        start += length
    return tuple(pieces)


def check_belong_together(master: Header, reference: Header, total: int) -> None:
    """Refuse a master header that contradicts its segments. total: frames of them all."""
    pairs = (
        (master.announced, len(reference.signals)), (master.samples, total), (master.rate_hz, reference.rate_hz),
    )  # fmt: skip
    if any(None not in pair and pair[0] != pair[1] for pair in pairs):
        raise UnreadableFile(
            "unreadable_file", "The WFDB header contradicts its segments: in length, rate or number of signals."
        )


def check_segment(header: Header, reference: Header, *, fixed: bool) -> None:
    """Refuse a segment that has other signals than `reference`, the first one or the layout, or another rate."""
    if header.segments:
        raise UnreadableFile("unreadable_file", "A segment of the WFDB record has segments itself.")
    if None not in (header.rate_hz, reference.rate_hz) and header.rate_hz != reference.rate_hz:
        raise UnreadableFile("rates_differ", "The segments of this WFDB record have different sampling rates.")
    if fixed:
        if _signals(header) != _signals(reference):
            raise _other_signals()
        return
    check_no_lead_twice([signal.lead for signal in header.signals if signal.lead is not None])
    of_layout = _by_lead(reference.signals)
    for lead, (_, signal) in _by_lead(header.signals).items():
        if lead not in of_layout:
            raise _other_signals()
        if signal.per_frame != of_layout[lead][1].per_frame:
            raise UnreadableFile(
                "rates_differ", f"Lead {lead} has different sampling rates in the segments of this WFDB record.",
                leads=(lead,),
            )  # fmt: skip


def joined(
    reference: Header,
    pieces: Sequence[Piece],
    read: Mapping[Piece, tuple[Header, Sequence[NDArray[np.float64]]]],
) -> list[NDArray[np.float64]]:
    """The samples of each signal of `reference` in its unit; of those that are no leads none.

    Gaps and leads that a segment lacks are NaN. read: of each piece with a name its header and its signals' samples.
    """
    frames = sum(piece.last - piece.first for piece in pieces)
    rows = [
        np.full(frames * signal.per_frame if signal.lead is not None else 0, np.nan) for signal in reference.signals
    ]
    start = 0
    for piece in pieces:
        if piece.name is not None:
            header, samples = read[piece]
            found = _by_lead(header.signals)
            for row, signal in zip(rows, reference.signals, strict=True):
                if signal.lead is None or signal.lead not in found:
                    continue
                place, own = found[signal.lead]
                at = start * signal.per_frame
                row[at : at + len(samples[place])] = samples[place] * _to_unit(own, signal)
        start += piece.last - piece.first
    return rows


def _to_unit(own: Signal, wanted: Signal) -> float:
    """What turns samples of a segment into the unit of the layout."""
    ours, theirs = millivolts_per(own.unit), millivolts_per(wanted.unit)
    if own.unit == wanted.unit or (ours is None and theirs is None):
        return 1.0
    if ours is None or theirs is None:
        raise _other_signals()
    return ours / theirs


def _signals(header: Header) -> list[tuple[str | None, str, int]]:
    return [(signal.lead, signal.unit, signal.per_frame) for signal in header.signals]


def _by_lead(signals: Sequence[Signal]) -> dict[str, tuple[int, Signal]]:
    return {signal.lead: (place, signal) for place, signal in enumerate(signals) if signal.lead is not None}


def _other_signals() -> UnreadableFile:
    return UnreadableFile("unreadable_file", "The segments of this WFDB record do not have the same signals.")
