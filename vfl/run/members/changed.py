"""Whether a member's table has changed by so few rows since an earlier run that the sums of both would tell these rows.

Every averaging opens exact sums of columns over the training rows of all members, and where rows are held out means of
measures on these, which the same model gives.  If nothing else has changed, the
difference of two runs is the difference of this member's rows.  So a member keeps a keyed hash of each row of which a
sum was opened, and asks of all linear combinations of its tables in which the rows of the others cancel: each involves
no row, or at least `policy.min_changed_rows`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from math import comb

import numpy as np
from numpy.typing import NDArray

from protocols.averaging.cohorts import fewest_involved
from protocols.errors import DisclosureRefused
from vfl.job import Party
from vfl.run.budget.disclosed import AGREES

BYTES = 8  # of a row's hash
MOST_COMBINATIONS = 20_000  # that are tried; more tables than need so many are refused
OTHERS = np.int64(1) << 40  # rows of the other members, which are in every sum
Floats = NDArray[np.float64]
Columns = tuple[str, ...]


def hashed(rows: Floats, key: bytes) -> bytes:
    """The hashes of rows (n, columns), sorted.  Of equal rows each has its own."""
    seen, found = dict[bytes, int](), list[bytes]()
    for row in np.ascontiguousarray(rows + 0.0):  # 0.0 for -0.0
        content = row.tobytes()
        seen[content] = number = seen.get(content, 0) + 1
        found.append(hashlib.blake2b(content + number.to_bytes(8, "big"), key=key, digest_size=BYTES).digest())
    return b"".join(sorted(found))


def fewest_changed(tables: Sequence[bytes]) -> int | None:
    """The fewest rows that a combination of sums over these tables involves, in which the other members' rows cancel;
    None of one table alone, or if there are more combinations than can be tried."""
    distinct = [np.frombuffer(rows, f">u{BYTES}") for rows in dict.fromkeys(tables)]
    if len(distinct) < 2:
        return None
    every = np.unique(np.concatenate(distinct))
    inside = np.stack([np.isin(every, rows, assume_unique=True) for rows in distinct])
    histories, counts = np.unique(inside, axis=1, return_counts=True)
    histories = np.column_stack([histories, np.ones(len(distinct), np.bool_)])  # the others' rows
    counts = np.append(counts, OTHERS)
    if comb(histories.shape[1], len(distinct) - 1) > MOST_COMBINATIONS:
        return 0
    return fewest_involved(histories, counts.astype(np.int64))


def check(
    party: Party,
    known: Mapping[Columns, Sequence[bytes]],
    key: bytes,
    rows_of: Callable[[Columns], Floats],
    part: str,
) -> int | None:
    """Raises DisclosureRefused where too few rows have changed; known: by columns, the tables of earlier runs; rows_of:
    the rows of this run's part, of these columns.  Returns the fewest that a combination involves, None where
    the tables are the same, or none is known."""
    least, floor = None, party.policy.min_changed_rows
    for columns, tables in known.items():
        found = fewest_changed([*tables, hashed(rows_of(columns), key)])
        if found is not None and found < floor:
            raise refused(party, found, part)
        least = found if least is None or (found is not None and found < least) else least
    return least


def refused(party: Party, rows: int, part: str) -> DisclosureRefused:
    """A table that changed by so few rows."""
    floor = party.policy.min_changed_rows
    plural = "s" if rows > 1 else ""
    told = f"would tell the sum over {rows} {part} row{plural}" if rows else "cannot be compared: there are too many"
    return DisclosureRefused(
        f"{party.name}: its table has changed since an earlier run of these columns, and the sums of its runs together "
        f"{told}; policy.min_changed_rows is {floor}",
        remedy=f"Use the table of the earlier run, or one that differs in {floor} rows or more, agree on noise "
        f'([privacy] unit = "row"){AGREES} let policy.sums_days end the comparison',
        party=party.name,
        about="policy.min_changed_rows",
    )
