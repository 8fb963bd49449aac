"""Keys of [data] that say how the files of a table are written, where their names do not."""

from __future__ import annotations

from typing import Annotated

from pydantic import AfterValidator, BeforeValidator, Field

from vfl.data.form import UTF8, Form, codec
from vfl.data.source import FILES, known_formats, suffix_of
from vfl.schema.described import Values
from vfl.schema.section import Complaint, Section, choose, shown


def _separator(value: str) -> str:
    if len(value) != 1 or value.isalnum() or value in '"\r\n.+-':
        raise Complaint(f"is {shown(value)}, which cannot separate columns", 'Use one sign, such as ";" or "\\t"')
    return value


def _encoding(value: str) -> str:
    if codec(value) is None:
        raise Complaint(f"is {shown(value)}, which is not known", 'Use "utf-8", "cp1252", "latin-1" or "utf-16"')
    return value


class FileForm(Section):
    """The keys."""

    format: Annotated[
        Annotated[str, BeforeValidator(choose(known_formats()))] | None,
        Values('a format, such as format = "csv" or format = "csv.gz"'),
    ] = Field(
        default=None,
        description="the format of files whose name does not end in it: "
        + ", ".join(f'"{suffix.removeprefix(".")}"' for suffix in FILES)
        + ', packed "csv.gz" and so on; absent: by the name',
    )
    separator: Annotated[
        Annotated[str, AfterValidator(_separator)] | None, Values('one sign, such as separator = ";"')
    ] = Field(
        default=None,
        description="the sign between the columns of a CSV file; absent: a comma, in .tsv files a tab",
    )
    decimal: Annotated[str, BeforeValidator(choose((".", ","))), Values('"." or ","')] = Field(
        default=".", description="the decimal sign of numbers in a CSV file"
    )
    encoding: Annotated[
        str,
        AfterValidator(_encoding),
        Values('an encoding that Python knows, such as "cp1252", "latin-1" or "utf-16"'),
    ] = Field(
        default=UTF8,
        description="the encoding of a CSV file",
    )

    @property
    def form(self) -> Form:
        """The same as readers take it."""
        return Form(self.format, self.separator, self.decimal, self.encoding)

    def check_form(self, source: str, *, is_database: bool) -> None:
        """Raises Complaint for a key that does nothing with this source."""
        kind = FILES.get(suffix_of(source, self.form))
        of_text = {"separator": self.separator, "decimal": self.decimal, "encoding": self.encoding}
        for key, value in (("format", self.format), *of_text.items()):
            if value == FileForm.model_fields[key].default:
                continue
            if is_database:
                raise Complaint("does nothing: the source is a database", "Remove it", f"data.{key}")
            if key in of_text and kind is not None and not kind.is_text:
                raise Complaint("does nothing: the source is no CSV file", "Remove it", f"data.{key}")
