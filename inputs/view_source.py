"""Whose view vectors some numbers are: what made them, of clips prepared in which way."""

from __future__ import annotations

from collections.abc import Mapping

from pydantic import BaseModel, ConfigDict, Field, JsonValue

MEMBER = "view_vectors"
"""Under which `cohort.json`, a table's own notes and a bundle's training data tell it."""


class ViewSource(BaseModel):
    """What view vectors are of. Vectors of two sources mean nothing beside each other.

    sha256: of the weights that made them, empty where nobody knows. preparation: of the clips, as the source's own
    specification says, or in words.
    """

    model_config = ConfigDict(frozen=True, extra="ignore")

    name: str = Field(min_length=1, max_length=200)
    width: int = Field(ge=1, le=1 << 16)
    sha256: str = Field(default="", pattern=r"^([0-9a-f]{64})?$")
    preparation: JsonValue = None

    def is_of(self, other: ViewSource) -> bool:
        """Whether both are of one source: by weights and preparation where both are known, else by name."""
        if self.width != other.width:
            return False
        if self.sha256 and other.sha256:
            return self.sha256 == other.sha256 and _prepared_alike(self.preparation, other.preparation)
        return self.name == other.name

    @property
    def words(self) -> str:
        return f"{self.name} ({self.width} numbers)"


def _prepared_alike(ours: JsonValue, theirs: JsonValue) -> bool:
    """What only one of them says, a specification of an earlier version had no other way of."""
    if isinstance(ours, Mapping) and isinstance(theirs, Mapping):
        return all(ours[name] == theirs[name] for name in ours.keys() & theirs.keys())
    return ours == theirs
