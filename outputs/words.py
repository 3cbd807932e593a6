"""The words of an answer, for people: every rendering says the same thing with the same words.

The JSON keeps the codes beside them. What the findings are called stands in `ground.findings`.
"""

from __future__ import annotations

from ground.findings import flag_words

__all__ = [
    "DISCLAIMER",
    "LVEF",
    "SHD",
    "UNKNOWN",
    "decision_words",
    "finding_words",
    "flag_words",
    "lvef_class_words",
    "share_words",
    "shd_words",
    "unusual_words",
]

DISCLAIMER = "Research software, not a medical device: not for diagnosis or treatment."
LVEF = "LVEF"
SHD = "Structural heart disease"
UNKNOWN = "unknown"


def lvef_class_words(range_percent: str) -> str:
    """An LVEF class by its range: `LVEF <= 40 %`."""
    return f"{LVEF} {range_percent}"


def decision_words(*, positive: bool, threshold: float) -> str:
    """`positive (threshold 0.40)`."""
    return f"{'positive' if positive else 'negative'} (threshold {threshold:.2f})"


def shd_words(shd: bool | None) -> str:
    """Whether the heart of a study is structurally diseased."""
    return {True: "yes", False: "no", None: UNKNOWN}[shd]


def finding_words(finding: str | None) -> str:
    """What is said of a flag; nothing where the bundle has no rule for it."""
    return {"raised": "raised", "not_raised": "not raised", "cannot_tell": "cannot tell from an ECG"}.get(
        finding or "", "no rule in this bundle"
    )


def share_words(share: float | None) -> str:
    """A share in percent, small ones with a digit more: `3.1 %`, `49 %`."""
    if share is None:
        return UNKNOWN
    return f"{100 * share:.1f} %" if share < 0.1 else f"{100 * share:.0f} %"


def unusual_words(percentile: float) -> str:
    """The warning about an ECG that is more unusual than `percentile` % of held-out ones."""
    return (
        "This ECG is unlike the ECGs this model knows; the numbers are for show. "
        f"It is more unusual than {percentile:.1f} % of held-out ECGs."
    )
