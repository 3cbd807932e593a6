"""Pages for people: who may see one, and what is shown where there is nothing to show."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from functools import wraps
from typing import Any
from urllib.parse import quote

from fastapi import Request
from fastapi.responses import HTMLResponse, Response

from app.http.dependencies import require
from app.http.problems import EXPECTED, Unauthorised, noted_problem
from app.service import Service
from app.settings import Settings
from app.web import render

Page = Callable[..., Awaitable[Response]]


def page(show: Page) -> Page:
    """A page behind the scope `query`. Stands below the route's own line; its function has `request` and `service`.

    Who is not logged in gets the log-in form, and a refusal is a page as well.
    """

    @wraps(show)
    async def shown(request: Request, service: Service, **given: Any) -> Response:
        try:
            require(request, service, "query", looks_at_parameters=True)
            return await show(request=request, service=service, **given)
        except Unauthorised as problem:
            noted_problem(request, problem)
            return HTMLResponse(render("login.html", problem=problem.sentence), problem.status_code, problem.headers)
        except EXPECTED as error:
            refused = noted_problem(request, error)
            html = render("refused.html", problem=refused, with_keys=service.keys.enforced)
            return HTMLResponse(html, refused.status_code, refused.headers)

    return shown


def viewer_of(settings: Settings) -> Callable[[str], str] | None:
    """A study's address in the viewer that the settings name; None where they name none."""
    template = settings.viewer_url
    return None if template is None else lambda study_id: template.replace("{study_id}", quote(study_id, safe=""))
