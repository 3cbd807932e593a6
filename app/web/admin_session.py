"""Log-in and log-out of the operator's pages: a session of its own, which only an admin key opens."""

from __future__ import annotations

from http import HTTPStatus

from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse, RedirectResponse, Response

from app.access.sessions import ADMIN_COOKIE, SESSION_COOKIE
from app.http.bodies import takes_at_most
from app.http.dependencies import ServiceDep, refuse_other_sites
from app.service import Service
from app.web import render
from app.web.login import LOGIN_BYTES, forget_cookie, key_of_form, set_cookie

router = APIRouter(include_in_schema=False)

ADMIN_PAGE = "/admin"


@router.post("/admin/login")
@takes_at_most(LOGIN_BYTES)
async def log_in(request: Request, service: ServiceDep) -> Response:
    """Exchange an admin key for the session of the operator's pages."""
    refuse_other_sites(request, service)
    valid = service.keys.find(await key_of_form(request))
    if valid is None or "admin" not in valid.scopes:
        request.state.code = "key_wrong" if valid is None else "scope_missing"
        problem = "This key is not valid here." if valid is None else "This key does not have the scope admin."
        return HTMLResponse(render("admin_login.html", problem=problem), HTTPStatus.UNAUTHORIZED)
    response = RedirectResponse(f"{ADMIN_PAGE}?logged_in=true", HTTPStatus.SEE_OTHER)
    set_cookie(response, service, ADMIN_COOKIE, service.admin_sessions.open(valid))
    return response


@router.post("/admin/logout")
async def log_out(request: Request, service: ServiceDep) -> Response:
    """Forget the session of the operator's pages."""
    refuse_other_sites(request, service)
    service.admin_sessions.close(request.cookies.get(ADMIN_COOKIE, ""))
    response = RedirectResponse(ADMIN_PAGE, HTTPStatus.SEE_OTHER)
    forget_cookie(response, service, ADMIN_COOKIE)
    return response


@router.post("/logout/everywhere")
async def log_out_everywhere(request: Request, service: ServiceDep) -> Response:
    """Forget every session, of both kinds and in every browser, of the keys that this browser is logged in with."""
    refuse_other_sites(request, service)
    for key_id in _logged_in(request, service):
        service.close_sessions(key_id)
    response = RedirectResponse("/", HTTPStatus.SEE_OTHER)
    for cookie in (SESSION_COOKIE, ADMIN_COOKIE):
        forget_cookie(response, service, cookie)
    return response


def _logged_in(request: Request, service: Service) -> set[str]:
    ids = (
        service.sessions.key_id(request.cookies.get(SESSION_COOKIE, "")),
        service.admin_sessions.key_id(request.cookies.get(ADMIN_COOKIE, "")),
    )
    return {key_id for key_id in ids if key_id is not None}
