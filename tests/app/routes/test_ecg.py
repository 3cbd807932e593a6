"""POST /v1/search and its two smaller sisters: every field, every refusal."""

from __future__ import annotations

import hashlib
import re

import numpy as np
import pytest

from app.routes import studies
from index.store import IndexStore

SEARCH_FIELDS = {
    "request_id", "bundle", "generation", "device", "ecg", "warnings", "predictions", "neighbours", "timing_ms",
    "bundle_lacks", "neighbour_summary", "disclaimer", "measured",
}  # fmt: skip


@pytest.fixture
def running(start_app):
    with start_app() as running:
        yield running


def test_an_answer_has_exactly_the_promised_fields(running):
    answer = running.search(1, k=8).json()
    assert set(answer) == SEARCH_FIELDS | {"neighbour_summary"}
    assert set(answer["ecg"]) == {
        "format", "rate_hz", "duration_s", "leads", "resampled_to_hz", "sha256", "windows", "lead_quality",
    }  # fmt: skip
    assert set(answer["predictions"]["lvef"]) == {"classes", "predicted"}
    assert set(answer["predictions"]["shd"]) == {"probability", "threshold", "positive"}
    assert set(answer["neighbours"][0]) == {
        "rank", "study_id", "similarity", "lvef_percent", "shd", "age", "sex", "acquired_at", "n_views", "views",
    }  # fmt: skip
    assert set(answer["neighbours"][0]["views"][0]) == {"view_id", "view", "pool_weight", "thumbnail_url"}
    assert {"read", "prepare", "queue", "embed", "search", "catalogue", "total"} == set(answer["timing_ms"])


def test_the_ecg_is_described_as_it_was_read(running):
    ecg = running.search(7).json()["ecg"]
    assert (ecg["format"], ecg["rate_hz"], ecg["duration_s"], ecg["resampled_to_hz"]) == ("fake", 500.0, 10.0, 400.0)
    assert len(ecg["leads"]) == 12
    assert ecg["sha256"] == hashlib.sha256(b"7").hexdigest()


def test_neighbours_are_the_brute_force_nearest_in_order(running, index_dir):
    answer = running.search(3, k=5).json()
    embedding = np.array(running.client.post("/v1/embed", files={"files": b"3"}).json()["embedding"])
    index = IndexStore(index_dir).open_current().index
    similarity_N = index.vectors_ND @ embedding
    expected = np.argsort(-similarity_N)[:5]
    assert [hit["study_id"] for hit in answer["neighbours"]] == [f"g0-s{row}" for row in expected]
    assert [hit["rank"] for hit in answer["neighbours"]] == [1, 2, 3, 4, 5]
    np.testing.assert_allclose([hit["similarity"] for hit in answer["neighbours"]], similarity_N[expected], atol=2e-6)


def test_ten_neighbours_unless_k_says_otherwise(running):
    assert len(running.search(1).json()["neighbours"]) == 10
    assert len(running.search(1, k=100).json()["neighbours"]) == 20, "no more than there are"


def test_an_excluded_patient_does_not_appear(running):
    everyone = running.search(1, k=20).json()["neighbours"]
    others = running.search(1, k=20, exclude_patient="p3").json()["neighbours"]
    gone = {hit["study_id"] for hit in everyone} - {hit["study_id"] for hit in others}
    assert gone == {"g0-s6", "g0-s7"}


def test_no_answer_names_a_patient(running):
    answer = running.search(1, k=20)
    assert answer.json()["neighbour_summary"]["patients"] == 10
    for text in (answer.text, running.client.get("/v1/studies/g0-s1").text):
        assert "patient_id" not in text
        assert not re.search(r'"p\d+"', text)


def test_what_is_unknown_of_a_study_is_null_and_nothing_else_is(running):
    answer = running.search(1, k=20).json()
    first = next(hit for hit in answer["neighbours"] if hit["study_id"] == "g0-s0")
    assert first["lvef_percent"] is None
    assert first["shd"] is None
    rest = {name: value for name, value in answer.items() if name != "neighbours"}
    assert "null" not in repr(rest)
    assert "None" not in repr(rest)


