"""What report.json holds, key by key: `write_report` refuses anything else, and docs/file-formats.md is made from it.

Every key can be absent: each party writes what it knows.
"""

from __future__ import annotations

import threading
from collections.abc import Collection, Mapping
from typing import Any

import msgspec

from vfl.report.schema.model import Fitted as Fitted
from vfl.report.schema.model import Model as Model
from vfl.report.schema.part import Part
from vfl.report.schema.part import says as says
from vfl.report.schema.rows import Bin as Bin
from vfl.report.schema.whole import Report as Report

_RESOLVING = threading.Lock()  # msgspec resolves a structure at its first use, which is not safe in threads


def checked(result: Mapping[str, Any]) -> None:
    """Raises TypeError, a fault of the program, for a key that is not declared or holds something else."""
    _convert(result, Report)


def checked_model(model: Mapping[str, Any], declared: type[Model], parameters: Collection[str]) -> None:
    """The same of the key `model`, where `parameters` are those of the job's [model]."""
    own = {field.encode_name for field in msgspec.structs.fields(declared)}
    _convert({key: value for key, value in model.items() if key in own or key not in parameters}, declared)


def _convert(value: object, to: type[Part]) -> None:
    try:
        with _RESOLVING:
            msgspec.convert(value, to)
    except msgspec.ValidationError as error:
        raise TypeError(f"report.json is not as declared: {error}") from None
