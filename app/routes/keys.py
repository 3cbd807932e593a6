"""API keys, for whoever administers the service: which there are, a new one, one less."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Annotated, TypeVar

from fastapi import APIRouter, Body, Depends, Request, Response

from app.access.key_changes import make_key, take_back
from app.access.keys import list_all
from app.answering.workers import Wanted
from app.http.bodies import takes_at_most
from app.http.connected import while_connected
from app.http.dependencies import AdminKey, OperatorsPlace, ServiceDep, caller_of, refuse_repeated_names, require_still
from app.http.described import refuses
from app.http.problems import Unauthorised
from app.operator_views import KeyList, KeyView, NewKey, NewKeyRequest
from app.refusals import AskerRevoked
from app.service import Service

KEY_BYTES = 4096
"""This body is taken apart before anybody is known: a name and two scopes need no more."""

Result = TypeVar("Result")


router = APIRouter(prefix="/v1/keys", tags=["Keys"], dependencies=[AdminKey, OperatorsPlace])

_NOT_CHANGED = ("keys_read_only", "no_keys_file")


@router.get("", responses={200: {"model": KeyList}})
async def show_keys(request: Request, service: ServiceDep) -> Response:
    """Every key and the last hundred that were revoked; never a key, nor its hash."""
    written = service.write(lambda: key_list(service).model_dump_json(exclude_none=True), caller_of(request))
    return Response(await while_connected(request, written), media_type="application/json")


def key_list(service: Service) -> KeyList:
    """Reads the disk. Raises KeysUnusable."""
    if (file := service.settings.keys_file) is None:
        return KeyList(enforced=False, keys=[])
    keys, revoked = list_all(file)
    views = [KeyView.of(key, last_used=service.keys.last_used(key.id)) for key in keys]
    return KeyList(enforced=True, keys=views + [KeyView.of(key) for key in reversed(revoked)])


@router.post(
    "",
    dependencies=[Depends(refuse_repeated_names)],
    status_code=201,
    response_model_exclude_none=True,
    responses=refuses(
        {409: (*_NOT_CHANGED, "scope_not_yours", "too_many_keys"), 503: ("keys_busy",), 507: ("no_space",)}
    ),
)
@takes_at_most(KEY_BYTES)
async def create_key(request: Request, service: ServiceDep, wanted: Annotated[NewKeyRequest, Body()]) -> NewKey:
    """Make a key. The answer holds it, and nothing will ever tell it again."""
    make = partial(
        make_key,
        service.settings.keys_file,
        by=require_still(request, service, "admin"),
        scopes=wanted.scopes,
        name=wanted.name,
        expires_in_days=wanted.expires_in_days,
    )
    key, secret = await _changed(request, service, make)
    return NewKey(key=secret, **KeyView.of(key).model_dump())


@router.delete(
    "/{key_id}",
    response_model_exclude_none=True,
    responses=refuses(
        {404: ("key_unknown",), 409: (*_NOT_CHANGED, "own_key"), 503: ("keys_busy",), 507: ("no_space",)}
    ),
)
async def revoke_key(request: Request, service: ServiceDep, key_id: str) -> KeyView:
    """Make a key worthless at once, and end its log-ins."""
    asking = require_still(request, service, "admin")
    change = partial(take_back, service.settings.keys_file, key_id, by=asking)
    revoked = await _changed(request, service, change)
    service.close_sessions(revoked.id)
    return KeyView.of(revoked)


async def _changed(request: Request, service: Service, change: Callable[..., Result]) -> Result:
    """Not made for who has left, or waited as long as for an answer, nor when the service ends, though it may have
    waited for the file already; what is being written is told."""
    wanted = Wanted()
    changed = service.changing_keys.run(partial(change, settle=wanted.settle), caller_of(request), wanted=wanted)
    try:
        return await while_connected(request, service.in_time(changed), told=True)
    except AskerRevoked:
        raise Unauthorised from None