def test_predictions_name_the_most_probable_class_and_the_decision(running):
    predictions = running.search(1).json()["predictions"]
    assert predictions["lvef"]["predicted"] == "reduced"
    assert [row["range"] for row in predictions["lvef"]["classes"]] == ["<= 40 %", "> 40 % and < 50 %", ">= 50 %"]
    assert predictions["shd"] == {"probability": pytest.approx(0.6), "threshold": 0.4, "positive": True}


def test_predict_and_embed_answer_with_less(running):
    predict = running.client.post("/v1/predict", files={"files": b"1"}).json()
    assert set(predict) == SEARCH_FIELDS - {"neighbours", "neighbour_summary", "generation"}
    embed = running.client.post("/v1/embed", files={"files": b"1"}).json()
    without = {"neighbours", "neighbour_summary", "generation", "predictions", "bundle_lacks", "measured"}
    assert set(embed) == SEARCH_FIELDS - without | {"features", "embedding"}
    assert np.linalg.norm(embed["embedding"]) == pytest.approx(1, abs=1e-5)


def test_a_bundle_without_probes_searches_but_does_not_predict(running):
    running.bundle.probes = None
    assert set(running.search(1).json()) == SEARCH_FIELDS - {"predictions"}
    refused = running.client.post("/v1/predict", files={"files": b"1"})
    assert (refused.status_code, refused.json()["code"]) == (404, "no_probes")


@pytest.mark.parametrize("params", [{"k": 0}, {"k": 101}, {"k": "ten"}, {"rate_hz": -5}, {"unit": "furlong"}])
def test_a_parameter_out_of_range_is_422(running, params):
    response = running.search(1, **params)
    assert response.status_code == 422
    assert response.headers["content-type"] == "application/problem+json"
    problem = response.json()
    assert problem["code"] == "invalid_parameter"
    assert problem["errors"][0]["parameter"] == next(iter(params))


def test_a_patient_of_whom_the_index_has_no_study_is_said_to_have_none(running):
    codes = {
        patient: [
            warning["code"]
            for warning in running.search(1, exclude_patient=patient).json()["warnings"]
            if warning["code"] == "patient_not_found"
        ]
        for patient in ("p3", " p3\n", "P3", "nobody")
    }
    assert codes == {"p3": [], " p3\n": [], "P3": ["patient_not_found"], "nobody": ["patient_not_found"]}
    assert running.search(1, exclude_patient="").status_code == 422


@pytest.mark.parametrize(
    "twice", ["exclude_patient=P1&exclude_patient=P2", "exclude_patient=P1&exclude_patient=", "k=1&k=2", "k=1&%6b=1"]
)
def test_a_parameter_that_comes_twice_is_refused_and_none_of_the_two_is_dropped(running, twice):
    response = running.client.post(f"/v1/search?{twice}", files={"files": b"1"})
    assert (response.status_code, response.json()["code"]) == (422, "invalid_parameter")
    assert not running.bundle.batches


def test_an_unknown_parameter_is_refused_and_not_ignored(running):
    response = running.search(1, lvef_maximum=40)
    assert response.status_code == 422
    assert "lvef_maximum" not in response.text


@pytest.mark.parametrize("params", [{"k": "SECRET-NAME"}, {"SECRET-NAME": 1}, {"leads": "SECRET-NAME" * 50}])
def test_a_refusal_does_not_repeat_what_was_sent(running, params):
    response = running.search(1, **params)
    assert response.status_code == 422
    assert "SECRET-NAME" not in response.text
    assert "input" not in response.json()


def test_a_file_that_is_no_ecg_is_422_with_reason_and_hint(running):
    response = running.client.post("/v1/search", files={"files": ("SECRET.dat", b"SECRET")})
    assert response.status_code == 422
    problem = response.json()
    assert (problem["code"], problem["detail"], problem["hint"]) == (
        "not_an_ecg", "This is not an ECG.", "Send WFDB or DICOM.",
    )  # fmt: skip
    assert problem["request_id"] == response.headers["x-request-id"]
    assert "SECRET" not in response.text


def test_missing_leads_are_422_and_named(running):
    response = running.search(404)
    assert response.status_code == 422
    assert response.json()["leads"] == ["V3"]
    assert "V3" in response.json()["detail"]


