"""What the table of ECGs says beside each file: rate, unit, leads, which ECG of a file of many."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import pandas as pd

from cohorts.tables import CohortFinding, found_rows
from inputs.ecg.formats.base import millivolts_per
from inputs.ecg.leads import leads_from_names
from inputs.records import MAX_EXAM_LETTERS, ReadHints


def hints_of(row: Mapping[str, Any]) -> ReadHints:
    """What is said in one row of the table; an empty cell, as a column that is not there, says nothing."""
    rate_hz = row.get("rate_hz")
    leads = _names(row.get("leads") or "")
    return ReadHints(
        rate_hz=None if rate_hz is None or pd.isna(rate_hz) else float(rate_hz),
        unit=row.get("unit") or None,
        leads=leads or None,
        exam=row.get("exam") or None,
    )


def said_problems(ecgs: pd.DataFrame, *, has_unit: bool) -> list[CohortFinding]:
    """Cells that say what cannot be. has_unit: whether `cohort.json` leaves the ECGs a unit of their own."""
    problems: list[CohortFinding] = []

    def add(code: str, sentence: str, wrong: pd.Series) -> None:
        problems.extend(found_rows(code, sentence, "ecgs", wrong))

    if "rate_hz" in ecgs:
        add("rate_out_of_range", "rate_hz must be above 0", ecgs["rate_hz"] <= 0)
    if "unit" in ecgs:
        wrong = _unfit(ecgs["unit"], lambda text: millivolts_per(text) is None)
        add("unit_not_voltage", "unit must be nV, uV, mV or V, or empty", wrong)
        if not has_unit:
            sentence = "unit is given although cohort.json says that the ECGs have none"
            add("unit_of_relative", sentence, ecgs["unit"] != "")
    if "leads" in ecgs:
        add("leads_unknown", "leads names no lead, or one twice", _unfit(ecgs["leads"], _are_no_leads))
    if "dataset" in ecgs:
        row_lacks = ecgs["row"].isna() if "row" in ecgs else True
        sentence = "dataset is given without row; a dataset of many ECGs needs both"
        add("dataset_without_row", sentence, (ecgs["dataset"] != "") & row_lacks)
    if "exam" in ecgs:
        sentence = f"exam is longer than {MAX_EXAM_LETTERS} characters"
        add("exam_long", sentence, ecgs["exam"].str.len() > MAX_EXAM_LETTERS)
        if "row" in ecgs:
            add("row_and_exam", "row and exam are both given; one of them says which ECG", _both(ecgs))
    return problems


def _both(ecgs: pd.DataFrame) -> pd.Series:
    return ecgs["row"].notna() & (ecgs["exam"] != "")


def _unfit(texts: pd.Series, is_unfit: Callable[[str], bool]) -> pd.Series:
    return texts.map({text: text != "" and is_unfit(text) for text in texts.unique()}).astype(bool)


def _names(text: str) -> tuple[str, ...]:
    return tuple(name.strip() for name in text.split(",") if name.strip())


def _are_no_leads(text: str) -> bool:
    leads = [lead for lead in leads_from_names(_names(text)) if lead is not None]
    return not leads or len(set(leads)) < len(leads)
