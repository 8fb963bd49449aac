"""The section [align] of a job file: by which keys customers are matched, how each is compared, and what is asked
for."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AfterValidator, BeforeValidator, Field, model_validator

from vfl.data.normalise import NORMALISERS, UnknownNormaliserError, normaliser
from vfl.schema.described import Values
from vfl.schema.section import Complaint, Section, check_column, distinct, listed, shown

MAX_KEYS = 8
Column = Annotated[str, AfterValidator(check_column)]


def _normaliser(value: object) -> object:
    if not isinstance(value, str):
        raise Complaint(f"is {shown(value)}, which is not known", f"Use {listed([shown(n) for n in NORMALISERS])}")
    try:
        normaliser(value)
    except UnknownNormaliserError as error:
        what = f"is {shown(value)}, which {error.what}"
        raise Complaint(
            what, f"Use {listed([shown(n) for n in NORMALISERS])}" if error.what == "is not known" else error.remedy
        ) from None
    return value


class Align(Section):
    """How customers are matched."""

    keys: Annotated[
        tuple[tuple[Column, ...], ...],
        Values('a list of keys, each a list of its columns, such as keys = [["national_id"], ["phone", "birth_date"]]'),
    ] = Field(description="the keys by which customers are matched; at most 8, tried in this order")
    normalise: Annotated[
        dict[Column, Annotated[str, BeforeValidator(_normaliser)]],
        Values(
            'a normaliser by key column, such as { national_id = "digits", phone = "e164:GB", birth_date = "date" }'
        ),
    ] = Field(
        default={},
        description='how ids are compared; "text" for a column that is not listed',
    )
    duplicates: Literal["error", "first"] = Field(
        default="error", description="if rows of a table share an id: stop, or keep the first of them"
    )
    min_intersection: int = Field(
        default=100,
        ge=1,
        le=2**31,
        description=(
            "stop if fewer rows than this, over all keys, are common to all data parties; for trainings and "
            "alignments, not for predictions"
        ),
    )
    cardinality_only: bool = Field(
        default=False,
        exclude_if=lambda only: not only,
        description="whether only the size of the intersection is opened; only without [model]",
    )

    @model_validator(mode="after")
    def _keys(self) -> Align:
        if not self.keys or not all(self.keys):
            raise Complaint("names no column", 'Write at least one key, such as keys = [["national_id"]]', "align.keys")
        if len(self.keys) > MAX_KEYS:
            raise Complaint(f"has {len(self.keys)} keys", f"Use {MAX_KEYS} at most", "align.keys")
        if len({frozenset(key) for key in self.keys}) < len(self.keys):
            raise Complaint("has a key twice", "The second one could match nothing; keep one", "align.keys")
        for key in self.keys:
            try:
                distinct(key)
            except Complaint as complaint:
                raise Complaint(complaint.what, complaint.remedy, "align.keys") from None
        for column in self.normalise:
            if column not in self.columns:
                raise Complaint(
                    "is not a key column, so it would have no effect",
                    "Remove it, or add it to align.keys",
                    f"align.normalise.{column}",
                )
        # A default that is spelt out or left out is the same job.
        object.__setattr__(self, "normalise", {c: self.normalise.get(c, "text") for c in self.columns})
        return self

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns of all keys, each once."""
        return tuple(dict.fromkeys(column for key in self.keys for column in key))