def test_a_body_that_is_no_form_is_400(running):
    response = running.client.post("/v1/search", content=b"{}", headers={"content-type": "application/json"})
    assert (response.status_code, response.json()["code"]) == (400, "not_multipart")
    response = running.client.post("/v1/search", files={"files": ("", b"")})
    assert (response.status_code, response.json()["code"]) == (400, "no_file")
    response = running.client.post(
        "/v1/search", content=b"SECRET", headers={"content-type": "multipart/form-data; boundary=x"}
    )
    assert (response.status_code, response.json()["code"]) in ((400, "bad_multipart"), (400, "no_file"))
    assert "SECRET" not in response.text


@pytest.mark.parametrize(
    "sent",
    [
        {"files": {"files": b"1", "other": b"1"}},
        {"files": {"files": b"1"}, "data": {"k": "3"}},
        {"files": {"files": b"1"}, "data": {"SECRET": "SECRET"}},
        {"files": {"files": b"1"}, "data": {"files": "SECRET"}},
    ],
    ids=["another file", "a parameter", "an unknown field", "text where a file belongs"],
)
def test_a_form_field_that_would_do_nothing_is_refused(running, sent):
    response = running.client.post("/v1/search", **sent)
    assert (response.status_code, response.json()["code"]) == (422, "invalid_parameter")
    assert "SECRET" not in response.text
    assert not running.bundle.batches


@pytest.mark.parametrize("charset", ["idna", "punycode", "undefined", "utf-16", "latin-1", '"utf-7"', "x" * 100])
@pytest.mark.parametrize("path", ["/v1/search", "/", "/login"])
def test_a_charset_that_the_caller_names_chooses_no_decoder(running, path, charset):
    kind = "application/x-www-form-urlencoded" if path == "/login" else "multipart/form-data; boundary=x"
    body = b'--x\r\nContent-Disposition: form-data; name="files"; filename="a"\r\n\r\n1\r\n--x--\r\n'
    response = running.client.post(path, content=body, headers={"content-type": f"{kind}; charset={charset}"})
    assert response.status_code == 400
    assert "must be in UTF-8" in response.text


def test_a_long_content_type_is_not_taken_apart(running):
    headers = {"content-type": 'multipart/form-data; boundary=x; a="' + ";" * 60_000}
    assert running.client.post("/v1/search", content=b"", headers=headers).json()["code"] == "type_too_long"


def test_utf_8_may_be_named(running):
    body = b'--x\r\nContent-Disposition: form-data; name="files"; filename="a"\r\n\r\n1\r\n--x--\r\n'
    for charset in ("utf-8", "UTF8", '"utf-8"'):
        headers = {"content-type": f"multipart/form-data; charset={charset}; boundary=x"}
        assert running.client.post("/v1/search", content=body, headers=headers).status_code == 200


def test_no_upload_is_written_to_a_file(start_app, monkeypatch):
    def no_file(*_, **__):
        raise AssertionError("an upload went to a file")

    monkeypatch.setattr("tempfile.TemporaryFile", no_file)
    monkeypatch.setattr("tempfile.NamedTemporaryFile", no_file)
    with start_app() as running:
        assert running.client.post("/v1/search", files={"files": b"SECRET " * 1_000_000}).status_code == 422


def test_what_is_wrong_with_a_parameter_keeps_its_case_and_is_no_longer_than_the_request(running):
    response = running.search(1, unit="mv")
    assert response.json()["detail"] == "unit: input should be 'mV', 'uV' or 'V'."
    response = running.search(1, **{f"p{number}": "1" for number in range(60)})
    assert (response.status_code, len(response.json()["errors"])) == (422, 10)


def test_more_files_than_allowed_are_400(running):
    response = running.client.post("/v1/search", files=[("files", (f"{i}", b"1")) for i in range(9)])
    assert (response.status_code, response.json()["code"]) == (400, "bad_multipart")


def test_a_body_over_the_limit_is_413(start_app):
    with start_app(max_body_bytes=2000) as running:
        response = running.client.post("/v1/search", files={"files": b"1" * 3000})
        assert (response.status_code, response.json()["code"]) == (413, "body_too_large")
        assert response.headers["content-type"] == "application/problem+json"
        assert running.search(1).status_code == 200


