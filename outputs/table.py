"""Answers as a table, one row each: what a column is called, which cells an answer fills, and the file of them.

A cell that an answer does not fill is empty. What is the same for every ECG of a bundle (thresholds, base rates, how
sets were sized) is no cell: the bundle's card and /v1/info have it.
"""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from itertools import islice
from pathlib import Path
from typing import Literal

import pyarrow as pa
import pyarrow.parquet as pq

from ground.disk import sha256, written_whole
from ground.findings import SHD_FLAGS
from ground.letters import made_visible
from ground.own_columns import NUMBER_ENDS, ColumnKind, own_columns, refuse_alike
from outputs.report import (
    LvefPrediction,
    MeasuredEcg,
    OwnPrediction,
    PredictAnswer,
    Predictions,
    SearchAnswer,
    ShdPrediction,
)
from outputs.study import Neighbour

Cell = str | float | bool
Row = Mapping[str, Cell]
"""Cells by column, those that are filled."""

Status = Literal["answered", "withheld", "refused", "failed"]
"""Withheld: its quality forbids an answer. Refused: no ECG that can be used. Failed: reading it did not end well, which
says nothing final about it."""

TABLE_VERSION = 4
"""Of columns and cells: another number, and what was kept by an earlier version is made again."""
TABLE_SUFFIXES = (".csv", ".parquet")
ASKED = "asked"
"""The column of a seal: what was asked of which content and that the row is the answer, in one number."""
SEPARATOR = ";"
"""Between the parts of a cell that holds several."""

_MEASURED = ("heart_rate_bpm", "pr_ms", "qrs_ms", "qt_ms", "qtc_ms", "axis_deg")
_ROWS_AT_A_TIME = 5_000
_KEY_LETTERS = 32
_ARROW: Mapping[ColumnKind, pa.DataType] = {"text": pa.string(), "number": pa.float64(), "truth": pa.bool_()}


def columns(
    lvef_labels: Sequence[str], k: int, own_yes_no: Sequence[str] = (), own_numbers: Sequence[str] = ()
) -> dict[str, ColumnKind]:
    """Every column in its order; of `k` neighbours, 0 for none. own: labels that whoever fitted the bundle added.

    Refusal where two would be called alike.
    """
    in_order: list[tuple[ColumnKind, Sequence[str]]] = [
        ("text", ("input", "id", "status", "reason_codes", "reason", "warnings", "sha256", "bundle", "generation")),
        ("text", (ASKED,)),
        ("text", ("format",)),
        ("number", ("rate_hz", "duration_s")),
        ("text", ("leads", "leads_derived", "leads_lost")),
        ("truth", ("regular",)),
        ("number", _MEASURED),
        ("text", ("not_reliable",)),
        ("number", [_probability_of(label) for label in lvef_labels]),
        ("text", ("lvef_predicted", "lvef_prediction_set")),
        ("truth", ("lvef_positive",)),
        ("number", ("lvef_percent", "lvef_percent_low", "lvef_percent_high", "shd_probability")),
        ("truth", ("shd_positive",)),
        ("text", ("shd_prediction_set",)),
    ]
    for flag in SHD_FLAGS:
        in_order += [("number", (f"{flag}_probability",)), ("text", (f"{flag}_finding",))]
    in_order += [(kind, (name,)) for kind, name in own_columns(own_yes_no, own_numbers)]
    in_order.append(("number", ("unusual_score", "unusual_percentile")))
    for rank in range(1, k + 1):
        in_order += [("text", (f"neighbour_{rank}_study_id",)), ("number", (f"neighbour_{rank}_similarity",))]
    refuse_alike(name for _kind, names in in_order for name in names)
    return {name: kind for kind, names in in_order for name in names}


