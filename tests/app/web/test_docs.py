"""The page of the API."""

from __future__ import annotations

import html
import re
import shlex

import pytest

PLACES = {"$STUDY_ID": "g0-s1", "$VIEW_ID": "v1", "$JOB_ID": "0123456789abcdef", "$KEY_ID": "00000000"}


@pytest.fixture
def running(start_app, tmp_path):
    with start_app(cohorts={"main": tmp_path / "cohort"}) as running:
        yield running


def examples(page):
    return [html.unescape(line) for line in re.findall(r"<code>(curl .*?)</code>", page, re.DOTALL)]


def ask(client, line):
    """What `curl` would ask."""
    words = iter(shlex.split(line)[1:])
    method, headers, files, content, url = None, {}, None, None, ""
    for word in words:
        if word == "-X":
            method = next(words)
        elif word == "-H":
            name, value = next(words).split(": ", 1)
            headers[name] = value
        elif word == "-F":
            assert next(words) == "files=@ecg.dcm"
            files = {"files": ("ecg.dcm", b"1")}
        elif word == "-d":
            content = next(words)
        elif word != "--no-buffer":
            url = word
    method = method or ("POST" if files or content else "GET")
    for name, value in PLACES.items():
        url = url.replace(name, value)
    return client.request(method, url.removeprefix("$SERVICE"), headers=headers, files=files, content=content)


def test_every_address_of_the_description_is_there_with_an_example_that_the_service_understands(running):
    page = running.client.get("/docs").text
    described = running.client.get("/openapi.json").json()["paths"]
    operations = [operation for methods in described.values() for operation in methods.values()]
    lines = examples(page)
    assert len(lines) == len(operations) >= 15
    for operation in operations:
        assert f'id="{operation["operationId"]}"' in page
        assert f'href="#{operation["operationId"]}"' in page
    for line in lines:
        answer = ask(running.client, line)
        there_is_none = answer.headers["content-type"] == "application/problem+json" and answer.json()["code"] in (
            "unknown_job",
            "no_cine",
            "no_keys_file",
        )
        assert answer.status_code in (200, 201, 202) or there_is_none, (line, answer.text)


def test_parameters_have_types_defaults_and_what_is_allowed(running):
    page = running.client.get("/docs").text
    row = next(row for row in re.findall(r"<tr>.*?</tr>", page, re.DOTALL) if "<code>k</code>" in row)
    assert re.findall(r'data-name="(?:Type|Default|Allowed|Meaning)">(.*?)</td>', row) == [
        "whole number",
        "<code>10</code>",
        "1 to 100",
        "How many studies.",
    ]
    row = next(row for row in re.findall(r"<tr>.*?</tr>", page, re.DOTALL) if "<code>sex</code>" in row)
    assert "<code>female</code>, <code>male</code>" in row


def test_every_code_that_an_address_may_give_stands_there_with_a_sentence(running):
    page = running.client.get("/docs").text
    described = running.client.get("/openapi.json").json()["paths"]
    for methods in described.values():
        for operation in methods.values():
            section = page.split(f'aria-labelledby="{operation["operationId"]}"')[1].split("</section>")[0]
            for said in operation["responses"].values():
                for code in said.get("x-problem-codes", ()):
                    assert f"<code>{code}</code>" in section


def test_every_field_of_an_answer_is_described(running):
    shapes = running.client.get("/openapi.json").json()["components"]["schemas"]
    silent = [
        f"{name}.{field}"
        for name, shape in shapes.items()
        for field, said in shape.get("properties", {}).items()
        if not said.get("description")
    ]
    assert not silent


def test_every_link_to_a_shape_leads_to_its_fields(running):
    page = running.client.get("/docs").text
    there = set(re.findall(r'id="([^"]*)"', page))
    links = set(re.findall(r'href="#([^"]*)"', page))
    assert {"SearchAnswer", "Neighbour", "Problem", "KeyView"} <= links
    assert links <= there
    assert len(re.findall(r'id="([^"]*)"', page)) == len(there)


def test_where_keys_are_in_force_the_examples_send_one(start_app, tmp_path):
    from app.access.keys import create_key

    key = create_key(tmp_path / "keys.json", ("query",), "reader")
    with start_app(keys_file=tmp_path / "keys.json") as running:
        page = running.client.get("/docs", headers={"X-API-Key": key}).text
    for line in examples(page):
        assert ('"X-API-Key: $KEY"' in line) == ("/v1/" in line)
