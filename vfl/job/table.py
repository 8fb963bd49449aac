"""The section [data] of a party file: where this party's table is, and what its columns are."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Annotated, Literal

from pydantic import AfterValidator, Field, ValidationInfo, model_validator

from vfl.data import Settings
from vfl.data.places import place_of
from vfl.data.source import FILES
from vfl.job.agreement import Columns
from vfl.job.align import Column
from vfl.job.file_form import FileForm
from vfl.schema.described import Values
from vfl.schema.section import Complaint, shown
from vfl.schema.table_options import TableSettings


def resolved(value: object, info: ValidationInfo) -> object:
    if not isinstance(value, str) or not value or "\0" in value:
        return value if not isinstance(value, str) else None
    return ((info.context or {}).get("base") or Path()) / Path(value).expanduser()


def _source(value: str, info: ValidationInfo) -> str:
    """A path is made absolute from the file's folder, also inside an SQLite address; other addresses stay as they
    are."""
    if "\0" in value:
        raise Complaint("holds the character NUL", "Correct the path or address")
    if "://" not in value:
        return str(resolved(value, info) or "")
    scheme, _, rest = value.partition("://")
    if scheme.split("+")[0] == "sqlite" and rest.startswith("/") and rest[1:2] not in ("", "/", ":"):
        path, mark, options = rest[1:].partition("?")
        return f"{scheme}:///{resolved(path, info)}{mark}{options}"
    return value


SOURCES = (
    f"a file ({', '.join(FILES)}), a folder of files, the address of either "
    "(s3://, https://), or a database address with a query, such as source = "
    '"customers.parquet"'
)
Sign = Literal[-1, 0, 1]


class Data(TableSettings, FileForm):
    """This party's table."""

    source: Annotated[
        str,
        AfterValidator(_source),
        Values(SOURCES),
    ] = Field(
        repr=False,
        min_length=1,
        description="where the table is",
    )
    query: Annotated[str | None, Values('a text, such as query = "SELECT * FROM customers"')] = Field(
        default=None,
        repr=False,
        min_length=1,
        description="the SQL query; required with a database address, refused with a file",
    )
    label: Annotated[Column | None, Values('a column, such as label = "default"')] = Field(
        default=None,
        description="at the guest, required: the column of the label, whose larger value is the event if "
        "there are two; numbers, counts or several values if the job's model predicts these",
    )
    event: Annotated[str | bool | int | float | None, Values('a value, such as event = "bad"')] = Field(
        default=None,
        repr=False,
        description="at the guest: of a label of two values, the one whose probability is modelled; absent: "
        "the larger, of texts the later one in the alphabet, with a caution unless these are such "
        "as no and yes",
    )
    weight: Annotated[Column | None, Values('a column, such as weight = "policy_years"')] = Field(
        default=None,
        description="at the guest: the column of row weights, or of exposures, above 0, for jobs with "
        "model.sample_weight or model.exposure; never a feature",
    )
    date: Annotated[Column | None, Values('a column, such as date = "opened"')] = Field(
        default=None,
        description="at the guest: the column of dates (dates, time stamps, or texts in ISO 8601, such as "
        "2026-01-31), for jobs with split.out_of_time; never a feature, and its values never "
        "leave this party",
    )
    columns: Annotated[Columns | None, Values('a list of columns, such as columns = ["limit", "age"]')] = Field(
        default=None,
        description="the feature columns that jobs may use, in this order, [] (at the guest) for none; "
        "absent: all except keys, label, weight and date",
    )
    categories: Annotated[Columns | None, Values('a list of columns, such as categories = ["branch"]')] = Field(
        default=None,
        description="feature columns of numbers that are codes (1 to 9 for a branch), treated as texts, one "
        'category per code; only for jobs whose model accepts texts; the same as "category" in '
        "data.types",
    )
    monotone_constraints: Annotated[
        dict[Column, Sign], Values("1, -1 or 0 by column, such as { income = 1, age = -1 }")
    ] = Field(
        default={},
        description=(
            "for jobs with model.monotone_constraints: feature columns with which predictions may move in one "
            "direction only; with 1 they never fall when the column rises, with -1 they never rise; not for "
            "categories"
        ),
    )

    def check_hosts(self) -> None:
        """Raises Complaint for what only a guest has."""
        if self.label is not None:
            raise Complaint("is not for a host: only the guest holds labels", "Remove it", "data.label")
        if self.event is not None:
            raise Complaint("is not for a host: only the guest holds labels", "Remove it", "data.event")
        if self.weight is not None:
            raise Complaint("is not for a host: only the guest weights rows", "Remove it", "data.weight")
        if self.date is not None:
            raise Complaint(
                ("is not for a host: only the guest's dates decide which rows are out of time"),
                "Remove it",
                "data.date",
            )
        if self.columns == ():
            raise Complaint(
                "is empty: a host without a column adds nothing",
                "Name one, or remove the key to use all",
                "data.columns",
            )

    def check_members(self) -> None:
        """Raises Complaint for what a job of members says, or has no use for."""
        of_job = {"label": "[table] names it", "event": "a label is 0 and 1", "weight": "rows are not weighted"}
        of_job |= {"date": "no rows are out of time", "id_columns": "no ids are matched"}
        of_job |= {"categories": "all columns are numbers", "types": "all columns are numbers"}
        of_job |= {"monotone_constraints": "no model has any"}
        for key, why in of_job.items():
            if getattr(self, key):
                raise Complaint(f"is not for a member: in a job of members {why}", "Remove it", f"data.{key}")

    def settings(self, *, in_python: bool = False) -> Settings:
        """As the table is read with it."""
        own = super().settings(in_python=in_python)
        own = replace(own, types={**own.types, **dict.fromkeys(self.categories or (), "category")})
        return replace(own, event=self.event, monotone=self.monotone_constraints)

    @property
    def is_database(self) -> bool:
        """Whether `source` is a database address."""
        return place_of(self.source) == "database"

    @model_validator(mode="after")
    def _fits(self) -> Data:
        if self.is_database and self.query is None:
            raise Complaint("is missing: the source is a database address", 'Add query = "SELECT ..."', "data.query")
        if not self.is_database and self.query is not None:
            raise Complaint(
                "does nothing: the source is a file", "Remove it, or give a database address as source", "data.query"
            )
        self.check_form(self.source, is_database=self.is_database)
        self._features_fit()
        if self.weight is not None and self.weight == self.label:
            raise Complaint(f"is {shown(self.weight)}, which is the label", "Name another column", "data.weight")
        for what, name in (("label", self.label), ("weight", self.weight)):
            if self.date is not None and self.date == name:
                raise Complaint(f"is {shown(self.date)}, which is the {what}", "Name another column", "data.date")
        return self

    def _features_fit(self) -> None:
        """Raises Complaint for keys about features that do not fit the others."""
        features = {
            "columns": self.columns,
            "categories": self.categories,
            "types": self.types,
            "exclude": self.exclude,
            "monotone_constraints": self.monotone_constraints,
        }
        for what, name in (("label", self.label), ("weight", self.weight), ("date", self.date)):
            for key, columns in features.items():
                if name is not None and name in (columns or ()):
                    raise Complaint(f"names {shown(name)}, which is the {what}", f"Remove it from {key}", f"data.{key}")
        if self.columns is not None and self.exclude:
            raise Complaint(
                "does nothing: columns lists the features", "Remove exclude, or remove columns", "data.exclude"
            )
        for key in ("categories", "types", "monotone_constraints"):
            for name in features[key] or ():
                if self.columns is not None and name not in self.columns:
                    raise Complaint(
                        f"names {shown(name)}, which is not in columns",
                        "Add it there, or remove it here",
                        f"data.{key}",
                    )
                if name in self.exclude:
                    raise Complaint(f"names {shown(name)}, which exclude lists too", "Remove one", f"data.{key}")
        codes = [*(self.categories or ()), *(name for name, kind in self.types.items() if kind == "category")]
        if named := [name for name, sign in self.monotone_constraints.items() if sign and name in codes]:
            raise Complaint(
                f"names {shown(named[0])}, which holds categories: they have no order",
                "Remove it",
                "data.monotone_constraints",
            )
        if both := [name for name in self.categories or () if self.types.get(name) == "number"]:
            raise Complaint(
                f"says that {shown(both[0])} is a number, and categories lists it", "Remove one", "data.types"
            )
