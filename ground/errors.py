"""What is expected to go wrong: one root, so that whoever shows a failure to a person needs to know no other.

    Refusal
    ├── inputs.errors.InputError            a file that cannot be read, a recording that cannot be used
    │   └── cohorts.tables.CohortError      a cohort folder that contradicts itself
    ├── models.bundle.BundleError           a bundle that is damaged or lacks what is asked of it
    ├── index.base.IndexProblem             no index, a damaged one, another bundle's
    └── app's, cli's and training's own     a full queue, a missing key, a run that cannot be begun

A `ValueError` is for programmers: an argument that no caller of ours should pass.
"""

from __future__ import annotations

from typing import Any, Self


class Refusal(Exception):
    """`code` is stable and machine-readable; `sentence`, also `str(refusal)`, is for a person; `hint` says what helps.

    None of them holds a server path, the content of a file or anything about a patient.
    """

    def __init__(self, code: str, sentence: str, *, hint: str = "") -> None:
        super().__init__(sentence)
        self.code = code
        self.sentence = sentence
        self.hint = hint

    @property
    def in_full(self) -> str:
        """The sentence and, where there is one, the hint."""
        return f"{self.sentence} {self.hint}".strip()

    def __reduce__(self) -> tuple[object, ...]:
        # Worker processes raise errors across a pickle, and subclasses take other arguments than an exception keeps.
        return (_rebuilt, (type(self), self.sentence, self.__dict__.copy()))

    @classmethod
    def _made_again(cls, sentence: str, state: dict[str, Any]) -> Self:
        refusal = cls.__new__(cls, sentence)
        refusal.__dict__.update(state)
        return refusal


def _rebuilt(kind: type[Refusal], sentence: str, state: dict[str, Any]) -> Refusal:
    return kind._made_again(sentence, state)
