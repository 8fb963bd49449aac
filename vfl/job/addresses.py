"""Addresses and files, as party files name them."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator, BeforeValidator, ValidationInfo

from vfl.job.table import resolved
from vfl.schema.section import Complaint, shown


def split_address(text: str) -> tuple[str, int]:
    """('10.0.0.3', 7443) of '10.0.0.3:7443'; an IPv6 address stands in [ ].  Raises ValueError."""
    match = re.fullmatch(r"(?:\[([0-9A-Fa-f:.%a-z]+)\]|([A-Za-z0-9._-]+)):([0-9]{1,5})", text)
    if not match or not 1 <= int(match[3]) <= 65535:
        raise Complaint(
            f"is {shown(text)}, which is not an address and a port",
            'Write it as "10.0.0.3:7443", "name.example:7443" or "[::1]:7443"',
        )
    return match[1] or match[2], int(match[3])


def _address(value: str) -> str:
    split_address(value)
    return value


def resolved_all(value: object, info: ValidationInfo) -> object:
    given = (value,) if isinstance(value, str) else value
    return tuple(resolved(one, info) for one in given) if isinstance(given, tuple) else given


Address = Annotated[str, AfterValidator(_address)]
File = Annotated[Path, BeforeValidator(resolved)]
Files = Annotated[tuple[Path, ...], BeforeValidator(resolved_all)]
