"""Ids: from a table's key columns to canonical bytes that compare equal at every party, and the split that they decide.

Messages name columns and row numbers (the first data row is 1, a header is not counted), never a value.
"""

from __future__ import annotations

import hashlib
import io
from collections.abc import Iterable, Iterator, Mapping, Sequence
from fractions import Fraction

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from protocols.errors import ConfigError
from protocols.ids import Ids
from vfl.data.normalise import Normaliser, UnknownNormaliserError, normaliser
from vfl.data.shapes import Profile, Shapes
from vfl.data.texts import bad_ids, encodes, plain_texts, say_rows

Rows = NDArray[np.int64]
MAX_ID_BYTES, NUL = 10_000, "\0"
HEADER = 4  # bytes of a text's length in front of it
_BLOCK = 1 << 15  # rows put together at a time


KeyLists = tuple[tuple[str, ...], ...]


def key_lists(keys: Sequence[str] | Sequence[Sequence[str]]) -> KeyLists:
    """The columns of each key: of the one key that a list of names is, or of each in a list of such lists.  Raises
    ConfigError."""
    lists = [(key,) if isinstance(key, str) else key for key in keys] if isinstance(keys, Sequence) else [None]
    if not all(isinstance(key, Sequence) and all(isinstance(name, str) for name in key) for key in lists):
        raise ConfigError(
            "on is neither a name nor a list of names", remedy='Name the id column, such as on="customer_id"'
        )
    if all(isinstance(key, str) for key in keys):
        return (tuple(str(key) for key in keys),)
    return tuple(tuple(key or ()) for key in lists)


def rules(keys: KeyLists, normalise: str | Mapping[str, str]) -> dict[str, str]:
    """The normaliser of each key column; normalise: one for all, or by column ("text" where there is none).  Raises
    ConfigError."""
    columns = [column for key in keys for column in key]
    if not columns or not all(keys):
        raise ConfigError("on names no column", remedy='Name the id column, such as on="customer_id"')
    if isinstance(normalise, str):
        normalise = dict.fromkeys(columns, normalise)
    if not isinstance(normalise, Mapping):
        raise ConfigError(
            "normalise is neither a text nor a mapping",
            remedy='Pass one normaliser, such as "digits", or one by column',
        )
    if unused := [column for column in normalise if column not in columns]:
        raise ConfigError(
            f"normalise names '{unused[0]}', which is no key column", remedy="Remove it, or add it to the key"
        )
    for column, name in normalise.items():
        try:
            normaliser(name)
        except UnknownNormaliserError as error:
            raise ConfigError(f"normalise of '{column}' is '{name}', which {error.what}", remedy=error.remedy) from None
    return {column: normalise.get(column, "text") for column in columns}


def keys_of(
    frame: pd.DataFrame,
    party: str,
    keys: Sequence[Sequence[str]],
    normalise: Mapping[str, str],
    duplicates: str,
    profile: Profile | None = None,
) -> tuple[tuple[Ids, ...], Rows]:
    """The ids under each key, tried in this order, and the rows (from 0) of `frame` that they belong to.

    One key: every row must have a value.  Several: a row without a value in a column of one key takes no part in that
    key; without one in all keys it is an error.  duplicates: "error", or "first" to keep, key by key, the first of the
    rows that share an id.  profile: gets the shapes of each column's values.
    """
    found = [canonical_ids(frame, party, columns, normalise, nulls=len(keys) > 1, profile=profile) for columns in keys]
    return kept_of(found, party, keys, duplicates)


def kept_of(
    ids: Sequence[Ids], party: str, keys: Sequence[Sequence[str]], duplicates: str
) -> tuple[tuple[Ids, ...], Rows]:
    """As `keys_of`, of the canonical ids of all rows under each key."""
    found, rows = list(ids), len(ids[0])
    alone = ~np.logical_or.reduce([ids.present for ids in found])
    if alone.any():
        used = list(dict.fromkeys(c for key in keys for c in key))
        told = say_rows(np.flatnonzero(alone) + 1)
        raise bad_ids(party, used, f"hold no complete key in {told}", "Give each row at least one key, or remove it")
    kept = np.arange(rows, dtype=np.int64)
    for number, columns in enumerate(keys):
        if (again := first_of_each(found[number], party, columns, duplicates, kept)) is not None:
            kept, found = kept[again], [ids.take(again) for ids in found]
    return tuple(found), kept


