"""What is no whole form, or a form made to cost much, never gets as far as an answer."""

from __future__ import annotations

import asyncio

import pytest
from starlette.datastructures import Headers
from starlette.formparsers import MultiPartException

from app.http.multipart import PIECE_BYTES, WholeFormParser, boundary_of, checked_pieces, content_of, delimiter_of
from app.http.problems import BadUpload

PART = b'--X\r\nContent-Disposition: form-data; name="files"; filename="a"\r\n\r\n1\r\n'
WHOLE = PART + b"--X--\r\n"


def passed_on(body: bytes, step: int, most_parts: int = 3) -> list[bytes]:
    async def arriving():
        for start in range(0, len(body), step):
            yield body[start : start + step]

    async def collect():
        return [piece async for piece in checked_pieces(arriving(), delimiter_of("X"), most_parts)]

    return asyncio.run(collect())


@pytest.mark.parametrize("step", [1, 7, 1000])
@pytest.mark.parametrize("body", [WHOLE, PART * 3 + b"--X--", b"--X--\r\n", WHOLE + b"\r\n"])
def test_a_whole_form_passes_as_it_is_however_it_arrives(body, step):
    assert b"".join(passed_on(body, step)) == body


@pytest.mark.parametrize("step", [1, 7, 1000])
@pytest.mark.parametrize(
    "body",
    [
        b"",
        PART,
        WHOLE[:-5],
        PART + PART[:-30],
        WHOLE + PART + b"--X--\r\n",
        WHOLE + b"and more",
        PART[:-2] + b"--X--",
        PART.replace(b"1", b"1--X--"),
    ],
)
def test_a_form_without_an_end_or_with_something_after_it_is_refused(body, step):
    with pytest.raises(BadUpload, match="not whole"):
        passed_on(body, step)


def parsed(body: bytes, step: int):
    async def arriving():
        for start in range(0, len(body), step):
            yield body[start : start + step]

    async def parse():
        delimiter = delimiter_of("X")
        headers = Headers({"content-type": 'multipart/form-data; boundary="X"'})
        form = await WholeFormParser(headers, checked_pieces(arriving(), delimiter, 3)).parse_all(delimiter)
        names = [name for name, _value in form.multi_items()]
        await form.close()
        return names

    return asyncio.run(parse())


@pytest.mark.parametrize("step", [1, 7, 1000])
@pytest.mark.parametrize("name", [b'"files"; filename="a"', b'"exclude_patient"'])
def test_a_part_without_as_much_as_an_empty_line_swallows_no_other_part(step, name):
    head = b"--X\r\nContent-Disposition: form-data; name=" + name + b"\r\n\r\n"
    assert len(parsed(head + b"\r\n" + WHOLE, step)) == 2
    with pytest.raises(BadUpload, match="no content, not even an empty line"):
        parsed(head + WHOLE, step)


@pytest.mark.parametrize("step", [1, 7, 1000])
@pytest.mark.parametrize(
    "before", [b"\n", b"\r", b"\n\n", b"\r\n\n", b"\r\n\r\n", b"\nfoo bar", b"\r\nfoo ", b"a preamble\r\n"]
)
@pytest.mark.parametrize("first", [b"", b'--X\r\nContent-Disposition: form-data; name="exclude_patient"\r\n\r\n'])
def test_a_form_that_begins_otherwise_than_with_its_boundary_is_refused(step, before, first):
    """The parser finds a first delimiter where none was counted, which would make up for a part that is swallowed."""
    with pytest.raises((BadUpload, MultiPartException)):
        parsed(before + first + WHOLE, step)


@pytest.mark.parametrize("step", [1, 7, 1000])
def test_a_delimiter_that_comes_more_often_than_parts_may_is_refused(step):
    with pytest.raises(BadUpload, match="more than 3 parts"):
        passed_on(PART + b"--X\r\n" * 3 + b"--X--", step)


@pytest.mark.parametrize("step", [1, 7, 1000])
@pytest.mark.parametrize("behind", [b"z", b" ", b"\t", b"-\r\n", b"\n", b"\r\r\n", b" --"])
def test_a_line_that_begins_as_a_delimiter_and_goes_on_is_refused_before_its_rest_is_passed_on(behind, step):
    passed = bytearray()

    async def arriving():
        for start in range(0, len(body), step):
            yield body[start : start + step]

    async def collect():
        async for piece in checked_pieces(arriving(), delimiter_of("X"), 3):
            passed.extend(piece)

    body = PART + b"--X" + behind + b" " * 2 * PIECE_BYTES + b"\r\n--X--\r\n"
    with pytest.raises(BadUpload, match="goes on"):
        asyncio.run(collect())
    assert len(passed) <= len(PART + b"--X--")


