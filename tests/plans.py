"""Plans as job files and estimators make them, from one list of parameters."""

from __future__ import annotations

from dataclasses import fields
from typing import Any

from vfl.models.plan import Plan
from vfl.schema.spec import Spec

OF_PLAN = {field.name for field in fields(Plan)} - {"spec"}


def planned(kind: type[Spec], **given: Any) -> Plan[Any]:
    """The plan of a spec of this kind; what is no parameter of it belongs to the plan, or to a job file alone."""
    own = {name: value for name, value in given.items() if name in kind.parameters()}
    alone = {name: value for name, value in given.items() if name in kind.FILE_ONLY}
    rest = {name: value for name, value in given.items() if name not in own and name not in alone}
    assert set(rest) <= OF_PLAN, rest
    return Plan(kind(**own).with_(**alone), **rest)
