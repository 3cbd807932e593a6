"""Which forms were sent is remembered, and not without end."""

from __future__ import annotations

from app.access.forms_sent import TOKEN_LETTERS, FormsSent


def test_a_token_counts_once_until_it_is_forgotten():
    sent, token = FormsSent(), FormsSent.token()
    assert len(token) == TOKEN_LETTERS
    assert [sent.first(token), sent.first(token)] == [True, False]
    sent.forget(token)
    sent.forget("never seen")
    assert sent.first(token)


def test_so_many_are_remembered_and_the_oldest_go_first():
    sent = FormsSent(2)
    assert all(sent.first(token) for token in "abc")
    assert not sent.first("c")
    assert sent.first("a")
