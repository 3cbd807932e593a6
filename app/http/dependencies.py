"""Who asks, and which service they ask: what routes declare as parameters."""

from __future__ import annotations

import contextlib
import json
from collections.abc import AsyncIterator
from ipaddress import ip_address
from typing import Annotated, Any
from urllib.parse import SplitResult, urlsplit

from fastapi import Depends, Request, Security
from fastapi.security import APIKeyHeader, HTTPBearer

from app.access.keys import ApiKey, Scope
from app.access.sessions import ADMIN_COOKIE, SESSION_COOKIE
from app.http.problems import Forbidden, InvalidParameter, Unauthorised
from app.service import Service

SAFE_METHODS = ("GET", "HEAD", "OPTIONS")


async def get_service(request: Request) -> Service:
    service: Service = request.app.state.service
    return service


ServiceDep = Annotated[Service, Depends(get_service)]

_IN_HEADER = APIKeyHeader(name="X-API-Key", scheme_name="ApiKeyHeader", description="The key itself.", auto_error=False)
_AS_BEARER = HTTPBearer(scheme_name="ApiKeyBearer", description="The same key as a bearer token.", auto_error=False)


async def _in_either(
    _header: Annotated[Any, Security(_IN_HEADER)], _bearer: Annotated[Any, Security(_AS_BEARER)]
) -> None:
    """For the API's description alone: `require` reads the headers itself."""


_Described = Annotated[None, Depends(_in_either)]


def find_caller(request: Request, service: Service) -> ApiKey | None:
    """The key of this request: from a header, or from the page's session, which never carries `admin`."""
    if secret := sent_key(request):
        return service.keys.find(secret)
    return _of_session(request, service, SESSION_COOKIE, "query")


def find_admin(request: Request, service: Service) -> ApiKey | None:
    """The key behind the session of the operator's pages, which carries `admin` alone. Use renews it."""
    return _of_session(request, service, ADMIN_COOKIE, "admin")


def _of_session(request: Request, service: Service, cookie: str, scope: Scope) -> ApiKey | None:
    sessions = service.admin_sessions if cookie == ADMIN_COOKIE else service.sessions
    token = request.cookies.get(cookie)
    key_id = sessions.key_id(token) if token else None
    key = service.keys.by_id(key_id) if key_id else None
    if key is None or scope not in key.scopes:
        return None
    request.state.let_in_by = cookie
    return key.model_copy(update={"scopes": (scope,)})


def sent_key(request: Request) -> str:
    return request.headers.get("X-API-Key", "").strip(" \t") or _bearer(request.headers.get("Authorization", ""))


def require(request: Request, service: Service, scope: Scope, *, looks_at_parameters: bool = False) -> None:
    """Raises Unauthorised or Forbidden. Without a keys file everything is open, to this machine's own callers.

    looks_at_parameters: of a route that declares none and takes them all the same, as a page's forms send them.
    """
    refuse_other_sites(request, service)
    if service.keys.enforced:
        _require_key(request, service, scope)
    refuse_parameters_without_effect(request, some=looks_at_parameters)


def _require_key(request: Request, service: Service, scope: Scope) -> None:
    by_session = scope == "admin" and not sent_key(request)
    key = (find_admin(request, service) if by_session else None) or find_caller(request, service)
    if key is None:
        raise Unauthorised
    request.state.key_id = key.id
    if scope not in key.scopes:
        raise Forbidden("scope_missing", f"This key does not have the scope {scope}.")


def may_still(request: Request, service: Service, scope: Scope) -> bool:
    """Whether what let this request in would do so now: for answers that last. Asking is no use of key or log-in."""
    return _still(request, service, scope) is not None


def _still(request: Request, service: Service, scope: Scope) -> ApiKey | None:
    """With all its scopes. What let it in was noted: a page's request may carry a header that opens nothing."""
    key_id: str | None = caller_of(request)
    if (cookie := getattr(request.state, "let_in_by", None)) is not None:
        sessions = service.admin_sessions if cookie == ADMIN_COOKIE else service.sessions
        key_id = sessions.glance(request.cookies.get(cookie, ""))
    key = service.keys.glance(key_id) if key_id else None
    return key if key is not None and scope in key.scopes else None


