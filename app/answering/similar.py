"""The studies most similar to a study of the index: a search with its own vector, without an ECG. Knows no HTTP."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

from app.answering.batcher import Batcher
from app.answering.lane import Found, Query
from app.answering.snapshots import Snapshot
from index.catalogue.cards import StudyCard
from index.rows import RowSet


@dataclass(frozen=True, eq=False)
class Similar:
    """The verdict in `found` is of no ECG and says nothing."""

    snapshot: Snapshot
    study: StudyCard
    found: Found

    @cached_property
    def cards(self) -> Sequence[StudyCard]:
        """In the order of `found.ids_K`; as `Answer.studies`, fetched by who writes the answer."""
        return self.snapshot.searchable.catalogue.cards(self.found.ids_K)


async def similar_studies(
    snapshot: Snapshot, batcher: Batcher[Query, Found], study_id: str, *, k: int, exclude_patient: bool
) -> Similar | None:
    """The `k` nearest studies, itself left out and, with `exclude_patient`, the others of its patient too.

    None where there is no such study. Raises NotSearchable, NoEmbeddings, QueueFull or BatcherClosed.
    """
    asked = await asyncio.to_thread(_query, snapshot, study_id, k, exclude_patient)
    if asked is None:
        return None
    study, query = asked
    found, _ = await batcher.submit(query)
    return Similar(snapshot, study, found)


def _query(snapshot: Snapshot, study_id: str, k: int, exclude_patient: bool) -> tuple[StudyCard, Query] | None:
    generation = snapshot.searchable
    card = generation.catalogue.card(study_id)
    if card is None:
        return None
    allowed = generation.catalogue.allowed(exclude_patient=card.patient_id) if exclude_patient else None
    if allowed is None:
        rows_N = generation.catalogue.patients.row_ids_N
        allowed = RowSet.of(rows_N[rows_N != card.row_id])
    return card, Query.of_vector(snapshot, generation.vector(card.row_id), k, allowed)
