"""What in the tables of members deserves a word before they average: numbers that may be no amounts, columns that tell
the label, and what is constant; by column, never a value."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from vfl.data.doubts import outcome, values
from vfl.data.doubts.values import ENOUGH
from vfl.data.schema import Settings
from vfl.models.averaging.families import Floats
from vfl.models.averaging.spec import Averaging

_CALLED_ID = re.compile(r"(?i:(?:^|[\W_])ids?)$|[a-z]I[dD]s?$")


@dataclass(frozen=True)
class _Remedies(Settings):
    """Members have no options of tables: a remedy is a call of pandas."""

    def says(self, name: str, example: str) -> str:
        """What to do, in place of a setting."""
        if name == "exclude":
            return f"table.drop(columns={example}) at all members"
        return "table.replace(-999, numpy.nan), and fill it"


REMEDIES = _Remedies(in_python=True)


def cautions(tables: Mapping[str, pd.DataFrame], columns: Sequence[str], label: str, spec: Averaging) -> list[str]:
    """A sentence each, after the members that it is about."""
    with np.errstate(over="ignore", invalid="ignore"):  # of numbers near the largest one
        return _found(tables, columns, label, spec)


def _found(tables: Mapping[str, pd.DataFrame], columns: Sequence[str], label: str, spec: Averaging) -> list[str]:
    labels = {name: table[label].to_numpy(np.float64) for name, table in tables.items()}
    constant = _constant("the label", labels, "the model only learns whose a row is")
    found = [f"all members: {constant}"] if constant else []
    classes = 2 if spec.label == "binary" else 0
    for column in columns:
        own = {name: table[column].to_numpy(np.float64) for name, table in tables.items()}
        if told := _of_all(column, own) or _leak(column, list(own.values()), list(labels.values()), classes):
            found.append(f"all members: {told}")
            continue
        about = dict[str, list[str]]()
        for name, table in tables.items():
            for sentence in _of_one(table[column], own[name], labels[name], classes):
                about.setdefault(sentence, []).append(name)
        for sentence, names in about.items():
            found.append(f"{'all members' if len(names) == len(tables) else ', '.join(names)}: {sentence}")
    return found


def _of_all(column: str, own: Mapping[str, Floats]) -> str:
    """What to say of a column by all members' values together; else empty."""
    out = REMEDIES.says("exclude", f'["{column}"]')
    if constant := _constant(f"column '{column}'", own, "it only says whose a row is", f": {out}"):
        return constant
    every = np.concatenate(list(own.values()))
    if len(every) < ENOUGH or (every != np.floor(every)).any():
        return ""
    if len(np.unique(every)) == len(every) and np.ptp(every) < 2 * len(every):
        return f"column '{column}': it numbers the rows of all tables, and is no feature; take ids out: {out}"
    if _CALLED_ID.search(column) and all(len(np.unique(one)) == len(one) for one in own.values()):
        return f"column '{column}': it is called as ids are, and every row has its own value; take ids out: {out}"
    return ""


def _constant(what: str, own: Mapping[str, Floats], otherwise: str, out: str = "") -> str:
    """What to say where each member has one value in all its rows; else empty.  otherwise: where these differ; out: the
    remedy."""
    if sum(map(len, own.values())) < ENOUGH or any((one != one[0]).any() for one in own.values()):
        return ""
    if len({float(one[0]) for one in own.values()}) == 1:
        return f"{what}: all rows of all members have one value, and no model learns from it{out}"
    return f"{what}: each member has one value in all its rows, and {otherwise}{out}"


def _of_one(column: pd.Series, numbers: Floats, labels: Floats, classes: int) -> Iterator[str]:
    """Of one member's column, what a federation says of it."""
    name = str(column.name)
    told = values.no_amounts(name, numbers, REMEDIES) or values.far_out(name, numbers, REMEDIES)
    yield from filter(None, (told, _leak(name, [numbers], [labels], classes)))


def _leak(name: str, numbers: list[Floats], labels: list[Floats], classes: int) -> str:
    """What to say of a column that tells the label; else empty."""
    column = pd.Series(np.concatenate(numbers), name=name)
    return outcome.tells_label(column, np.concatenate(labels), classes, REMEDIES)
