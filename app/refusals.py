"""What the service itself refuses, whoever asks: no HTTP here, `app.http.problems` knows the status of each.

    Refusal
    ├── NotReady      models warm up, the service ends
    ├── TookTooLong   an answer that was not there in time
    ├── NoSpace       no room on the server's disk
    ├── NoProbes      a prediction of a bundle that predicts nothing
    ├── NoEmbeddings  a search with a bundle that lacks embeddings of ECGs or of studies
    ├── EcgOfAnotherModel  a further search for an ECG that an earlier bundle answered
    ├── JobRunning    JobEnded    JobElsewhere    JobUnknown    JobNotStarted      rebuilds
    ├── KeyUnknown    KeyChangeRefused    KeysBusy    KeysUnusable                  API keys
    └── TooManyStreams   somebody follows many rebuilds at once

`app.answering` adds what may be wrong on the way of one ECG: QueueFull, BatcherClosed, NotSearchable.
"""

from __future__ import annotations

from ground.errors import Refusal


class NotReady(Refusal):
    """`code` says why: one of `Service.reasons_not_ready`."""

    def __init__(self, code: str) -> None:
        super().__init__(code, "The service is not ready to answer.", hint="Ask /readyz when it is.")


class TookTooLong(Refusal):
    retry_after_s = 10

    def __init__(self) -> None:
        super().__init__("took_too_long", "The answer took longer than the service allows.")


class NoSpace(Refusal):
    def __init__(self) -> None:
        super().__init__("no_space", "There is no space left on the server for this request.")


class NoProbes(Refusal):
    def __init__(self) -> None:
        super().__init__(
            "no_probes",
            "The bundle being served has no probes, so it predicts nothing.",
            hint="`echo2ecg bundle fit` fits them on a cohort.",
        )


class NoEmbeddings(Refusal):
    def __init__(self) -> None:
        super().__init__(
            "no_embeddings",
            "The bundle being served gives no embeddings to search with: it answers of the ECG alone.",
            hint="Ask /v1/predict.",
        )


class EcgOfAnotherModel(Refusal):
    def __init__(self) -> None:
        super().__init__(
            "ecg_of_another_model",
            "Another model is served now than the one that this ECG was answered with.",
            hint="Upload the ECG again.",
        )


class JobRunning(Refusal):
    """One rebuild at a time; `job_id` is the one that runs."""

    def __init__(self, job_id: str) -> None:
        super().__init__("job_running", "A rebuild is running already.", hint=f"Follow it at /v1/jobs/{job_id}.")
        self.job_id = job_id


class JobEnded(Refusal):
    def __init__(self) -> None:
        super().__init__("job_ended", "This job has ended already.")


class JobElsewhere(Refusal):
    """Another server on the same index folder runs it; only its owner can end it."""

    def __init__(self) -> None:
        super().__init__("job_elsewhere", "Another server runs this job, so it can only be cancelled there.")


class JobUnknown(Refusal):
    def __init__(self) -> None:
        super().__init__("unknown_job", "There is no job with this id.")


class JobNotStarted(Refusal):
    """The rebuild's program could not be begun, or its state could not be written."""


class TooManyStreams(Refusal):
    """Each holds a connection for as long as a rebuild takes."""

    def __init__(self) -> None:
        super().__init__(
            "too_many_streams", "As many rebuilds are followed at once as may be.", hint="Ask /v1/jobs/{id} instead."
        )


class KeyUnknown(Refusal):
    def __init__(self) -> None:
        super().__init__("key_unknown", "No key has this id: `echo2ecg keys list` shows them.")


class AskerRevoked(Refusal):
    """The key that asks for a change of keys was taken back, or ran out, before its turn came."""

    def __init__(self) -> None:
        super().__init__("key_required", "The key that asks is no longer valid.")


class KeyChangeRefused(Refusal):
    """This key cannot be made or taken back, by whoever asks or where the service runs.

    `command` is what to run instead, where that is another way to the same end.
    """

    def __init__(self, code: str, sentence: str, *, hint: str = "", command: str = "") -> None:
        super().__init__(code, sentence, hint=hint)
        self.command = command


class KeysBusy(Refusal):
    def __init__(self) -> None:
        super().__init__("keys_busy", "Another command is writing the keys file: try again when it has ended.")


class KeysUnusable(Refusal):
    """The keys file is missing, damaged, a newer version's or closed to us: nobody is let in by it."""
