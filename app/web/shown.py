"""Pages for people: who may see one, and what is shown where there is nothing to show."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from functools import partial, wraps
from typing import Any, TypeVar
from urllib.parse import quote

from fastapi import Request
from fastapi.responses import HTMLResponse, Response

from app.http.dependencies import caller_of, require
from app.http.problems import EXPECTED, InvalidParameter, Unauthorised, nearest_hint, noted_problem
from app.http.uploads import admitted
from app.service import Service
from app.settings import Settings
from app.web import render

Result = TypeVar("Result")

Page = Callable[..., Awaitable[Response]]


def page(*takes: str, twice: str = "") -> Callable[[Page], Page]:
    """A page behind the scope `query`. Stands below the route's own line; its function has `request` and `service`.

    takes: the parameters of its address, each at most once but for `twice`; another one is refused, since it would be
    dropped without a word. Who is not logged in gets the log-in form, and a refusal is a page as well.
    """
    return lambda show: _shown(show, frozenset(takes), twice)


def _refuse_without_effect(request: Request, takes: frozenset[str], twice: str) -> None:
    names = [name for name, _ in request.query_params.multi_items()]
    if unknown := set(names) - takes:
        sentence = "This address does not take one of its parameters."
        raise InvalidParameter("invalid_parameter", sentence, hint=nearest_hint(min(unknown), takes))
    once = [name for name in names if name != twice]
    if len(set(once)) < len(once):
        raise InvalidParameter("invalid_parameter", "A parameter in the address comes twice.")


def _shown(show: Page, takes: frozenset[str], twice: str) -> Page:
    @wraps(show)
    async def shown(request: Request, service: Service, **given: Any) -> Response:
        try:
            require(request, service, "query", looks_at_parameters=True)
            _refuse_without_effect(request, takes, twice)
            return await show(request=request, service=service, **given)
        except Unauthorised as problem:
            return log_in_first(request, problem)
        except EXPECTED as error:
            refused = noted_problem(request, error)
            html = render("refused.html", problem=refused, with_keys=service.keys.enforced)
            return HTMLResponse(html, refused.status_code, refused.headers)

    return shown


async def drawn_for(request: Request, service: Service, draw: Callable[[], Result]) -> Result:
    """What `draw` makes in its caller's turn, unless the caller leaves before. Raises as `Service.admit` and `draw`."""
    return await admitted(request, service, partial(service.draw, draw, caller_of(request)))


def log_in_first(request: Request, problem: Unauthorised) -> HTMLResponse:
    """The log-in form, for who must log in to go on."""
    noted_problem(request, problem)
    return HTMLResponse(render("login.html", problem=problem.sentence), problem.status_code, problem.headers)


def viewer_of(settings: Settings) -> Callable[[str], str] | None:
    """A study's address in the viewer that the settings name; None where they name none."""
    template = settings.viewer_url
    return None if template is None else lambda study_id: template.replace("{study_id}", quote(study_id, safe=""))
