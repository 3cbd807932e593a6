"""The page: templates rendered on the server, no scripts."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from outputs import sentences, words

_environment = Environment(
    loader=FileSystemLoader(Path(__file__).parent / "templates"),
    autoescape=True,
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)
_environment.globals["words"] = words
_environment.globals["sentences"] = sentences


def render(template: str, **values: Any) -> str:
    """A template of `web/templates` with everything escaped."""
    return _environment.get_template(template).render(**values)
