"""The page, as a browser without scripts uses it. What a browser makes of it is tested in `tests/page`."""

from __future__ import annotations

import html
import re

import pytest

from app.access.keys import create_key
from app.web.page import FORM_FIELDS
from outputs.words import UNLIKE, UNLIKE_ALL


@pytest.fixture
def running(start_app):
    with start_app() as running:
        yield running


def test_the_form_posts_to_where_the_answer_comes_from(running):
    page = running.client.get("/")
    assert page.status_code == 200
    form = re.search(r"<form[^>]*>", page.text)[0]
    assert 'method="post"' in form
    assert 'action="/"' in form
    assert 'enctype="multipart/form-data"' in form
    assert 'name="files" type="file"' in page.text


def test_a_plain_form_post_leads_to_the_address_of_its_answer(running):
    empty = {"exclude_patient": "", "rate_hz": "", "unit": "", "leads": ""}
    sent = running.client.post("/", files={"files": ("ecg.dcm", b"1")}, data={"k": "8", **empty})
    assert sent.status_code == 303
    assert re.fullmatch(r"/answers/[\w-]{22}\?k=8", sent.headers["location"])
    page = running.client.get(sent.headers["location"])
    assert page.status_code == 200
    answer = running.search(1, k=8).json()
    assert page.text.count('<li class="study">') == 8
    for hit in answer["neighbours"]:
        assert hit["study_id"] in page.text
        assert hit["views"][0]["thumbnail_url"] in page.text
    assert "not a medical device" in page.text
    embedded = len(running.bundle.batches)
    assert running.client.get(sent.headers["location"]).status_code == 200
    assert len(running.bundle.batches) == embedded, "nothing is asked again"


def test_a_field_that_is_left_empty_is_no_filter_and_a_filled_one_is(running):
    empty = dict.fromkeys(FORM_FIELDS, "")
    page = running.client.post("/", follow_redirects=True, files={"files": b"1"}, data=empty | {"k": "20"})
    assert page.status_code == 200, page.text
    assert page.text.count("g0-s") >= 20
    filled = {"sex": "female", "age_min": "70", "one_per_patient": "true", "acquired_after": "2026-01-01"}
    page = running.client.post(
        "/", follow_redirects=True, files={"files": b"1"}, data=empty | {"k": "20"} | filled
    ).text
    expected = {hit["study_id"] for hit in running.search(1, k=20, **filled).json()["neighbours"]}
    assert expected == {f"g0-s{row}" for row in range(11, 20, 2)}
    assert set(re.findall(r"g0-s\d+", page)) == expected


def test_filters_that_contradict_each_other_show_the_form_again(running):
    page = running.client.post(
        "/", follow_redirects=True, files={"files": b"1"}, data={"lvef_min": "50", "lvef_max": "40"}
    )
    assert page.status_code == 422
    assert '"LVEF at least" must not be above "LVEF at most".' in html.unescape(page.text)
    assert 'enctype="multipart/form-data"' in page.text


def test_views_that_the_index_holds_are_offered_on_form_and_answer_and_another_one_may_be_typed(running):
    offered = '<datalist id="view-names"><option value="A4C"></option></datalist>'
    assert offered in running.client.get("/").text
    answer = running.client.post("/", follow_redirects=True, files={"files": b"1"}, data={"view": "own"}).text
    assert offered in answer
    assert re.search(r'<input id="view"[^>]* list="view-names"[^>]* value="own"', answer)


def test_a_new_generation_brings_its_own_views(running, index_dir, write_generation, wait_until):
    held = running.service.retriever.current.generation
    assert held.view_names is held.view_names, "asked once of the catalogue"
    write_generation(index_dir, seed=1)
    wait_until(lambda: running.service.retriever.current.generation.id == "000002")
    assert "view_names" in vars(running.service.retriever.current.generation), "no page waits for it"


def test_where_no_study_matches_the_page_says_so(running):
    page = running.client.post("/", follow_redirects=True, files={"files": b"1"}, data={"view": "PLAX"})
    assert page.status_code == 200
    assert "No study of the index matches" in page.text


def cells_of_rows(page):
    """The text of every cell, row by row."""
    rows = re.findall(r"<tr.*?</tr>", page, re.DOTALL)
    return [[" ".join(cell.split()) for cell in re.findall(r"<t[dh][^>]*>(.*?)</t[dh]>", r, re.DOTALL)] for r in rows]


def test_the_neighbours_stand_beside_the_whole_index(running):
    page = running.client.post("/", follow_redirects=True, files={"files": b"1"}, data={"k": "20"}).text
    rows = cells_of_rows(page)
    assert ["LVEF, %", "50 (50 to 50)", "9", "50 (50 to 50)", "16"] in rows
    septum = next(row for row in rows if row[0] == "septal thickness, cm")
    assert [cell.split(" (")[0] for cell in septum[1:]] == ["1.01", "9", "1.00", "16"]
    assert ["Structural heart disease, share", "0 %", "9", "0 %", "16"] in rows
    assert "20 studies of 10 patients. Of each patient the most similar study counts." in page
    assert ", percentile" not in page, "20 studies are too few"


