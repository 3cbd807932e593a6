"""The API's description (OpenAPI): what FastAPI cannot know of routes that read and refuse by themselves.

That is which key an operation needs, what each may be refused for, and one `Problem` for all of it. `describe` writes
it over FastAPI's own.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from pydantic import BaseModel, Field

from app.http.dependencies import SAFE_METHODS
from app.http.problems import COME_BACK_LATER, PROBLEM_TYPE
from outputs.words import DISCLAIMER

CODES = "x-problem-codes"
"""The codes of a response as a list, for programs; its description names them for people."""
_RETRY_AFTER = {"Retry-After": {"description": "Seconds.", "schema": {"type": "integer"}}}
_FORBIDDEN = ("scope_missing", "foreign_host")
_OF_A_KEY: dict[int, tuple[str, ...]] = {
    401: ("key_required",),
    422: ("invalid_parameter",),
    500: ("unexpected_error",),
    503: ("draining",),
}
_OF_A_BODY: dict[int, tuple[str, ...]] = {400: ("bad_request",), 408: ("body_timeout",), 413: ("body_too_large",)}


class BrokenRule(BaseModel):
    parameter: str = Field(description="Where it was given.")
    message: str = Field(description="What it must be.")


class ProblemBody(BaseModel):
    """Why something was refused (RFC 9457). Members that say nothing are absent."""

    type: str = Field(description="Always about:blank: `code` tells problems apart.")
    title: str = Field(description="The status in words.")
    status: int = Field(description="As in the first line of the answer.")
    code: str = Field(
        description="Stable, for programs. Each response lists the codes it is known to give; an ECG that cannot be "
        "read or used has further ones with status 422, and newer versions may have more.",
        examples=["invalid_parameter"],
    )
    detail: str = Field(description="One sentence for a person.")
    request_id: str = Field(description="As in the header X-Request-ID and the service's log.")
    hint: str | None = Field(default=None, description="What would help.")
    leads: list[str] | None = Field(default=None, description="Those that the problem is about.")
    errors: list[BrokenRule] | None = Field(default=None, description="Of `invalid_parameter`: each with its rule.")
    job_id: str | None = Field(default=None, description="Of `job_running`: the job that runs.")
    command: str | None = Field(default=None, description="Of `keys_read_only`: what to run instead.")


def refuses(codes: Mapping[int, Sequence[str]]) -> dict[int | str, dict[str, Any]]:
    """A route's `responses`: with which status and codes it is known to refuse, besides what every route does."""
    return {status: _response(status, of_status) for status, of_status in codes.items()}


def describe(app: FastAPI) -> dict[str, Any]:
    """The whole description, for `/openapi.json`."""
    described: dict[str, Any] = get_openapi(
        title=app.title, version=app.version, description=DISCLAIMER, routes=app.routes
    )
    components = described["components"]
    for unused in ("HTTPValidationError", "ValidationError"):  # FastAPI's own shape of a 422, which is never sent
        components["schemas"].pop(unused, None)
    problem = ProblemBody.model_json_schema(ref_template="#/components/schemas/{model}")
    components["schemas"] |= {**problem.pop("$defs"), "Problem": problem | {"title": "Problem"}}
    for methods in described["paths"].values():
        for method, operation in methods.items():
            _add_common(operation, method.upper())
    return described


def _add_common(operation: dict[str, Any], method: str) -> None:
    """What every operation may be refused for; FastAPI knows only of the key, by `app.http.dependencies`."""
    responses = operation["responses"]
    if "application/json" in responses.get("422", {}).get("content", {}):
        del responses["422"]  # FastAPI's own
    if "security" in operation:
        scope = next(iter(operation["security"][0].values()))[0]
        operation["description"] = (
            f"{operation.get('description', '')}\n\nNeeds a key with the scope `{scope}`.".lstrip()
        )
        forbidden = (*_FORBIDDEN, *(() if method in SAFE_METHODS else ("cross_site",)))
        common = _OF_A_KEY | {HTTPStatus.FORBIDDEN: forbidden} | (_OF_A_BODY if "requestBody" in operation else {})
        for status, codes in common.items():
            own = responses.get(str(status), {}).get(CODES, [])
            responses[str(status)] = _response(status, (*own, *codes))
    else:
        operation["security"] = []
    for others in ("4XX", "5XX"):
        responses[others] = _response(None, ())
    operation["responses"] = dict(sorted(responses.items()))


def _response(status: int | None, codes: Sequence[str]) -> dict[str, Any]:
    named = ", ".join(f"`{code}`" for code in codes)
    phrase = "Refused, with the reason" if status is None else HTTPStatus(status).phrase
    return {
        "description": f"{phrase}: {named}." if named else f"{phrase}.",
        "content": {PROBLEM_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}},
        **({CODES: list(codes)} if codes else {}),
        **({"headers": _RETRY_AFTER} if status in COME_BACK_LATER else {}),
    }
