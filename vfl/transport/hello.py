"""The greeting inside TLS: is this the party, the job and the version that were agreed?

A hello names the release too, and the command.  Two releases may run one job together; where the job differs, the
release is the first thing to compare, because a job's digest covers the defaults of whatever its file leaves out.

Both sides send HELLO, check the other's, and answer WELCOME or REFUSE with a reason from a closed list, so that both
sides end with the same explanation.  The *knock* goes before it, in the TLS ClientHello: it proves that a caller knows
this session, says which party it claims to be, and tells nothing to anybody else.  It authenticates nothing: see
`switchboard` for the one thing that it decides.
"""

from __future__ import annotations

import enum
import hashlib
import hmac
import time
import uuid
from collections.abc import Iterable
from typing import Annotated, Literal, TypeAlias

import msgspec

from protocols.errors import Cause, HandshakeFailed, PeerAborted
from vfl.transport.identity import PARTY_NAME
from vfl.version import __version__

VERSION = 5  # 2: without the release; 3: ABORT with a code and one party; 4: without the command
NONCE = 16
KNOCK_SECONDS = 600
RELEASE = r"^[0-9][0-9A-Za-z.+-]{0,31}\Z"
_Name = Annotated[str, msgspec.Meta(pattern=f"^{PARTY_NAME.pattern}\\Z")]


# what a party is started for; "" where it is no command of ours
Command: TypeAlias = Literal["", "run", "prepare", "align", "predict", "score", "check of run", "check of align"]


