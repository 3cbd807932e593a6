"""What each documented code of a refusal means, in one sentence for a person who meets it before any refusal does.

A refusal's own sentence says more, because it knows what was sent; these stand where nothing was yet: on the page of
the API and in what is told of recent refusals.
"""

from __future__ import annotations

_WORDS = {
    # Who asks
    "key_required": "A valid API key is needed, and none came.",
    "key_wrong": "A log-in with a key that is not valid here.",
    "scope_missing": "The key does not have the scope that the address needs.",
    "foreign_host": "Without API keys the service answers to this machine's own name alone.",
    "cross_site": "A browser sent it on behalf of another site's page.",
    # The request itself
    "bad_request": "It is no HTTP request, or its body cannot be taken apart.",
    "bad_length": "What it says of the length of its body is no length.",
    "address_too_long": "The address is longer than is read.",
    "header_too_large": "The header is larger than is read.",
    "too_many_parameters": "The address has more parameters than are read.",
    "body_in_crumbs": "The body came in pieces that are too small.",
    "body_timeout": "The body did not arrive in time.",
    "body_too_large": "The body is larger than the service takes.",
    "not_found": "There is no such address.",
    "method_not_allowed": "The address does not know this method.",
    "invalid_parameter": "A parameter or a field of the body is unknown, missing or outside its limits.",
    "not_multipart": "An upload comes as multipart/form-data, and this one did not.",
    "bad_multipart": "The multipart body is not put together as it says.",
    "bad_form": "The form holds other fields than the page's own.",
    "no_file": "The upload holds no file.",
    "charset_unknown": "The body names letters that nobody knows.",
    "type_too_long": "The content type is longer than is read.",
    # An ECG
    "not_an_ecg": "The file is no ECG of a kind that is read.",
    "several_ecgs": "The upload holds more than one ECG.",
    "unreadable_file": "The file is damaged, or says of itself what cannot be.",
    "truncated": "The file ends before its samples do.",
    "unsupported_format": "The format is known and not read.",
    "file_empty": "The file is empty.",
    "file_too_large": "The file is larger than is read.",
    "too_many_files": "The upload holds more files than are read.",
    "signal_empty": "The recording has no samples, or none that are numbers.",
    "no_rhythm": "The recording holds stored beats and no rhythm.",
    "rate_missing": "The file does not say its rate: `rate_hz` does.",
    "rate_conflict": "The file says one rate, and `rate_hz` another.",
    "unit_missing": "The file does not say its unit: `unit` does.",
    "leads_missing": "Leads that an answer needs are missing, or have no names: `leads` gives them.",
    "exam_not_found": "The file holds no ECG of the name in `exam`.",
    "too_long": "The recording is longer than is read: `start_s` and `length_s` choose a stretch.",
    "answer_gone": "The answer is not kept any more.",
    "not_explained": "There is no map of what speaks for this number of the answer.",
    "ecg_of_another_model": "Another model is served now than the one that the ECG was answered with.",
    "no_embeddings": "The bundle gives no embeddings to search with.",
    "no_probes": "The bundle has no probes, so it predicts nothing.",
    # The service
    "starting": "The models are not warm yet.",
    "start_failed": "The service could not start; its log says why.",
    "lane_dead": "The thread that runs the models no longer answers: restart the service.",
    "draining": "The service is ending.",
    "reader_unavailable": "No child process is left to read the file with.",
    "took_too_long": "The answer took longer than the service allows.",
    "busy": "As many ECGs are in the service as it takes, or as one caller may have there.",
    "no_space": "There is no space left on the server.",
    "unexpected_error": "A defect of the service; its log has the request's id.",
    # The index
    "index_missing": "There is no index yet: rebuild it.",
    "index_damaged": "No generation of the index verifies: rebuild it.",
    "index_newer": "A newer version of this software wrote the index.",
    "index_mismatch": "Another bundle made the index: rebuild it with this one.",
    "index_read_only": "The service may not write its index folder.",
    "unknown_study": "The index has no study with this id.",
    "unknown_view": "The index has no picture of this view.",
    "no_cine": "The index has no moving picture of this view.",
    # Rebuilds
    "unknown_source": "The settings name no such source of studies.",
    "job_running": "A rebuild is running already.",
    "job_not_started": "The rebuild's program could not be started.",
    "job_ended": "The rebuild has ended already.",
    "job_elsewhere": "Another server on the same index folder runs the rebuild.",
    "unknown_job": "There is no job with this id.",
    "too_many_streams": "As many rebuilds are followed at once as may be.",
    # Keys
    "form_sent_already": "The same form made a key already; a page that is reloaded sends it again.",
    "key_unknown": "No key has this id.",
    "own_key": "A key does not revoke itself.",
    "scope_not_yours": "A key gives no scope that it lacks.",
    "too_many_keys": "There are as many keys as may be: revoke some.",
    "keys_busy": "Another command is writing the keys file.",
    "keys_read_only": "The service may not write its keys file.",
    "no_keys_file": "The service runs without keys.",
    "other": "More reasons than are counted apart.",
}


def code_words(code: str) -> str:
    """A sentence. A code without one, which only an ECG that cannot be read or used gives, is spelt out."""
    return _WORDS.get(code) or f"{code.replace('_', ' ').capitalize()}."