def answered(report: SearchAnswer | PredictAnswer) -> Row:
    """The cells of an answer, given or withheld; numbers as they stand in it."""
    neighbours = report.neighbours if isinstance(report, SearchAnswer) else None
    given = report.predictions is not None or neighbours is not None
    status: Status = "answered" if given else "withheld"
    ecg = report.ecg
    row: dict[str, Cell] = {"status": status, "sha256": ecg.sha256, "bundle": report.bundle, "format": ecg.format}
    if report.withheld:
        said = [warning.message for warning in report.withheld_for]
        helps = [warning.hint for warning in report.withheld_for]
        row |= _reason(report.withheld, " ".join(dict.fromkeys(sentence for sentence in (*said, *helps) if sentence)))
    row |= _listed("warnings", [*dict.fromkeys(warning.code for warning in report.warnings)])
    row |= {"rate_hz": ecg.rate_hz, "duration_s": ecg.duration_s}
    row |= _listed("leads", ecg.leads)
    for code in ("leads_derived", "leads_lost"):
        row |= _listed(code, [lead for warning in report.warnings if warning.code == code for lead in warning.leads])
    if report.measured is not None:
        row |= _measured(report.measured)
    if report.predictions is not None:
        row |= _predicted(report.predictions)
    if isinstance(report, SearchAnswer):
        row |= {"generation": report.generation} | _found(neighbours or ())
    return row


def refused(status: Status, code: str, sentence: str, *, sha256: str = "") -> Row:
    """The cells of an ECG without an answer. sha256: of its files, where they could be read."""
    return {"status": status} | _reason([code], sentence) | ({"sha256": sha256} if sha256 else {})


def write_table(path: Path, kinds: Mapping[str, ColumnKind], rows: Iterable[Row]) -> None:
    """CSV or Parquet by the ending of `path`, whole or not at all, a few thousand rows in memory at a time.

    The same rows give the same bytes.
    """
    with written_whole(path) as file:
        if path.suffix.lower() == ".csv":
            text = io.TextIOWrapper(file, encoding="utf-8", newline="", write_through=True)
            writer = csv.writer(text, lineterminator="\n")
            writer.writerow(kinds)
            writer.writerows([_written(row.get(name)) for name in kinds] for row in rows)
            text.detach()  # `file` is flushed and closed by its owner
            return
        schema = pa.schema([(name, _ARROW[kind]) for name, kind in kinds.items()])
        with pq.ParquetWriter(file, schema) as table:
            for some in _pieces(rows):
                table.write_table(pa.table({name: [row.get(name) for row in some] for name in kinds}, schema=schema))


def sealed(key: str, row: Row) -> Row:
    """The row with a seal. key: of everything that decides it, 32 letters."""
    return {**row, ASKED: key + _sum_of(row)}


def read_sealed(path: Path, kinds: Mapping[str, ColumnKind]) -> Iterator[tuple[str, Row]]:
    """Key and row of all in a table whose cells are those that were sealed; of what is no table, or another, none."""
    rows = _rows_of_csv(path) if path.suffix.lower() == ".csv" else _rows_of_parquet(path)
    with suppress(csv.Error, ValueError, pa.ArrowException):
        for cells in rows:
            row = {name: _typed(kinds[name], cell) for name, cell in cells.items() if name in kinds and cell != ""}
            seal = str(row.pop(ASKED, ""))
            for name in ("input", "id"):
                row.pop(name, None)
            if seal[_KEY_LETTERS:] == _sum_of(row):
                yield seal[:_KEY_LETTERS], row


def _rows_of_csv(path: Path) -> Iterator[dict[str, Cell]]:
    with path.open(newline="", encoding="utf-8") as file:
        for cells in csv.DictReader(file, restval=""):
            yield {str(name): cell for name, cell in cells.items()}


def _rows_of_parquet(path: Path) -> Iterator[dict[str, Cell]]:
    with pq.ParquetFile(path) as table:
        for some in table.iter_batches(_ROWS_AT_A_TIME):
            for cells in some.to_pylist():
                yield {name: cell for name, cell in cells.items() if cell is not None}


