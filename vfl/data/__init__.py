"""A party's table: where it is read, how its ids are compared, how it is checked and split."""

from vfl.data.checked import table_from_frame
from vfl.data.keys import KeyLists, key_lists, keys_of, rules, split_folds, split_rows
from vfl.data.labels import Objective
from vfl.data.schema import Schema, Settings
from vfl.data.source import read_source
from vfl.data.table import Table

__all__ = [
    "KeyLists",
    "Objective",
    "Schema",
    "Settings",
    "Table",
    "key_lists",
    "keys_of",
    "read_source",
    "rules",
    "split_folds",
    "split_rows",
    "table_from_frame",
]
