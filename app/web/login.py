"""What the log-ins of both kinds of page share: a form with a key in it, and a cookie that no script reads."""

from __future__ import annotations

from urllib.parse import parse_qsl

from fastapi import Request
from fastapi.responses import Response

from app.http.problems import BadUpload
from app.http.uploads import require_type
from app.service import Service

LOGIN_BYTES = 2**10
"""This body is read before anybody is known, so it is small and plain."""


LACKS_QUERY = "This key lacks the scope query."
NO_COOKIE = (
    "The key is right, but the browser kept no session. Over plain HTTP it keeps one only where the service runs with "
    "ECHO2ECG_SESSION_COOKIE_SECURE=false."
)


async def form_fields(request: Request, most: int) -> list[tuple[str, str]]:
    """The fields of a small form; none where it has more than `most` or is no text. Raises BadUpload."""
    require_type(request, "application/x-www-form-urlencoded")
    try:
        body = (await request.body()).decode()
        return parse_qsl(body, keep_blank_values=True, errors="strict", max_num_fields=most)
    except ValueError:  # not UTF-8, or more fields
        return []


async def key_of_form(request: Request) -> str:
    """The one field of the log-in form. Raises BadUpload."""
    fields = await form_fields(request, 2)
    if [name for name, _ in fields] != ["key"]:
        raise BadUpload("bad_form", "The log-in form holds the field `key` and nothing else.")
    return fields[0][1].strip()


def set_cookie(response: Response, service: Service, name: str, token: str, *, max_age_s: float | None = None) -> None:
    """For the whole site and no other. Without `max_age_s` the browser forgets it at its own end."""
    response.set_cookie(
        name,
        token,
        max_age=None if max_age_s is None else int(max_age_s),
        path="/",
        httponly=True,
        samesite="strict",
        secure=service.settings.session_cookie_secure,
    )


def forget_cookie(response: Response, service: Service, name: str) -> None:
    secure = service.settings.session_cookie_secure
    response.delete_cookie(name, path="/", httponly=True, samesite="strict", secure=secure)
