"""Study cards, views and pictures of one generation, in SQLite through SQLAlchemy Core.

Knows nothing of vectors. A catalogue is written once, with `CatalogueWriter`, and only read afterwards.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from types import MappingProxyType, TracebackType
from typing import Any, Self
from urllib.parse import quote

import numpy as np
import sqlalchemy as sa
from numpy.typing import NDArray

from ground.findings import MEASUREMENTS
from index.base import IndexDamaged
from index.catalogue.cards import CataloguedView, StudyCard
from index.catalogue.filters import NO_FILTERS, Filters
from index.catalogue.spread import MEASURED, Usual
from index.patients import Patients
from index.rows import RowSet

_metadata = sa.MetaData()
_studies = sa.Table(
    "studies",
    _metadata,
    sa.Column("row_id", sa.Integer, primary_key=True),
    sa.Column("study_id", sa.String, nullable=False, unique=True),
    sa.Column("patient_id", sa.String, nullable=False, index=True),
    sa.Column("acquired_at", sa.String, index=True),  # ISO 8601, zoned times in UTC: order of text is order of time
    sa.Column("age", sa.Float, index=True),
    sa.Column("sex", sa.String),
    sa.Column("lvef_percent", sa.Float, index=True),
    sa.Column("lvedv_ml", sa.Float),
    sa.Column("lvesv_ml", sa.Float),
    sa.Column("flags", sa.JSON, nullable=False),
    sa.Column("shd", sa.Boolean),
    *(sa.Column(name, sa.Float) for name in MEASUREMENTS),  # a catalogue written before one was kept lacks its column
)
_views = sa.Table(
    "views",
    _metadata,
    sa.Column("row_id", sa.ForeignKey("studies.row_id"), primary_key=True),
    sa.Column("position", sa.Integer, primary_key=True),
    sa.Column("view_id", sa.String, nullable=False),
    sa.Column("view", sa.String),
    sa.Column("pool_weight", sa.Float, nullable=False),
)
_thumbnails = sa.Table(
    "thumbnails",
    _metadata,
    sa.Column("study_id", sa.String, primary_key=True),
    sa.Column("view_id", sa.String, primary_key=True),
    sa.Column("jpeg", sa.LargeBinary, nullable=False),
    sqlite_with_rowid=False,
)
_cines = sa.Table(  # not in a catalogue written before there were any
    "cines",
    _metadata,
    sa.Column("study_id", sa.String, primary_key=True),
    sa.Column("view_id", sa.String, primary_key=True),
    sa.Column("webp", sa.LargeBinary, nullable=False),
)

_UTC = "+00:00"
_CONNECTIONS = 4
_ROWS_AT_ONCE = 500
_BYTES_AT_ONCE = 2**25
"""Of cines that wait to be written: studies of many views have megabytes of them."""
_NONE: Mapping[str, bytes] = MappingProxyType({})


class Catalogue:
    """Read access to one catalogue file, from any thread. The file must not change while it is open."""

    def __init__(self, engine: sa.Engine) -> None:
        self._engine = engine
        self.damaged = False
        """Whether something could not be read although the file was whole when it was opened."""
        with engine.connect() as connection:
            count = connection.scalar(sa.select(sa.func.count()).select_from(_studies)) or 0
            rows = connection.execute(sa.select(_studies.c.row_id, _studies.c.patient_id).order_by(_studies.c.row_id))
            self.patients = Patients.of(((row_id, patient_id) for row_id, patient_id in rows), count)
            """Whose each study is."""
            dated = sa.select(_studies.c.acquired_at).where(_studies.c.acquired_at.is_not(None)).limit(1)
            self._zoned = (connection.scalar(dated) or "").endswith(_UTC)
            inspected = sa.inspect(connection)
            there = {column["name"] for column in inspected.get_columns(_studies.name)}
            self._has_cines = inspected.has_table(_cines.name)
        self._columns = [column for column in _studies.c if column.name in there or column.name not in MEASUREMENTS]

    @classmethod
    def open(cls, path: Path) -> Catalogue:
        """Open a catalogue that `CatalogueWriter` wrote. Raises IndexDamaged when it is none."""
        uri = f"file:{quote(str(path.resolve()))}?mode=ro&immutable=1"
        engine = sa.create_engine(
            "sqlite://",
            creator=lambda: sqlite3.connect(uri, uri=True, check_same_thread=False),
            poolclass=sa.QueuePool,
            pool_size=_CONNECTIONS,
            max_overflow=0,
        )
        try:
            # All connections open their file now: a generation stays readable after its folder has been deleted.
            connections = [engine.connect() for _ in range(_CONNECTIONS)]
            for connection in connections:
                connection.scalar(sa.select(sa.func.count()).select_from(_studies))
                connection.close()
            return cls(engine)
        except sa.exc.DBAPIError as error:
            engine.dispose()
            raise IndexDamaged("The catalogue cannot be read.") from error

    @property
    def count(self) -> int:
        return len(self.patients.row_ids_N)

    def card(self, study_id: str) -> StudyCard | None:
        """The card of a study, or None where there is no such study."""
        cards = self._cards(_studies.c.study_id == study_id)
        return cards[0] if cards else None

    def cards(self, row_ids: Sequence[int] | NDArray[np.int64]) -> list[StudyCard]:
        """The cards of some rows, in the order asked for. Raises KeyError for a row that is not there."""
        wanted = [int(row_id) for row_id in row_ids]
        by_row = {card.row_id: card for card in self._cards(_studies.c.row_id.in_(wanted))}
        return [by_row[row_id] for row_id in wanted]

    def allowed(self, filters: Filters = NO_FILTERS, *, exclude_patient: str | None = None) -> RowSet | None:
        """Rows that a search may return; None where nothing is left out.

        Raises FilterRefused where it is not known which moment a filter means.
        """
        conditions = self._conditions(filters)
        rows_N = self.patients.row_ids_N
        with self._reading() as connection:
            if conditions:
                matching = sa.select(_studies.c.row_id).where(*conditions).order_by(_studies.c.row_id)
                rows_N = np.fromiter(connection.scalars(matching), np.int64)
            if exclude_patient is not None:
                theirs = sa.select(_studies.c.row_id).where(_studies.c.patient_id == exclude_patient)
                rows_N = np.setdiff1d(rows_N, connection.scalars(theirs).all(), assume_unique=True)
        return None if len(rows_N) == self.count else RowSet.of(rows_N)

    def knows_patient(self, patient_id: str) -> bool:
        """Whether a study of the patient with this pseudonym is here."""
        with self._reading() as connection:
            return connection.scalar(sa.select(sa.exists().where(_studies.c.patient_id == patient_id))) or False

    def _conditions(self, filters: Filters) -> list[sa.ColumnElement[bool]]:
        """What is unknown is NULL, which no comparison matches."""
        c = _studies.c
        first, last = filters.acquired_within(zoned=self._zoned)
        said = (
            (filters.lvef_min, lambda least: c.lvef_percent >= least),
            (filters.lvef_max, lambda most: c.lvef_percent <= most),
            (filters.age_min, lambda least: c.age >= least),
            (filters.age_max, lambda most: c.age <= most),
            (filters.sex, lambda sex: c.sex == sex),
            (first, lambda bound: c.acquired_at >= bound.isoformat()),
            (last, lambda bound: c.acquired_at <= bound.isoformat()),
            (filters.view, lambda name: c.row_id.in_(sa.select(_views.c.row_id).where(_named(name)))),
            (filters.shd, lambda shd: c.shd == shd),
        )
        return [condition(value) for value, condition in said if value is not None]

    def usual(self) -> Usual:
        """What is usual among all studies. Reads every row: ask once and keep it."""
        asked = [column for column in self._columns if column.name in MEASURED]
        with self._reading() as connection:
            rows = connection.execute(sa.select(_studies.c.shd, *asked)).yield_per(_ROWS_AT_ONCE).partitions()
            parts = [np.array([tuple(row) for row in part], dtype=np.float64) for part in rows]
        shd_N, *measured_CN = np.concatenate([np.empty((0, 1 + len(asked))), *parts]).T  # NaN where unknown
        known = {c.name: values_N[~np.isnan(values_N)] for c, values_N in zip(asked, measured_CN, strict=True)}
        return Usual.of(known, (shd_N[~np.isnan(shd_N)] > 0).tolist())

    def thumbnail(self, study_id: str, view_id: str) -> bytes | None:
        """A JPEG, or None where there is none."""
        where = (_thumbnails.c.study_id == study_id) & (_thumbnails.c.view_id == view_id)
        with self._reading() as connection:
            return connection.scalar(sa.select(_thumbnails.c.jpeg).where(where))

    def cine(self, study_id: str, view_id: str) -> bytes | None:
        """A looping WebP, or None where there is none."""
        if not self._has_cines:
            return None
        where = (_cines.c.study_id == study_id) & (_cines.c.view_id == view_id)
        with self._reading() as connection:
            return connection.scalar(sa.select(_cines.c.webp).where(where))

    def cines_held(self) -> tuple[int, int]:
        """How many cines there are, and their bytes in all. Looks at every one of them."""
        if not self._has_cines:
            return 0, 0
        sizes = sa.select(sa.func.count(), sa.func.coalesce(sa.func.sum(sa.func.length(_cines.c.webp)), 0))
        with self._reading() as connection:
            number, n_bytes = connection.execute(sizes.select_from(_cines)).one()
        return int(number), int(n_bytes)

    def n_views_N(self) -> NDArray[np.int64]:
        """How many views each study has, by ascending row id. Reads every view: ask once."""
        counted = sa.select(sa.func.count(_views.c.row_id)).select_from(_studies).outerjoin(_views)
        by_study = counted.group_by(_studies.c.row_id).order_by(_studies.c.row_id)
        with self._reading() as connection:
            return np.fromiter(connection.scalars(by_study), np.int64, count=self.count)

    def view_names(self, most: int) -> tuple[str, ...]:
        """What its views are called, the `most` frequent names in order of the alphabet. Reads every view: ask once."""
        alike = _views.c.view.collate("NOCASE")  # as a filter takes them
        named = sa.select(sa.func.min(_views.c.view)).where(_views.c.view.is_not(None)).group_by(alike)
        frequent = named.order_by(sa.func.count().desc(), alike).limit(most)
        with self._reading() as connection:
            return tuple(sorted(connection.scalars(frequent).all()))

    @contextmanager
    def _reading(self) -> Iterator[sa.Connection]:
        """Raises IndexDamaged where the file has been written to, which nobody may."""
        try:
            with self._engine.connect() as connection:
                yield connection
        except sa.exc.DBAPIError as error:
            self.damaged = True
            raise IndexDamaged("The catalogue cannot be read.") from error

    def close(self) -> None:
        self._engine.dispose()

    def _cards(self, condition: sa.ColumnElement[bool]) -> list[StudyCard]:
        chosen = sa.select(_studies.c.row_id).where(condition)
        has_cine = _has_picture(_cines) if self._has_cines else sa.false()
        with self._reading() as connection:
            studies = connection.execute(sa.select(*self._columns).where(condition)).mappings().all()
            views = connection.execute(
                sa.select(_views, _has_picture(_thumbnails).label("has_thumbnail"), has_cine.label("has_cine"))
                .join(_studies)
                .where(_views.c.row_id.in_(chosen))
                .order_by(_views.c.row_id, _views.c.position)
            ).all()
        views_by_row: dict[int, list[CataloguedView]] = {study["row_id"]: [] for study in studies}
        for view in views:
            pictures = bool(view.has_thumbnail), bool(view.has_cine)
            views_by_row[view.row_id].append(CataloguedView(view.view_id, view.view, view.pool_weight, *pictures))
        return [_card(dict(study), tuple(views_by_row[study["row_id"]])) for study in studies]


def _has_picture(pictures: sa.Table) -> sa.ColumnElement[bool]:
    """Whether a view of a study has one of these; the picture itself is not read."""
    of_view = (pictures.c.study_id == _studies.c.study_id) & (pictures.c.view_id == _views.c.view_id)
    return sa.exists().where(of_view).correlate(_studies, _views)


def _named(view: str) -> sa.ColumnElement[bool]:
    """Whether a view has this name, in capitals or not. So for ASCII letters; SQLite knows no others' capitals."""
    return _views.c.view.collate("NOCASE") == view


