"""The API's description (OpenAPI) as a page shows it: by tag, with what may be sent, an example, what may come back."""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any

from app.http.code_words import code_words
from app.http.described import CODES

_ABOUT_TAGS = {
    "ECG": "One ECG in, its answer out.",
    "Index": "What is served, and how a rebuild begins.",
    "Studies": "What is known of one study, its pictures, and the studies like it.",
    "Jobs": "Rebuilds as they go on.",
    "Keys": "Who may ask, for whoever administers the service.",
    "Operation": "How the service is doing.",
}
_QUERIES = {"search": "?k=5&lvef_max=40&one_per_patient=true", "predict": "?device_said=true"}
_KEY_WANTED = {"name": "ward-7", "scopes": ["query"], "expires_in_days": 365}
_ENDLESS = {"follow_job": "--no-buffer"}
Schema = Mapping[str, Any]


@dataclass(frozen=True)
class Value:
    """A parameter of an address, or a member of a body or an answer."""

    name: str
    schema: Schema
    """With what it may be; `null` left out, which no caller writes."""
    default: str
    allowed: str
    about: str
    needed: bool
    where: str = ""


@dataclass(frozen=True)
class Refused:
    status: str
    code: str
    words: str


@dataclass(frozen=True)
class Answer:
    status: str
    kind: str
    schema: Schema
    about: str


@dataclass(frozen=True)
class Operation:
    name: str
    method: str
    path: str
    about: list[str]
    takes: list[Value]
    example: str
    answers: list[Answer]
    refusals: list[Refused]


@dataclass(frozen=True)
class Group:
    tag: str
    about: str
    operations: list[Operation] = field(default_factory=list)


def groups(description: Mapping[str, Any], *, with_keys: bool, source: str) -> list[Group]:
    """Every operation, by its tag. source: of studies, as the example of a rebuild names it."""
    found: dict[str, Group] = {}
    for path, methods in description["paths"].items():
        for method, said in methods.items():
            tag = said["tags"][0]
            group = found.setdefault(tag, Group(tag, _ABOUT_TAGS.get(tag, "")))
            operation = Operation(
                name=said["operationId"],
                method=method.upper(),
                path=path,
                about=said["description"].split("\n\n"),
                takes=[*map(_parameter, said.get("parameters", ())), *_body(said, description)],
                example=_example(method.upper(), path, said, with_keys=with_keys, source=source),
                answers=list(_answers(said["responses"])),
                refusals=list(_refusals(said["responses"])),
            )
            group.operations.append(operation)
    return list(found.values())


def shapes(description: Mapping[str, Any]) -> list[tuple[str, list[str], list[Value]]]:
    """Of every shape that bodies and answers have: name, what it is, its members."""
    schemas: Mapping[str, Schema] = description["components"]["schemas"]
    return [
        (name, schema.get("description", "").split("\n\n"), _members(schema))
        for name, schema in sorted(schemas.items())
    ]


def _members(schema: Schema) -> list[Value]:
    needed = schema.get("required", ())
    return [_value(name, each, needed=name in needed) for name, each in schema.get("properties", {}).items()]


def _value(name: str, schema: Schema, *, needed: bool, where: str = "") -> Value:
    kinds = [kind for kind in schema.get("anyOf", (schema,)) if kind.get("type") != "null"]
    default = schema.get("default")
    return Value(
        name=name,
        schema={"anyOf": kinds},
        default="" if default is None else json.dumps(default).strip('"'),
        allowed="; ".join(dict.fromkeys(filter(None, map(_allowed, kinds)))),
        about=schema.get("description", ""),
        needed=needed,
        where=where,
    )


def _parameter(said: Mapping[str, Any]) -> Value:
    schema = {"description": said.get("description", ""), **said["schema"]}
    return _value(said["name"], schema, needed=said.get("required", False), where=said["in"])


def _body(said: Mapping[str, Any], description: Mapping[str, Any]) -> Iterator[Value]:
    for kind, content in said.get("requestBody", {}).get("content", {}).items():
        schema = content["schema"]
        for each in schema.get("anyOf", (schema,)):
            shape = description["components"]["schemas"][_named(each)] if "$ref" in each else each
            for value in _members(shape):
                yield Value(**{**vars(value), "where": "form" if kind.startswith("multipart") else "JSON body"})


def _named(schema: Schema) -> str:
    return str(schema["$ref"]).rsplit("/", 1)[-1]


def _allowed(schema: Schema) -> str:
    """The values that a schema allows, in words; of an array, those of its items."""
    if schema.get("type") == "array":
        return _allowed(schema["items"])
    if "enum" in schema or "const" in schema:
        return ", ".join(f"`{value}`" for value in schema.get("enum", [schema.get("const")]))
    low, above, high = (schema.get(name) for name in ("minimum", "exclusiveMinimum", "maximum"))
    if schema.get("type") == "string":
        least, most = schema.get("minLength", 0), schema.get("maxLength")
        return f"{least} to {most} letters" if most else ""
    if low is not None and high is not None:
        return f"{low:,.12g} to {high:,.12g}"
    bounds = [(low, "at least"), (above, "above"), (high, "at most")]
    return ", ".join(f"{words} {bound:,.12g}" for bound, words in bounds if bound is not None)


def _answers(responses: Mapping[str, Any]) -> Iterator[Answer]:
    for status, said in responses.items():
        for kind, content in said.get("content", {}).items():
            if kind != "application/problem+json":
                about = "" if said["description"] == "Successful Response" else said["description"]
                yield Answer(status, kind, content.get("schema", {}), about)


def _refusals(responses: Mapping[str, Any]) -> Iterator[Refused]:
    for status, said in responses.items():
        for code in said.get(CODES, ()):
            yield Refused(f"{status} {HTTPStatus(int(status)).phrase}", code, code_words(code))


def _example(method: str, path: str, said: Mapping[str, Any], *, with_keys: bool, source: str) -> str:
    """A line for a shell in which SERVICE, and KEY where keys are in force, are set; ids are to be filled in."""
    name = said["operationId"]
    content = said.get("requestBody", {}).get("content", {})
    parts = ["curl", *filter(None, [_ENDLESS.get(name, "")])]
    if method != "GET" and not content:
        parts.append(f"-X {method}")
    if with_keys and said["security"]:
        parts.append('-H "X-API-Key: $KEY"')
    if "multipart/form-data" in content:
        parts.append("-F files=@ecg.dcm")
    elif content:
        body = {"rebuild_index": {"source": source}, "create_key": _KEY_WANTED}[name]
        parts += ["-H 'Content-Type: application/json'", f"-d {shlex.quote(json.dumps(body))}"]
    filled = "/".join(f"${part[1:-1].upper()}" if part.startswith("{") else part for part in path.split("/"))
    parts.append(f'"$SERVICE{filled}{_QUERIES.get(name, "")}"')
    return " ".join(parts)
