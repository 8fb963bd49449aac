"""The ledger of a run: one line for every message that left, chained and signed, never a content."""

from vfl.ledger.reading import LedgerBroken, LedgerCheck, read_ledger, summarise, verify_ledger
from vfl.ledger.writing import LedgerTap, LedgerWriter

__all__ = ["LedgerBroken", "LedgerCheck", "LedgerTap", "LedgerWriter", "read_ledger", "summarise", "verify_ledger"]