class Hello(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a party says of itself."""

    version: int
    name: _Name
    role: _Name
    session: Annotated[bytes, msgspec.Meta(min_length=32, max_length=32)]
    nonce: Annotated[bytes, msgspec.Meta(min_length=NONCE, max_length=NONCE)]  # new for each connection: see `seal`
    release: Annotated[str, msgspec.Meta(pattern=RELEASE)] = __version__
    command: Command = ""


class _AnyHello(msgspec.Struct, frozen=True):
    """A hello of any version."""

    version: int


class Reason(enum.StrEnum):
    """Why a greeting is refused."""

    MALFORMED = "malformed"
    VERSION = "version"
    CERTIFICATE = "certificate"
    NAME = "name"
    ROLE = "role"
    COMMAND = "command"
    SESSION = "session"
    RELEASE = "release"
    DUPLICATE = "duplicate"
    STOPPED = "stopped"


# reason: (what differs, what to do), for both sides alike
_TEXTS = {
    Reason.MALFORMED: ("what was said is no greeting", "Install the same version of this engine at both parties"),
    Reason.VERSION: ("the transport's version differs", "Install the same version of this engine at both parties"),
    Reason.CERTIFICATE: (
        "the certificate is not the one that was pinned",
        "Compare the fingerprints by phone, and pin at both parties the certificate that the other really uses",
    ),
    Reason.NAME: (
        "another party was expected",
        "Check that the address leads to the right party, and that each name has its own certificate in the "
        "party files",
    ),
    Reason.ROLE: ("the role differs", "Check `role` in the party files against [parties] in the job file"),
    Reason.COMMAND: ("the commands differ", "Give the same command at every party"),
    Reason.SESSION: (
        "the job differs",
        "Compare `vfl job digest job.toml` at both parties and use the same file",
    ),
    Reason.RELEASE: (
        "the job differs, and so does the release",
        "Install the same release at both parties: what a job file leaves out has the default of the "
        "release. If the job still differs, compare "
        "`vfl job digest job.toml` at both parties",
    ),
    Reason.STOPPED: ("the run has failed there already", "Read the message there, and start all parties again"),
    Reason.DUPLICATE: ("a party of this name is already connected", "End the other process that runs as this party"),
}


def nonce() -> bytes:
    """A new nonce: no secret to the two ends, and never the same twice."""
    return uuid.uuid4().bytes


def encode(mine: Hello) -> bytes:
    """The payload of HELLO."""
    return msgspec.msgpack.encode(mine)


def read_hello(payload: bytes | bytearray, version: int) -> Hello | Reason:
    """The peer's hello, or why it cannot be read by a party of this `version`."""
    try:
        if msgspec.msgpack.decode(payload, type=_AnyHello).version != version:
            return Reason.VERSION
        return msgspec.msgpack.decode(payload, type=Hello)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return Reason.MALFORMED


def read_reason(payload: bytes | bytearray) -> Reason:
    """The reason in a REFUSE frame; an unknown one, of a later version, is a difference of versions."""
    try:
        return Reason(payload.decode("ascii", "replace"))
    except ValueError:
        return Reason.VERSION


def compare(theirs: Hello, name: str, role: str, mine: Hello) -> tuple[Reason, str, str] | None:
    """(what differs, expected, found) between `theirs` and the party that the certificate belongs to; None if nothing
    does."""
    if theirs.name != name:
        return Reason.NAME, name, "another name"
    if theirs.role != role:
        return Reason.ROLE, role, theirs.role
    if not hmac.compare_digest(theirs.session, mine.session):
        if theirs.command != mine.command:
            return Reason.COMMAND, mine.command, theirs.command
        if theirs.release != mine.release:
            return Reason.RELEASE, mine.release, theirs.release
        return Reason.SESSION, mine.session[:6].hex(), theirs.session[:6].hex()
    return None


def refused_by_us(peer: str, reason: Reason, expected: object = None, found: object = None) -> HandshakeFailed:
    """This party's error when it refuses `peer`."""
    what, remedy = _TEXTS[reason]
    if reason is Reason.RELEASE:
        what, expected, found = f"{what}: {peer} runs release {found}, this party runs {expected}", None, None
    if reason is Reason.COMMAND:
        what = f"{what}: {peer} gave {_typed(found)}, this party {_typed(expected)}"
        expected, found = None, None
    return HandshakeFailed(
        f"{peer} was refused: {what}", remedy=remedy, party=peer, expected=expected, found=found, about=reason.value
    )


def _typed(command: object) -> str:
    """A command as it is typed."""
    return "vfl check --connect" if str(command).startswith("check") else f"vfl {command}"


def refused_by_them(peer: str, reason: Reason) -> HandshakeFailed | PeerAborted:
    """This party's error when `peer` refuses it."""
    if reason is Reason.STOPPED:
        return PeerAborted(Cause("ended", peer))
    what, remedy = _TEXTS[reason]
    return HandshakeFailed(f"{peer} refused this party: {what}", remedy=remedy, party=peer, about=reason.value)


def differs(cause: Cause) -> tuple[str, str] | None:
    """(what, remedy) where the cause is that two others refused each other for a known reason."""
    reason = next((r for r in _TEXTS if r.value == cause.about), None)
    return None if reason is None or cause.code != HandshakeFailed.code else _TEXTS[reason]


def knock(name: str, session: bytes) -> str:
    """What `name` puts in the server-name field of its ClientHello: random to all who do not know the session."""
    random = uuid.uuid4().hex  # no secret: it crosses in the clear
    return f"k{random}.k{_mark(name, session, random, _period())}"


def name_key(caller: bytes, listener: bytes, named: str) -> bytes:
    """In place of a session, for a knock by which a node knows a partner that has another file of a job: whoever has
    both certificates (in DER) and the job's name can make it."""
    parts = [hashlib.sha256(one).digest() for one in (caller, listener, named.encode())]
    return hashlib.sha256(b"vfl knock by name\n" + b"".join(parts)).digest()


def who_knocks(text: str | None, names: Iterable[str], session: bytes) -> str | None:
    """Which of `names` the knock claims, if it was made for this session and within `KNOCK_SECONDS` of now: one that
    was overheard is soon worthless."""
    if text is None:
        return None
    random, _, mark = text.partition(".k")
    for name in names:
        for period in (_period(), _period() - 1, _period() + 1):
            if hmac.compare_digest(_mark(name, session, random[1:], period).encode(), mark.encode()):
                return name
    return None


def _period() -> int:
    return int(time.time()) // KNOCK_SECONDS


def _mark(name: str, session: bytes, random: str, period: int) -> str:
    return hmac.digest(session, f"vfl knock 2 {random} {period} {name}".encode(), hashlib.sha256)[:16].hex()
