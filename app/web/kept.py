"""What the page keeps of an answered ECG, to show it again by its address: `app.answering.kept_answers` holds it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from http import HTTPStatus
from sys import getsizeof

from fastapi import Request

from app.answering.answered import search_answer
from app.answering.pipeline import Answer, AnsweredEcg, Question
from app.http.dependencies import caller_of, require_still
from app.http.problems import Problem
from app.service import Service
from outputs.report import SearchAnswer

_OVERHEAD_BYTES = 48 * 2**10
"""Of an answer besides its report and its drawing: verdict, facts and warnings. They take less; but they are a hundred
objects, and 64 MiB of the smallest ones would be so many that a search for garbage stops everybody for a while."""
_ROW_BYTES = 1024


@dataclass(frozen=True, eq=False)
class KeptAnswer:
    """An ECG and what was answered: the report as it would be sent, what is drawn, and what a new search needs."""

    ecg: AnsweredEcg
    question: Question
    report_json: bytes = field(repr=False)
    answered_at: datetime

    @property
    def report(self) -> SearchAnswer:
        """Takes milliseconds: ask for it off the event loop."""
        return SearchAnswer.model_validate_json(self.report_json)

    @property
    def n_bytes(self) -> int:
        tracing, said = self.ecg.facts.tracing, self.ecg.facts.said
        texts = () if said is None else (*said.statements, *said.filters)
        drawn_bytes = 0 if tracing is None else tracing.signal_mv_LN.nbytes
        drawn_bytes += 0 if self.ecg.facts.windows_WLN is None else self.ecg.facts.windows_WLN.nbytes
        return len(self.report_json) + _OVERHEAD_BYTES + drawn_bytes + sum(map(getsizeof, texts))


@dataclass(frozen=True, eq=False)
class KeptUpload:
    """Several ECGs that came together: the names of their answers, or why one has none; and what was asked of all."""

    answers: tuple[str | Problem, ...]
    asked: Mapping[str, str]

    @property
    def n_bytes(self) -> int:
        texts = [*self.asked, *self.asked.values()]
        for one in self.answers:
            texts += [one] if isinstance(one, str) else [one.sentence, one.hint, str(one.extra)]
        return _ROW_BYTES * (4 + len(self.answers)) + sum(map(getsizeof, texts))


def in_words(problem: Problem) -> Problem:
    """What a problem says and nothing of where it was met, which would hold the upload."""
    status = HTTPStatus(problem.status_code)
    return Problem(problem.code, problem.sentence, hint=problem.hint, extra=problem.extra, status=status)


async def keep(service: Service, request: Request, owner: str, answer: Answer, question: Question) -> str:
    """The name that it is kept by."""
    written = await service.write_answer(answer, partial(_written, request.state.request_id), caller_of(request))
    return _kept(service, request, owner, KeptAnswer(AnsweredEcg.of(answer), question, written, datetime.now(UTC)))


def keep_upload(service: Service, request: Request, owner: str, upload: KeptUpload) -> str:
    """The name that it is kept by."""
    return _kept(service, request, owner, upload)


def _kept(service: Service, request: Request, owner: str, what: KeptAnswer | KeptUpload) -> str:
    """Raises Unauthorised where the log-in has ended meanwhile: nobody could ask for it any more."""
    require_still(request, service, "query")
    return service.kept.keep(owner, what, what.n_bytes, caller_of(request))


def _written(request_id: str, answer: Answer) -> bytes:
    return search_answer(answer, request_id).model_dump_json(exclude_unset=True).encode()
