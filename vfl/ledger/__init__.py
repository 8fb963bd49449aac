"""The ledger of a run: one line for every message that left or came, chained and signed, never a content."""

from vfl.ledger.continuing import continued
from vfl.ledger.reading import LedgerBroken, LedgerCheck, read_ledger, run_of, summarise, verify_ledger
from vfl.ledger.reconciling import Reconciled, partners_signed, reconcile
from vfl.ledger.witness import Signed, Witness, signatures
from vfl.ledger.writing import Approval, LedgerTap, LedgerWriter

__all__ = [
    "Approval",
    "LedgerBroken",
    "LedgerCheck",
    "LedgerTap",
    "LedgerWriter",
    "Reconciled",
    "Signed",
    "Witness",
    "continued",
    "partners_signed",
    "read_ledger",
    "reconcile",
    "run_of",
    "signatures",
    "summarise",
    "verify_ledger",
]