def canonical_ids(
    frame: pd.DataFrame,
    party: str,
    keys: Sequence[str],
    normalise: Mapping[str, str],
    *,
    nulls: bool = False,
    profile: Profile | None = None,
) -> Ids:
    """One canonical id per row: every key column's normalised text in UTF-8, each after its length in 4 bytes
    (big-endian).

    Whole numbers are written without a decimal point, also where the column is of floats or decimals.  nulls: a row
    with an empty value has an empty id; otherwise that is an error.  profile: gets the shapes of each column.
    Raises DataError: empty or null ids, values that the normaliser cannot read, mixed types, types that are no id, ids
    above 10,000 bytes.
    """
    alone, columns = len(keys) == 1, list[Ids]()
    for key in keys:
        shapes = None if profile is None else profile.setdefault(key, Shapes())
        how = normaliser(normalise.get(key, "text"))
        columns.append(_texts(frame[key], party, key, how, nulls, shapes, headed=alone))
    long = _long(columns, HEADER if alone else 0)
    if len(long):
        rows = say_rows(long + 1)
        raise bad_ids(party, keys, f"has ids longer than {MAX_ID_BYTES:,} bytes: {rows}", "Is this the id column?")
    if alone:
        return columns[0]
    present = np.logical_and.reduce([column.present for column in columns])
    if present.all():
        return _composed(columns)
    return _spread(_composed([column.take(np.flatnonzero(present)) for column in columns]), present)


def canonical_id(values: Sequence[str], party: str, keys: Sequence[str], normalise: Mapping[str, str]) -> bytes:
    """The id of one row, by the texts in its key columns: what `canonical_ids` makes of a table of this row.  Raises
    DataError."""
    row, texts = np.ones(1, np.int64), list[bytes]()
    for key, value in zip(keys, values, strict=True):
        how = normaliser(normalise.get(key, "text"))
        ((text,),) = _normalised([[value]], row, party, key, how, False, None)
        texts.append(text)
    if sum(map(len, texts)) + (HEADER * len(texts) if len(texts) > 1 else 0) > MAX_ID_BYTES:
        raise bad_ids(party, keys, f"has an id longer than {MAX_ID_BYTES:,} bytes", "Is this the id column?")
    return b"".join(map(_headed, texts))


def _long(columns: Sequence[Ids], header: int) -> Rows:
    """The rows (from 0) whose texts are too long together; header: bytes that each has in addition."""
    found, rows = list[Rows](), len(columns[0])
    for start in range(0, rows, _BLOCK):
        lengths = sum(np.diff(column.ends(slice(start, start + _BLOCK))) for column in columns)
        found.append(np.flatnonzero(lengths > MAX_ID_BYTES + header) + start)
    return np.concatenate(found) if found else np.zeros(0, np.int64)


def _spread(ids: Ids, present: NDArray[np.bool_]) -> Ids:
    """`ids` at the rows that are `present`, nothing at the others."""
    lengths = np.zeros(len(present), np.int64)
    lengths[present] = ids.lengths
    return Ids(ids.data, np.concatenate([np.zeros(1, np.int64), np.cumsum(lengths)]))


def _composed(columns: Sequence[Ids]) -> Ids:
    """Length and text of each column, row by row: a text of headers and texts in turn, each written where it
    belongs."""
    rows, data = len(columns[0]), io.BytesIO()
    offsets = np.zeros(rows + 1, np.int64)
    for start in range(0, rows, _BLOCK):
        block = slice(start, min(start + _BLOCK, rows))
        texts = [np.diff(column.ends(block)) for column in columns]
        lengths = np.column_stack([part for text in texts for part in (np.full(len(text), 4, np.int64), text)])
        place = np.repeat(np.tile(np.arange(lengths.shape[1], dtype=np.uint8), len(lengths)), lengths.ravel())
        out = np.empty(len(place), np.uint8)
        for number, column in enumerate(columns):
            out[place == 2 * number] = texts[number].astype(">u4").view(np.uint8)
            out[place == 2 * number + 1] = column.bytes_of(block)
        data.write(out.tobytes())
        offsets[start + 1 : block.stop + 1] = lengths.sum(axis=1)
    return Ids(data.getvalue(), np.cumsum(offsets, out=offsets))


def first_of_each(ids: Ids, party: str, keys: Sequence[str], duplicates: str, numbers: Rows) -> Rows | None:
    """The rows (from 0) to keep, None for all; DataError if ids repeat and `duplicates` is "error".  numbers: the row
    of the table, from 0, of each."""
    repeats = ids.repeats()
    if not repeats.any():
        return None
    if duplicates == "error":
        rows = numbers[repeats] + 1
        raise bad_ids(
            party,
            keys,
            f"repeats ids: {len(rows)} {'row carries' if len(rows) == 1 else 'rows carry'} an id that an earlier row "
            f"has, after normalising: {say_rows(rows)}",
            'Remove them, or agree on duplicates = "first", which keeps the first row of each id',
        )
    return np.flatnonzero(~repeats).astype(np.int64)


