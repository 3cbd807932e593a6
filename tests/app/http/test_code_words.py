"""Codes in words."""

from __future__ import annotations

from app.http.code_words import code_words
from app.http.described import CODES, describe
from app.main import create_app


def test_every_documented_code_has_a_sentence_of_its_own(start_app):
    with start_app(wait=False) as running:
        description = describe(create_app(running.settings, running.service))
    codes = {
        code
        for methods in description["paths"].values()
        for operation in methods.values()
        for said in operation["responses"].values()
        for code in said.get(CODES, ())
    }
    assert len(codes) > 30
    for code in codes:
        sentence = code_words(code)
        assert sentence.endswith(".")
        assert sentence != f"{code.replace('_', ' ').capitalize()}.", code


def test_a_code_without_a_sentence_is_spelt_out():
    assert code_words("frame_size") == "Frame size."