async def names_in(body: bytes) -> list[str]:
    async def arriving():
        yield body

    as_read = Headers({"content-type": "multipart/form-data; boundary=X"})
    delimiter = delimiter_of("X")
    form = await WholeFormParser(as_read, checked_pieces(arriving(), delimiter, 3)).parse_all(delimiter)
    names = [file.filename for _, file in form.multi_items()]
    await form.close()
    return names


def test_the_last_delimiter_among_the_header_lines_of_a_part_is_no_end_of_the_form():
    assert asyncio.run(names_in(WHOLE)) == ["a"]
    header_line = PART[: PART.index(b"\r\n\r\n") + 2]
    with pytest.raises(MultiPartException, match="no end"):
        asyncio.run(names_in(PART + header_line + b"--X--"))


def test_a_large_file_is_taken_out_of_the_form_without_a_copy():
    body = PART.replace(b"1", b"ab" * (4 * PIECE_BYTES + 1)) + b"--X--"

    async def twice():
        headers = Headers({"content-type": "multipart/form-data; boundary=X"})
        form = await WholeFormParser(headers, checked_pieces(arriving(), delimiter_of("X"), 3)).parse()
        try:
            return content_of(form["files"]), content_of(form["files"])
        finally:
            await form.close()

    async def arriving():
        yield body

    first, second = asyncio.run(twice())
    assert first == b"ab" * (4 * PIECE_BYTES + 1)
    assert first is second


def test_large_pieces_are_passed_on_in_small_ones():
    body = PART.replace(b"1", bytes(3 * PIECE_BYTES)) + b"--X--"
    pieces = passed_on(body, len(body))
    assert b"".join(pieces) == body
    assert max(map(len, pieces)) == PIECE_BYTES


@pytest.mark.parametrize(
    "header",
    [
        b"X-A: " + b"a" * 3000,
        b"\r\n".join(b"X-%d: " % number + b"a" * 500 for number in range(5)),
        b'Content-Disposition: form-data; name="a' + b";" * 100,
    ],
)
def test_a_part_with_more_header_than_a_file_needs_is_refused(header):
    with pytest.raises((MultiPartException, BadUpload), match=r"too large|too many words"):
        asyncio.run(names_in(PART.replace(b"\r\n\r\n", b"\r\n" + header + b"\r\n\r\n", 1) + b"--X--"))


@pytest.mark.parametrize(
    ("content_type", "boundary"),
    [
        ("multipart/form-data; boundary=X", "X"),
        ('multipart/form-data; Boundary="a b,c"; charset=utf-8', "a b,c"),
        ("multipart/form-data;charset=utf-8;boundary=----WebKitFormBoundary7MA4", "----WebKitFormBoundary7MA4"),
    ],
)
def test_a_boundary_is_read_as_clients_write_it(content_type, boundary):
    assert boundary_of(content_type) == boundary


@pytest.mark.parametrize(
    "content_type",
    [
        "multipart/form-data",
        "multipart/form-data; boundary=",
        "multipart/form-data; boundary=a; boundary=b",
        'multipart/form-data; boundary="a"b',
        'multipart/form-data; x="; boundary=a"; boundary=b',
        f"multipart/form-data; boundary={'a' * 71}",
        "multipart/form-data; boundary=\u00e9",
    ],
)
def test_a_boundary_that_may_be_read_in_two_ways_is_refused(content_type):
    with pytest.raises(BadUpload, match="boundary"):
        boundary_of(content_type)


@pytest.mark.parametrize("step", [1, 7, 1000, 100_000])
@pytest.mark.parametrize(
    "line", [b"X:" + b" " * 3000, b"X:" + b" " * 3000 + b"a", b"X: a\r\nY:" + b" " * 17, b"X" * 2600]
)
def test_spaces_before_a_value_count_though_the_parser_tells_nobody_of_them(line, step):
    padded = PART.replace(b"\r\n\r\n", b"\r\n" + line + b"\r\n\r\n")
    with pytest.raises(BadUpload, match="header of a part"):
        passed_on(PART + padded + b"--X--", step)


@pytest.mark.parametrize("step", [1, 7, 1000])
def test_spaces_in_a_file_are_no_header(step):
    body = PART.replace(b"\r\n1\r\n", b"\r\nname:" + b" " * 4000 + b"1\r\n") + b"--X--"
    assert b"".join(passed_on(body, step)) == body