def require_still(request: Request, service: Service, scope: Scope) -> ApiKey | None:
    """`require` again, before what a request asks for is done: its body may have taken long to come, and whoever sends
    it may have been logged out or revoked meanwhile. The key with all its scopes, also behind a session; None without
    keys alone. Raises Unauthorised."""
    if not service.keys.enforced:
        return None
    if (key := _still(request, service, scope)) is None:
        raise Unauthorised
    return key


def refuse_parameters_without_effect(request: Request, *, some: bool = False) -> None:
    """Raises InvalidParameter for what would be dropped without a word, and a filter or a source with it.

    That is one of two values, and any parameter of a route that declares none; the others look at theirs themselves.
    """
    names = [name for name, _ in request.query_params.multi_items()]
    if len(set(names)) < len(names) and not some:
        raise InvalidParameter("invalid_parameter", "A parameter in the address comes twice.")
    if names and not some and not request.scope["route"].dependant.query_params:
        raise InvalidParameter("invalid_parameter", "This address takes no parameters.")


async def refuse_repeated_names(request: Request) -> None:
    """Raises InvalidParameter where the JSON body gives a name twice: one value would be dropped without a word."""

    def once(members: list[tuple[str, Any]]) -> dict[str, Any]:
        if len(dict(members)) < len(members):
            raise InvalidParameter("invalid_parameter", "A name in the body comes twice.")
        return dict(members)

    with contextlib.suppress(ValueError, RecursionError):  # said where the body is read
        json.loads(await request.body(), object_pairs_hook=once)


def caller_of(request: Request) -> str:
    """Whose request this is, once `require` has let it in: the key's id. Without keys everybody is the same caller."""
    return getattr(request.state, "key_id", "")


def refuse_other_sites(request: Request, service: Service) -> None:
    """A browser must not act here on behalf of another site's page, nor a foreign name stand for this machine."""
    host = _split(f"//{request.headers.get('host', '')}")
    if not service.keys.enforced and not _is_this_machine(host.hostname or ""):
        raise Forbidden("foreign_host", "Without API keys the service only answers to this machine's own name.")
    if request.method in SAFE_METHODS:
        return
    fetch_site, origin = request.headers.get("sec-fetch-site"), request.headers.get("origin")
    if fetch_site is not None:  # the browser's own word, which no page can set
        own = fetch_site in ("none", "same-origin")
    else:
        own = origin is None or _split(origin).netloc == host.netloc
    if not own:
        raise Forbidden("cross_site", "This request comes from another site's page.")


def _is_this_machine(name: str) -> bool:
    """A name that no name server can lead elsewhere."""
    try:
        return name == "localhost" or ip_address(name).is_loopback
    except ValueError:
        return False


def _split(address: str) -> SplitResult:
    try:
        return urlsplit(address)
    except ValueError:
        raise Forbidden("foreign_host", "The Host or Origin of this request is not an address.") from None


def require_admin_page(request: Request, service: Service) -> ApiKey | None:
    """Whose session an operator's page is asked for by; None without keys, where the page is this machine's own.

    Raises Unauthorised where the log-in form is due, and Forbidden for what another site's page writes.
    """
    refuse_other_sites(request, service)
    if not service.keys.enforced:
        return None
    key = find_admin(request, service)
    if key is None:
        raise Unauthorised
    request.state.key_id = key.id
    return key


async def require_query(request: Request, service: ServiceDep, _: _Described) -> None:
    require(request, service, "query")


async def require_admin(request: Request, service: ServiceDep, _: _Described) -> None:
    require(request, service, "admin")


QueryKey = Security(require_query, scopes=["query"])
AdminKey = Security(require_admin, scopes=["admin"])


async def _in_an_operators_place(request: Request, service: ServiceDep) -> AsyncIterator[None]:
    """As the forms of the operator's page: a list may hold a thousand keys, and changes wait."""
    with service.operating.enter(caller_of(request), 0):
        yield


OperatorsPlace = Depends(_in_an_operators_place)


def _bearer(header: str) -> str:
    scheme, _, secret = header.partition(" ")
    return secret.strip() if scheme.lower() == "bearer" else ""