def _card(study: Mapping[str, Any], views: tuple[CataloguedView, ...]) -> StudyCard:
    acquired_at = study["acquired_at"]
    return StudyCard(
        **{name: value for name, value in study.items() if name not in (*MEASUREMENTS, "acquired_at")},
        acquired_at=None if acquired_at is None else datetime.fromisoformat(acquired_at),
        views=views,
        measurements={name: value for name in MEASUREMENTS if (value := study.get(name)) is not None},
    )


class CatalogueWriter:
    """Writes a new catalogue file; complete when the `with` block ends without an exception."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._engine = sa.create_engine("sqlite://", creator=self._connect, poolclass=sa.StaticPool)
        self._waiting: dict[str, list[dict[str, Any]]] = {table.name: [] for table in _metadata.sorted_tables}
        self._waiting_bytes = 0
        self.count = 0

    def _connect(self) -> sqlite3.Connection:
        connection = sqlite3.connect(self._path)
        # Nobody reads the file before it is complete, flushed and renamed, so a journal would protect nothing.
        connection.execute("PRAGMA journal_mode = OFF")
        connection.execute("PRAGMA synchronous = OFF")
        return connection

    def __enter__(self) -> Self:
        _metadata.create_all(self._engine)
        return self

    def add(self, card: StudyCard, thumbnails: Mapping[str, bytes], cines: Mapping[str, bytes] = _NONE) -> None:
        """Append a study; `thumbnails` are JPEGs and `cines` WebPs, by view_id.

        ValueError for a second study or view of the same id.
        """
        if len({view.view_id for view in card.views}) < len(card.views):
            raise ValueError("the views of a study must have different ids")
        study = {c.name: getattr(card, c.name) for c in _studies.c if c.name not in MEASUREMENTS}
        study |= {name: card.measurements.get(name) for name in MEASUREMENTS}
        study["acquired_at"] = _iso(card.acquired_at)
        study["flags"] = dict(card.flags)
        self._waiting["studies"].append(study)
        self._waiting["views"] += [
            {"row_id": card.row_id, "position": i}
            | {name: getattr(view, name) for name in ("view_id", "view", "pool_weight")}
            for i, view in enumerate(card.views)
        ]
        self._waiting["thumbnails"] += [
            {"study_id": card.study_id, "view_id": view_id, "jpeg": jpeg} for view_id, jpeg in thumbnails.items()
        ]
        self._waiting["cines"] += [
            {"study_id": card.study_id, "view_id": view_id, "webp": webp} for view_id, webp in cines.items()
        ]
        self._waiting_bytes += sum(map(len, cines.values()))
        self.count += 1
        if len(self._waiting["studies"]) >= _ROWS_AT_ONCE or self._waiting_bytes >= _BYTES_AT_ONCE:
            self._flush()

    def _flush(self) -> None:
        try:
            with self._engine.begin() as connection:
                for table in _metadata.sorted_tables:
                    if rows := self._waiting[table.name]:
                        connection.execute(sa.insert(table), rows)
                        self._waiting[table.name] = []
            self._waiting_bytes = 0
        except sa.exc.IntegrityError as error:
            raise ValueError("a study id or row id is in the catalogue already") from error

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if error is None:
                self._flush()
        finally:
            self._engine.dispose()


def _iso(time: datetime | None) -> str | None:
    if time is None:
        return None
    return (time if time.tzinfo is None else time.astimezone(UTC)).isoformat(timespec="seconds")
