"""The operator's page: how the service is doing, its index and rebuilds, its keys, its model, and what it refused.

Behind the session of an admin key; without keys it is this machine's own, as the API is then. Every write is a form,
goes through the API's own functions and answers with a redirect. The one exception is a new key: its secret is in the
answer to the form and nowhere else, because an address would be kept by browsers and proxies.
"""

from __future__ import annotations

import os
from collections.abc import Awaitable, Callable, Mapping
from functools import partial, wraps
from http import HTTPStatus
from pathlib import Path
from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse, RedirectResponse, Response
from pydantic import ValidationError

from app.access.forms_sent import TOKEN_LETTERS
from app.access.keys import SCOPES, ApiKey
from app.http.bodies import takes_at_most
from app.http.connected import while_connected
from app.http.dependencies import SAFE_METHODS, ServiceDep, caller_of, require_admin_page, require_still
from app.http.problems import (
    EXPECTED,
    BadUpload,
    BodyTimeout,
    BodyTooLarge,
    InvalidParameter,
    Problem,
    Unauthorised,
    noted_problem,
    problem_of_validation,
)
from app.operator_views import JobSummary, NewKey, NewKeyRequest
from app.refusals import TookTooLong
from app.routes.index import REBUILD_BYTES, rebuild_index
from app.routes.keys import KEY_BYTES, create_key, key_list, revoke_key
from app.routes.refusals import list_refusals
from app.schemas import RebuildRequest
from app.service import Service
from app.web import render
from app.web.admin_session import ADMIN_PAGE
from app.web.login import NO_COOKIE, form_fields
from inputs.errors import UnreadableFile
from inputs.opened import open_regular_file
from models.bundle import CARD

router = APIRouter(include_in_schema=False)

MOST_JOBS, MOST_GENERATIONS = 20, 20
MOST_CARD_BYTES = 128 * 2**10
_MOST_FIELDS = 6
_MADE_ALREADY = "This key was made already, and it is not shown again."
_LOST = "Who lost it revokes it below and makes another."
_SESSION_ENDED = "The session has ended: log in again. Nothing was changed."

Shown = Callable[..., Awaitable[Response]]


def _operators(show: Shown) -> Shown:
    """A page of the operator's. Who is not logged in gets the log-in form; a refusal is told on the page itself."""

    @wraps(show)
    async def shown(request: Request, service: Service, **given: Any) -> Response:
        try:
            require_admin_page(request, service)  # what another site's page sends is refused here, with no page at all
            with service.operating.enter(caller_of(request), 0):
                try:
                    return await show(request=request, service=service, **given)
                except (TookTooLong, Unauthorised):  # the page itself did, or is no longer theirs
                    raise
                except EXPECTED as error:
                    return await _page(request, service, problem=noted_problem(request, error))
        except Unauthorised as problem:
            said = None if request.method in SAFE_METHODS else _SESSION_ENDED
            if given.get("logged_in"):
                said = NO_COOKIE
            return HTMLResponse(render("admin_login.html", problem=said), problem.status_code, problem.headers)

    return shown


@router.get(ADMIN_PAGE)
@_operators
async def show_admin(request: Request, service: ServiceDep, logged_in: bool = False) -> Response:
    """Everything at once. `logged_in`: the log-in form sent them here."""
    return await _page(request, service)


@router.post("/admin/rebuild")
@takes_at_most(REBUILD_BYTES)
@_operators
async def start_rebuild(request: Request, service: ServiceDep) -> Response:
    """Start a rebuild from the source that was chosen."""
    source = dict(await form_fields(request, 1)).get("source")
    require_still(request, service, "admin")
    await rebuild_index(request, service, Response(), RebuildRequest(source=(source or "")[:100]))
    return _back_to("rebuild")


@router.post("/admin/jobs/{job_id}/cancel")
@_operators
async def cancel_rebuild(request: Request, service: ServiceDep, job_id: str) -> Response:
    """End a running rebuild."""
    await service.jobs.cancel(job_id, partial(require_still, request, service, "admin"))
    return _back_to("rebuild")