def split_rows(ids: Sequence[bytes], fraction: float, seed: int) -> NDArray[np.bool_]:
    """(n,) True = held out: BLAKE2b of the canonical id, keyed by the seed, below `fraction`; the same at every party,
    in any order.

    fraction in [0, 1]; seed in [0, 2^63).
    """
    base = hashlib.blake2b(key=seed.to_bytes(8, "big"), digest_size=8, person=b"vfl split 1")
    limit = int(Fraction(fraction) * 2**64)
    held = np.zeros(len(ids), np.bool_)
    for row, value in enumerate(ids):
        keyed = base.copy()
        keyed.update(value)
        held[row] = int.from_bytes(keyed.digest(), "big") < limit
    return held


def split_folds(ids: Sequence[bytes], folds: int, seed: int) -> NDArray[np.int64]:
    """(n,) the fold of each row, from 0: BLAKE2b of the canonical id, keyed by the seed, in `folds` equal ranges; the
    same at every party, in any order.

    Independent of `split_rows`.  Folds are of about one size.
    """
    base = hashlib.blake2b(key=seed.to_bytes(8, "big"), digest_size=8, person=b"vfl folds 1")
    found = np.zeros(len(ids), np.int64)
    for row, value in enumerate(ids):
        keyed = base.copy()
        keyed.update(value)
        found[row] = int.from_bytes(keyed.digest(), "big") * folds >> 64
    return found


def _texts(
    column: pd.Series, party: str, key: str, how: Normaliser, nulls: bool, shapes: Shapes | None, *, headed: bool
) -> Ids:
    """The normalised UTF-8 texts of one key column; with `nulls`, empty where the value is; headed: each after its
    length, which is all of an id of one column."""
    null = column.isna().to_numpy(np.bool_)
    if null.any() and not nulls:
        raise bad_ids(
            party,
            [key],
            f"is empty in {say_rows(np.flatnonzero(null) + 1)}",
            "Give an id to each row, or remove the row",
        )
    some = bool(null.any())
    present, numbers = (column[~null], np.flatnonzero(~null)) if some else (column, np.arange(len(column)))
    np.add(numbers, 1, out=numbers)
    values = plain_texts(present, numbers, party, key, dates=how.name.startswith("date"))
    chunks = _normalised(values, numbers, party, key, how, nulls, shapes)
    texts = Ids.joined([_headed(text) for text in chunk] for chunk in chunks) if headed else Ids.joined(chunks)
    return _spread(texts, ~null) if some else texts


def _headed(text: bytes) -> bytes:
    return len(text).to_bytes(HEADER, "big") + text if text else text


def _normalised(
    chunks: Iterable[list[str]],
    numbers: Rows,
    party: str,
    key: str,
    how: Normaliser,
    nulls: bool,
    shapes: Shapes | None,
) -> Iterator[list[bytes]]:
    """Chunks of texts, normalised; errors are reported after the last chunk, for all rows at once.  numbers: the rows'
    numbers, for messages; shapes: counts them."""
    wrong: dict[tuple[str, str], list[int]] = {}

    def note(what: str, remedy: str, rows: list[int]) -> None:
        if rows:
            wrong.setdefault((what, remedy), []).extend(numbers[done + np.array(rows)].tolist())

    done = 0
    for values in chunks:
        if shapes is not None:
            shapes.add(values, numbers[done : done + len(values)])
        if how.spoilt is not None:
            note(
                f"has texts like '12.0', '-12' or '1.2E+07' in {{rows}}: \"{how.name}\" would turn them into other ids",
                "Store ids as text or whole numbers, not as decimals; a spreadsheet that shows 1.2E+07 has lost digits",
                [row for row, v in enumerate(values) if how.spoilt(v)],
            )
        if any(NUL in v for v in values):
            note(
                "holds the character NUL in {rows}",
                "The file is damaged, or is not text: repair it",
                [row for row, v in enumerate(values) if NUL in v],
            )
        try:
            texts = how.many(values)
        except UnicodeEncodeError:
            note(
                "is not valid Unicode in {rows}",
                "Store the table as UTF-8",
                [row for row, v in enumerate(values) if not encodes(v)],
            )
            texts = [b"?"] * len(values)
        if None in texts or b"" in texts:
            bad = [row for row, t in enumerate(texts) if not t]
            blank = {row for row in bad if not values[row].strip()}
            if not nulls:
                note("is empty in {rows}", "Give an id to each row, or remove the row", sorted(blank))
            note(how.invalid + " in {rows}", how.remedy, [row for row in bad if row not in blank])
        yield [t or b"" for t in texts]
        done += len(values)
    for (what, remedy), rows in wrong.items():
        raise bad_ids(party, [key], what.format(rows=say_rows(rows)), remedy)
