"""The page: templates rendered on the server, no scripts."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from outputs import narrowed, sentences, words

_environment = Environment(
    loader=FileSystemLoader(Path(__file__).parent / "templates"),
    autoescape=True,
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)
_environment.globals["words"] = words
_environment.globals["sentences"] = sentences
_environment.globals["narrowed"] = narrowed
_environment.globals["with_keys"] = False  # a page that says otherwise has who logged in


def render(template: str, **values: Any) -> str:
    """A template of `web/templates` with everything escaped."""
    return _environment.get_template(template).render(**values)