@router.post("/admin/keys")
@takes_at_most(KEY_BYTES)
@_operators
async def make_key(request: Request, service: ServiceDep) -> Response:
    """A new key, shown in this answer alone. The same form makes no second one, as when the answer is reloaded."""
    fields = await form_fields(request, _MOST_FIELDS)
    require_still(request, service, "admin")
    once = dict(fields).get("once", "")
    if not {name for name, _ in fields} <= {"name", "scope", "days", "once"} or len(once) != TOKEN_LETTERS:
        raise BadUpload("bad_form", "The form for a key holds `name`, `scope`, `days` and `once` and nothing else.")
    scopes = [value for name, value in fields if name == "scope"]
    filled = {name: value for name, value in fields if name not in ("scope", "once")} | dict.fromkeys(scopes, "on")
    try:
        if not scopes:
            raise InvalidParameter("invalid_parameter", "Tick what the key may do.")
        wanted = NewKeyRequest.model_validate(
            {"name": filled.get("name", ""), "scopes": scopes, "expires_in_days": filled.get("days") or None}
        )
        made = await _made_once(request, service, once, wanted)
    except ValidationError as error:
        rules = [
            {**rule, "loc": ("body", *rule["loc"])} for rule in error.errors(include_url=False, include_input=False)
        ]
        return await _page(request, service, problem=problem_of_validation(rules), filled=filled)
    except Unauthorised:
        raise
    except EXPECTED as error:
        return await _page(request, service, problem=noted_problem(request, error), filled=filled)
    return await _page(request, service, new_key=made, status=HTTPStatus.CREATED)


async def _made_once(request: Request, service: Service, once: str, wanted: NewKeyRequest) -> NewKey:
    """Raises Problem where the same form made a key before; one that made none may be sent again."""
    if not service.forms_sent.first(once):
        raise Problem("form_sent_already", _MADE_ALREADY, hint=_LOST, status=HTTPStatus.CONFLICT)
    try:
        return await create_key(request, service, wanted)
    except BaseException:
        service.forms_sent.forget(once)
        raise


@router.post("/admin/keys/{key_id}/revoke")
@_operators
async def take_key_back(request: Request, service: ServiceDep, key_id: str) -> Response:
    """Make a key worthless."""
    await revoke_key(request, service, key_id)
    return _back_to("keys")


def _back_to(section: str) -> Response:
    return RedirectResponse(f"{ADMIN_PAGE}#{section}", HTTPStatus.SEE_OTHER)


async def _page(
    request: Request,
    service: Service,
    *,
    problem: Problem | None = None,
    new_key: NewKey | None = None,
    filled: Mapping[str, str] | None = None,
    status: HTTPStatus = HTTPStatus.OK,
) -> HTMLResponse:
    snapshot = service.retriever.current  # held, so that a swap does not close its generation while it is read
    jobs = [JobSummary.of(job) for job in await service.jobs.newest(MOST_JOBS)]
    asking = service.keys.glance(caller_of(request))
    values = {
        "problem": problem,
        "new_key": new_key,
        "filled": filled or {},
        "once": service.forms_sent.token(),
        "ready": not service.reasons_not_ready(),
        "reasons": service.reasons_not_ready(),
        "degraded": service.degraded,
        "alive": service.alive,
        "embedder": snapshot.embedder,
        "generation": snapshot.generation,
        "jobs": jobs,
        "running_job": next((job for job in jobs if job.state == "running"), None),
        "sources": sorted(service.settings.cohorts),
        "rebuilt": {job.source: job.ended_at for job in reversed(jobs) if job.state == "done"},
        "own_key": asking.id if asking else None,
        "scopes": _scopes_to_give(asking),
        "refusals": await list_refusals(service),
        "with_keys": service.keys.enforced,
        "idle_minutes": service.admin_sessions.lifetime_s / 60,
    }
    drawn = service.write(lambda: _written(service, values), caller_of(request))
    # A body that was refused is not asked for again, and so nobody would hear of a caller who leaves.
    html = await (drawn if isinstance(problem, BodyTooLarge | BodyTimeout) else while_connected(request, drawn))
    code = problem.status_code if problem else status
    return HTMLResponse(html, code, problem.headers if problem else None)


def _written(service: Service, values: Mapping[str, Any]) -> str:
    """Reads the disk."""
    file = service.settings.keys_file
    return render(
        "admin.html",
        generations=service.retriever.on_disk(MOST_GENERATIONS),
        card=_card(service.settings.bundle_dir),
        keys=key_list(service),
        may_write_keys=file is not None and os.access(file.parent, os.W_OK),
        **values,
    )


def _scopes_to_give(asking: ApiKey | None) -> tuple[str, ...]:
    return SCOPES if asking is None else asking.scopes


def _card(bundle_dir: Path) -> str | None:
    """The model card as it lies in the bundle's folder, as text; None where there is none."""
    try:
        with open_regular_file(bundle_dir / CARD) as file:
            return file.read(MOST_CARD_BYTES).decode(errors="replace")
    except UnreadableFile:
        return None
