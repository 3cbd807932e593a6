"""The API's description: what a program needs to know of every address, and nothing that is never sent."""

from __future__ import annotations

import re
from types import SimpleNamespace

import pytest

from app.http.described import ProblemBody, describe
from app.http.problems import PROBLEM_TYPE, Problem
from app.main import create_app
from app.metrics import Metrics
from app.recent_refusals import RecentRefusals
from app.settings import Settings

PUBLIC = {"healthz", "readyz", "show_metrics"}


@pytest.fixture(scope="module")
def description():
    parts = SimpleNamespace(metrics=Metrics(), recent_refusals=RecentRefusals())
    return describe(create_app(Settings(bundle_dir="b", index_dir="i"), parts))


@pytest.fixture(scope="module")
def operations(description):
    return {
        operation["operationId"]: operation
        for methods in description["paths"].values()
        for operation in methods.values()
    }


def test_operations_have_plain_names_each_its_own(description, operations):
    assert {"search", "predict", "embed", "show_index", "rebuild_index", "list_jobs", "create_key"} <= set(operations)
    assert all(re.fullmatch(r"[a-z]+(_[a-z]+)*", name) for name in operations)
    assert len(operations) == sum(len(methods) for methods in description["paths"].values())


def test_each_names_the_key_and_the_scope_that_it_needs(description, operations):
    assert set(description["components"]["securitySchemes"]) == {"ApiKeyHeader", "ApiKeyBearer"}
    scopes = {}
    for name, operation in operations.items():
        assert all(len(scheme) == 1 for scheme in operation["security"])
        scopes[name] = {scope for scheme in operation["security"] for of_it in scheme.values() for scope in of_it}
    assert {name for name, needed in scopes.items() if not needed} == PUBLIC
    assert scopes["search"] == scopes["show_index"] == {"query"}
    assert all(scopes[name] == {"admin"} for name in ("rebuild_index", "list_jobs", "follow_job", "create_key"))


def test_every_answer_has_a_type_and_fields_and_every_refusal_is_the_one_problem(description, operations):
    schemas = description["components"]["schemas"]
    assert "code" in schemas["Problem"]["required"]
    assert not {"HTTPValidationError", "ValidationError"} & set(schemas)
    for name, operation in operations.items():
        for status, response in operation["responses"].items():
            ((media_type, content),) = response["content"].items()
            if status[0] in "45" and name not in PUBLIC:
                assert (media_type, content["schema"]) == (PROBLEM_TYPE, {"$ref": "#/components/schemas/Problem"}), name
            elif media_type == "application/json":
                assert schemas[content["schema"]["$ref"].rsplit("/", 1)[1]]["properties"], name


def test_codes_that_an_address_can_give_are_named(operations):
    def codes(name, status):
        return set(operations[name]["responses"][status]["x-problem-codes"])

    assert codes("show_study", "404") == {"unknown_study", "no_embeddings"}
    assert codes("rebuild_index", "409") == {"job_running"}
    assert {"keys_read_only", "scope_not_yours"} <= codes("create_key", "409")
    assert codes("search", "401") == {"key_required"}
    assert "cross_site" in codes("revoke_key", "403")
    assert "cross_site" not in codes("show_keys", "403")
    assert "`unknown_job`" in operations["show_job"]["responses"]["404"]["description"]


def test_an_upload_is_described_with_its_field(operations):
    (content,) = operations["search"]["requestBody"]["content"].items()
    assert content[0] == "multipart/form-data"
    assert content[1]["schema"]["properties"]["files"]["minItems"] == 1
    assert content[1]["schema"]["required"] == ["files"]


def test_a_problem_as_it_is_sent_fits_its_description():
    sent = Problem("busy", "No.", hint="Later.", extra={"job_id": "a", "leads": ["I"], "command": "x"}).body("id")
    assert ProblemBody.model_validate(sent, extra="forbid").model_dump(exclude_none=True) == sent


def test_a_405_names_every_method_of_its_address(start_app):
    with start_app() as running:
        for path, methods in (("/v1/keys", "GET, POST"), ("/v1/jobs/x", "DELETE, GET"), ("/v1/keys/x", "DELETE")):
            refused = running.client.request("PATCH", path)
            assert (refused.status_code, refused.headers["allow"]) == (405, methods)