def test_every_study_has_its_percentile_where_the_index_is_large_enough(start_app, index_dir, write_generation):
    write_generation(index_dir, studies=120)
    with start_app() as running:
        page = running.client.post("/", follow_redirects=True, files={"files": b"1"}, data={"k": "3"}).text
        said = [f"{hit['percentile']:.1f}" for hit in running.search(1, k=3).json()["neighbours"]]
    assert re.findall(r", percentile ([\d.]+)", page) == said
    assert page.count("of 100 studies of the index, so many are less similar to this ECG") == 1
    assert "the first one has the highest, however unlike the ECG it is" in page


def test_studies_that_are_unlike_the_ecg_are_called_so_and_where_all_are_a_sentence_says_it(running):
    found = running.search(1, k=20).json()["neighbours"]
    unlike = [hit for hit in found if hit["similarity"] < 0]
    assert 0 < len(unlike) < 20
    page = running.client.post("/", follow_redirects=True, files={"files": b"1"}, data={"k": "20"}).text
    assert page.count(UNLIKE) == len(unlike)
    assert UNLIKE_ALL not in page
    age = str(unlike[-1]["age"])
    left = running.client.post("/", follow_redirects=True, files={"files": b"1"}, data={"age_min": age, "age_max": age})
    assert re.search(rf"{UNLIKE_ALL}.*{unlike[-1]['study_id']}.*{UNLIKE}", left.text, re.DOTALL)
    none = running.client.post("/", follow_redirects=True, files={"files": b"1"}, data={"view": "PLAX"})
    assert UNLIKE_ALL not in none.text


def test_the_page_has_scripts_of_its_own_host_alone_and_none_within_it(running):
    answer = running.client.post("/", follow_redirects=True, files={"files": b"1"})
    for page in (running.client.get("/"), answer, running.client.get("/docs")):
        assert page.status_code == 200
        scripts = re.findall(r"<script([^>]*)>(.*?)</script>", page.text, re.DOTALL)
        assert scripts
        for attributes, content in scripts:
            assert re.search(r'src="/static/[\w./]+"', attributes)
            assert content == ""
        assert not re.search(r"<[^>]* (style|on\w+)=", page.text)
        policy = dict(part.split(" ", 1) for part in page.headers["content-security-policy"].split("; "))
        assert policy["default-src"] == "'none'"
        assert policy["script-src"] == policy["style-src"] == policy["img-src"] == "'self'"
        assert "unsafe" not in str(policy)
        assert page.headers["x-content-type-options"] == "nosniff"


def test_an_unusable_upload_shows_the_form_again_with_the_reason(running):
    page = running.client.post("/", follow_redirects=True, files={"files": b"SECRET"})
    assert page.status_code == 422
    assert "This is not an ECG." in page.text
    assert "<form" in page.text
    assert "SECRET" not in page.text
    page = running.client.post("/", follow_redirects=True, files={"files": b"1"}, data={"k": "1000"})
    assert page.status_code == 422
    page = running.client.post("/", follow_redirects=True, files={"files": ("", b"")}, data={"k": "3"})
    assert page.status_code == 400


def test_what_a_study_is_called_is_escaped(running, index_dir):
    page = running.client.post(
        "/", follow_redirects=True, files={"files": b"1"}, data={"unit": "<script>alert(1)</script>"}
    )
    assert page.status_code == 422
    assert "<script>" not in page.text


def test_with_keys_the_page_asks_for_one_and_then_works(start_app, tmp_path):
    key = create_key(tmp_path / "keys.json", ("query",), "reader")
    with start_app(keys_file=tmp_path / "keys.json") as running:
        assert 'action="/login"' in running.client.get("/").text
        assert running.client.post("/", follow_redirects=True, files={"files": b"1"}).status_code == 401
        running.client.post("/login", data={"key": key})
        assert 'enctype="multipart/form-data"' in running.client.get("/").text
        assert running.client.post("/", follow_redirects=True, files={"files": b"1"}).status_code == 200


def test_a_browser_that_drops_the_session_over_plain_http_is_told_why(start_app, tmp_path):
    key = create_key(tmp_path / "keys.json", ("query",), "reader")
    with start_app(keys_file=tmp_path / "keys.json", session_cookie_secure=True) as running:
        page = running.client.post("/login", data={"key": key}, follow_redirects=True)
        assert 'action="/login"' in page.text
        assert "ECHO2ECG_SESSION_COOKIE_SECURE=false" in page.text
    with start_app(keys_file=tmp_path / "keys.json") as running:
        page = running.client.post("/login", data={"key": key}, follow_redirects=True)
        assert 'enctype="multipart/form-data"' in page.text


def test_the_api_page_lists_every_route(running):
    page = running.client.get("/docs").text
    for place in ("/v1/search", "/v1/predict", "/v1/embed", "/v1/index/rebuild", "/v1/jobs/{job_id}", "/readyz"):
        assert place in page
    assert "exclude_patient" in page


def test_people_read_why_there_is_no_answer_and_what_to_do(running):
    page = running.client.post("/", follow_redirects=True, files={"files": b"666"})
    text = " ".join(re.sub(r"<[^>]*>", " ", page.text).split())
    assert page.status_code == 200
    assert "No answer: the quality of this ECG forbids one" in text
    assert "Only noise was found, and no QRS complex. Look at the patient first" in text
    assert "Predictions" not in text
    assert "Most similar echo studies" not in text


def test_the_page_does_not_answer_all_the_same(running):
    page = running.client.post("/", follow_redirects=True, files={"files": b"666"}, data={"quality": "report"})
    assert page.status_code == 422
    assert "Most similar echo studies" not in page.text
