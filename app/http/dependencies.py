"""Who asks, and which service they ask: what routes declare as parameters."""

from __future__ import annotations

from ipaddress import ip_address
from typing import Annotated
from urllib.parse import SplitResult, urlsplit

from fastapi import Depends, Request

from app.access.keys import ApiKey, Scope
from app.access.sessions import SESSION_COOKIE
from app.http.problems import Forbidden, InvalidParameter, Unauthorised
from app.service import Service

SAFE_METHODS = ("GET", "HEAD", "OPTIONS")


async def get_service(request: Request) -> Service:
    service: Service = request.app.state.service
    return service


ServiceDep = Annotated[Service, Depends(get_service)]


def find_caller(request: Request, service: Service) -> ApiKey | None:
    """The key of this request: from a header, or from the page's session, which never carries `admin`."""
    secret = request.headers.get("X-API-Key", "").strip(" \t") or _bearer(request.headers.get("Authorization", ""))
    if secret:
        return service.keys.find(secret)
    token = request.cookies.get(SESSION_COOKIE)
    key_id = service.sessions.key_id(token) if token else None
    key = service.keys.by_id(key_id) if key_id else None
    return key.model_copy(update={"scopes": ("query",)}) if key and "query" in key.scopes else None


def require(request: Request, service: Service, scope: Scope, *, looks_at_parameters: bool = False) -> None:
    """Raises Unauthorised or Forbidden. Without a keys file everything is open, to this machine's own callers.

    looks_at_parameters: of a route that declares none and takes them all the same, as a page's forms send them.
    """
    refuse_other_sites(request, service)
    if service.keys.enforced:
        _require_key(request, service, scope)
    refuse_parameters_without_effect(request, some=looks_at_parameters)


def _require_key(request: Request, service: Service, scope: Scope) -> None:
    key = find_caller(request, service)
    if key is None:
        raise Unauthorised
    request.state.key_id = key.id
    if scope not in key.scopes:
        raise Forbidden("scope_missing", f"This key does not have the scope {scope}.")


def refuse_parameters_without_effect(request: Request, *, some: bool = False) -> None:
    """Raises InvalidParameter for what would be dropped without a word, and a filter or a source with it.

    That is one of two values, and any parameter of a route that declares none; the others look at theirs themselves.
    """
    names = [name for name, _ in request.query_params.multi_items()]
    if len(set(names)) < len(names) and not some:
        raise InvalidParameter("invalid_parameter", "A parameter in the address comes twice.")
    if names and not some and not request.scope["route"].dependant.query_params:
        raise InvalidParameter("invalid_parameter", "This address takes no parameters.")


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


async def require_query(request: Request, service: ServiceDep) -> None:
    require(request, service, "query")


async def require_admin(request: Request, service: ServiceDep) -> None:
    require(request, service, "admin")


QueryKey = Depends(require_query)
AdminKey = Depends(require_admin)


def _bearer(header: str) -> str:
    scheme, _, secret = header.partition(" ")
    return secret.strip() if scheme.lower() == "bearer" else ""
