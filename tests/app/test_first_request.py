"""What a process makes once, it makes before anybody asks."""

from __future__ import annotations

from pydantic import TypeAdapter


def test_the_first_request_waits_for_no_route_to_be_made(start_app, monkeypatch):
    made = []
    make = TypeAdapter.__init__
    with start_app() as running:
        monkeypatch.setattr(TypeAdapter, "__init__", lambda *of, **how: (made.append(of), make(*of, **how))[1])
        assert running.client.get("/healthz").status_code == 200
    assert made == []
