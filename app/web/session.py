"""Logging in and out of the page, and whose the answers are that it keeps."""

from __future__ import annotations

import secrets
from http import HTTPStatus

from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse, RedirectResponse, Response

from app.access.sessions import BROWSER_COOKIE, SESSION_COOKIE, hashed
from app.http.bodies import takes_at_most
from app.http.dependencies import ServiceDep, caller_of, refuse_other_sites, sent_key
from app.service import Service
from app.web import render
from app.web.login import LACKS_QUERY, LOGIN_BYTES, forget_cookie, key_of_form, set_cookie

router = APIRouter(include_in_schema=False)

_BROWSER_LETTERS = 43
"""Of `secrets.token_urlsafe(32)`."""


@router.post("/login")
@takes_at_most(LOGIN_BYTES)
async def log_in(request: Request, service: ServiceDep) -> Response:
    """Exchange a key for a session cookie. This body is read before anybody is known, so it is small and plain."""
    refuse_other_sites(request, service)
    valid = service.keys.find(await key_of_form(request))
    if valid is None:
        request.state.code = "key_wrong"
        return HTMLResponse(render("login.html", problem="This key is not valid here."), HTTPStatus.UNAUTHORIZED)
    if "query" not in valid.scopes:
        request.state.code = "scope_missing"
        return HTMLResponse(render("login.html", problem=LACKS_QUERY), HTTPStatus.FORBIDDEN)
    response = RedirectResponse("/?logged_in=true", HTTPStatus.SEE_OTHER)
    sessions = service.sessions
    set_cookie(response, service, SESSION_COOKIE, sessions.open(valid), max_age_s=sessions.lifetime_s)
    return response


@router.post("/logout")
async def log_out(request: Request, service: ServiceDep) -> Response:
    """Forget the session, and the answers that were kept for it."""
    refuse_other_sites(request, service)
    token = request.cookies.get(SESSION_COOKIE, "")
    service.sessions.close(token)
    service.kept.forget(_owner_of_session(token))
    response = RedirectResponse("/", HTTPStatus.SEE_OTHER)
    forget_cookie(response, service, SESSION_COOKIE)
    return response


def owner_of(request: Request, service: Service) -> str:
    """Whose an answer is, once `require` has let the request in: a log-in's, or a browser's where there are no keys.

    Empty for a browser that is not known yet: nothing is kept for that one.
    """
    if service.keys.enforced:
        # A cookie counts where it let the request in: beside a key in a header it may be anything.
        token = "" if sent_key(request) else request.cookies.get(SESSION_COOKIE, "")
        return _owner_of_session(token) if token else f"key:{caller_of(request)}"
    browser = request.cookies.get(BROWSER_COOKIE, "")
    return f"browser:{hashed(browser)}" if len(browser) == _BROWSER_LETTERS else ""


def know_browser(request: Request, response: Response, service: Service) -> str:
    """The owner, after giving a browser that has none a cookie to be known by."""
    owner = owner_of(request, service)
    if owner:
        return owner
    browser = secrets.token_urlsafe(32)
    response.set_cookie(BROWSER_COOKIE, browser, httponly=True, samesite="strict")
    return f"browser:{hashed(browser)}"


def _owner_of_session(token: str) -> str:
    return f"session:{hashed(token)}"
