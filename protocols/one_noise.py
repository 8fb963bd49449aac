"""What carries noise is revealed once in a run: the mean over many draws would be the number without noise."""

from __future__ import annotations

import hashlib

from protocols.errors import LocalProtocolError
from protocols.session import Session


def reveal_once(session: Session, what: str, content: bytes) -> None:
    """Stores what is computed with noise before any of it leaves; what: the same name for what has the same numbers.
    Whatever the parties draw when a run resumes, nothing else is revealed under that name.  Raises
    LocalProtocolError."""
    name = what.encode()
    every, this = (hashlib.sha256(b"vfl noise|" + text).digest() for text in (name, name + b"|" + content))
    if session.course.is_spent(every) and not session.course.is_spent(this):
        raise LocalProtocolError(
            f"{what} would be revealed again under other noise; nothing was sent",
            remedy="A party repeats this run with other numbers than before: start all parties again with --fresh, as "
            "another run, which counts",
            party=session.me,
        )
    session.course.spend(this)
    session.course.spend(every)