def test_unknown_addresses_and_methods_are_problems_too(running):
    assert running.client.get("/nowhere").json()["code"] == "not_found"
    response = running.client.get("/v1/search")
    assert (response.status_code, response.json()["code"]) == (405, "method_not_allowed")


def test_the_server_having_no_room_is_507_and_not_the_files_fault(running, monkeypatch):
    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device", "/tmp/SECRET")

    monkeypatch.setattr(running.service.pipeline.reader, "read_ecg", full)
    response = running.search(1)
    assert (response.status_code, response.json()["code"]) == (507, "no_space")
    assert "SECRET" not in response.text


def test_everything_that_reaches_the_models_runs_on_one_thread(running):
    assert running.search(1).status_code == 200
    assert running.bundle.threads == {"batch-lane"}


def test_an_id_holds_no_slash_and_an_address_of_many_is_told_apart_in_no_time(running):
    assert running.client.get("/v1/studies/a%2Fb").json()["code"] == "not_found"
    pattern = next(
        route.path_regex for route in studies.router.routes if route.path.endswith("/thumbnail")
    )  # matched on the event loop, before anybody's key is looked at
    assert not pattern.match("/v1/studies/" + "/views/" * 1_000_000)


def test_a_start_that_failed_ends_the_process_with_1(start_app, monkeypatch):
    from app.main import create_app, run

    with start_app() as running:
        service, settings = running.service, running.settings

    def broken() -> None:
        raise ZeroDivisionError

    again = type(service)(settings.model_copy(update={"port": 0}), running.bundle, service._reader, lambda _: [])
    monkeypatch.setattr(again._reader, "warm", broken)
    assert run(create_app(again.settings, again), again.settings) == 1


def test_a_defect_is_500_without_its_message(start_app, monkeypatch):
    with start_app() as running:

        def broken(*_: object) -> None:
            raise RuntimeError("SECRET /etc/path")

        monkeypatch.setattr(running.bundle, "embed_ecgs", broken)
        response = running.search(1)
        assert (response.status_code, response.json()["code"]) == (500, "unexpected_error")
        assert "SECRET" not in response.text


def test_an_ecg_that_is_none_gets_no_answer_but_the_reason(running):
    answer = running.search(666).json()
    assert answer["withheld"] == ["noise_only", "leads_inconsistent"]
    assert not {"predictions", "neighbours", "neighbour_summary"} & set(answer)
    assert running.bundle.batches == [], "the model was not asked"
    told = [(warning["code"], warning["severity"]) for warning in answer["warnings"]]
    assert {code for code, severity in told if severity == "withheld"} == {"leads_inconsistent", "noise_only"}
    helps = {warning["code"]: warning.get("hint") for warning in answer["warnings"]}
    assert helps["noise_only"].startswith("Look at the patient first")
    of_lead = {one["lead"]: one["codes"] for one in answer["ecg"]["lead_quality"]}
    assert len(of_lead) == 12
    assert "leads_inconsistent" in of_lead["aVR"]
    predicted = running.client.post("/v1/predict", files={"files": b"666"}).json()
    assert predicted["withheld"] == answer["withheld"]
    assert "predictions" not in predicted


def test_who_asks_for_a_report_gets_the_answer_with_its_codes(running):
    answer = running.search(666, quality="report").json()
    assert answer["withheld"] == ["noise_only", "leads_inconsistent"]
    assert len(answer["neighbours"]) == 10
    assert "predictions" in answer


def test_vectors_are_never_withheld_and_carry_the_codes(running):
    answer = running.client.post("/v1/embed", files={"files": b"666"}).json()
    assert answer["withheld"] == ["noise_only", "leads_inconsistent"]
    assert len(answer["embedding"]) == 8


def test_a_good_ecg_says_which_windows_were_seen_and_nothing_is_withheld(running):
    answer = running.search(1).json()
    assert "withheld" not in answer
    assert answer["ecg"]["windows"] == [{"start_s": 0.0, "length_s": 2.52}]
    assert {tuple(one["codes"]) for one in answer["ecg"]["lead_quality"]} == {()}