def _typed(kind: ColumnKind, cell: Cell) -> Cell:
    if kind == "text" or not isinstance(cell, str):
        return cell
    return cell == "true" if kind == "truth" else float(cell)


def _sum_of(row: Row) -> str:
    return sha256(json.dumps(row, sort_keys=True).encode()).hexdigest()[:_KEY_LETTERS]


def _pieces(rows: Iterable[Row]) -> Iterator[Sequence[Row]]:
    left = iter(rows)
    while some := list(islice(left, _ROWS_AT_A_TIME)):
        yield some


def _written(cell: Cell | None) -> str:
    """Numbers in the fewest digits that give them back."""
    if cell is None:
        return ""
    return str(cell).lower() if isinstance(cell, bool) else str(cell)


def _reason(codes: Sequence[str], sentence: str) -> dict[str, Cell]:
    return _listed("reason_codes", codes) | {"reason": made_visible(sentence)}


def _listed(column: str, parts: Sequence[str]) -> dict[str, Cell]:
    return {column: made_visible(SEPARATOR.join(parts))} if parts else {}


def _probability_of(label: str) -> str:
    return f"lvef_{re.sub(r'[^0-9a-z]+', '_', label.lower())}_probability"


def _measured(found: MeasuredEcg) -> dict[str, Cell]:
    row = _known(found, _MEASURED) | _listed("not_reliable", found.not_reliable)
    return row if found.regular is None else row | {"regular": found.regular}


def _predicted(predictions: Predictions) -> dict[str, Cell]:
    row: dict[str, Cell] = {}
    if predictions.lvef is not None:
        row |= _lvef(predictions.lvef)
    if predictions.shd is not None:
        row |= _shd(predictions.shd)
    for flag in predictions.findings:
        row[f"{flag.flag}_probability"] = flag.probability
        if flag.finding is not None:
            row[f"{flag.flag}_finding"] = flag.finding
    for one in predictions.own or ():
        row |= _own(one)
    if (ood := predictions.ood) is not None:
        row |= {"unusual_score": ood.score, "unusual_percentile": ood.percentile}
    return row


def _lvef(lvef: LvefPrediction) -> dict[str, Cell]:
    row: dict[str, Cell] = {_probability_of(each.label): each.probability for each in lvef.classes}
    row |= {"lvef_predicted": lvef.predicted} | _listed("lvef_prediction_set", lvef.prediction_set or ())
    if lvef.positive is not None:
        row["lvef_positive"] = lvef.positive
    if lvef.estimate is not None:
        row |= _named(lvef.estimate, {"": "percent", "_low": "low", "_high": "high"}, "lvef_percent")
    return row


def _shd(shd: ShdPrediction) -> dict[str, Cell]:
    row: dict[str, Cell] = {"shd_probability": shd.probability}
    if shd.positive is not None:
        row["shd_positive"] = shd.positive
    return row | _listed("shd_prediction_set", shd.prediction_set or ())


def _own(one: OwnPrediction) -> dict[str, Cell]:
    row = _named(one, {"_probability": "probability", "_positive": "positive", **NUMBER_ENDS}, f"own_{one.label}")
    return row | _listed(f"own_{one.label}_prediction_set", one.prediction_set or ())


def _found(neighbours: Sequence[Neighbour]) -> dict[str, Cell]:
    row: dict[str, Cell] = {}
    for each in neighbours:
        row[f"neighbour_{each.rank}_study_id"] = each.study_id
        row[f"neighbour_{each.rank}_similarity"] = each.similarity
    return row


def _known(of: object, names: Sequence[str]) -> dict[str, Cell]:
    return _named(of, {name: name for name in names}, "")


def _named(of: object, members: Mapping[str, str], begins: str) -> dict[str, Cell]:
    """Members that are known, in columns whose names begin so and end with the keys."""
    known = {end: getattr(of, name) for end, name in members.items()}
    return {begins + end: value for end, value in known.items() if value is not None}
