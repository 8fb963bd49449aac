"""TLS 1.3 over one asyncio connection, by `ssl.MemoryBIO`: all reading and writing of one SSL object happens in the
loop's thread.

asyncio's own TLS transport is not used: it drops the alert of a failed handshake, so that a party whose certificate was refused
would only see a broken connection; and it gives no access to the connection while the handshake runs.  (docs/adr/0002-transport.md)
"""  # noqa: E501

from __future__ import annotations

import asyncio
import contextlib
import ssl
from collections.abc import Callable, Iterable
from typing import cast

from vfl.transport.identity import Identity

LINGER = 2.0  # seconds in which the last bytes of an ending connection may be read by the peer
NOT_OPEN = "its node does not run this job"
_HIGH_WATER = 1 << 20
_RECORD = 1 << 14  # bytes that one record of TLS holds
_REFUSED = ("CERTIFICATE", "UNKNOWN_CA", "DECRYPT_ERROR", "ACCESS_DENIED")


class _ServerSide(ssl.SSLObject):
    knock: str | None = None


def make_context(identity: Identity, pins: Iterable[bytes], server: bool) -> ssl.SSLContext:
    """TLS 1.3 and nothing else, both sides certified, trusting the certificates in `pins` (PEM) and no other."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER if server else ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False  # the certificate is compared, byte by byte, with the pin of the party
    context.verify_mode = ssl.CERT_REQUIRED
    context.minimum_version = context.maximum_version = ssl.TLSVersion.TLSv1_3
    context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    identity.show_to(context)
    context.load_verify_locations(cadata="".join(pem.decode("ascii") for pem in pins))
    if server:
        context.num_tickets = 0  # no resumption: every connection proves both certificates

        def remember(tls: ssl.SSLObject, name: str | None, _: ssl.SSLContext) -> None:
            if isinstance(tls, _ServerSide):
                tls.knock = name

        context.sslobject_class = _ServerSide
        context.sni_callback = remember
    return context


def certificate_refused(error: BaseException | None) -> str:
    """ "us" if `error` says that the peer refused this party's certificate, "them" if this party refused theirs, else
    ""."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return "them"
    reason = (error.reason or "") if isinstance(error, ssl.SSLError) else ""
    return "us" if "ALERT" in reason and any(word in reason for word in _REFUSED) else ""


def out_of_date(error: BaseException | None) -> bool:
    """Whether `error` says that the peer's certificate is not valid today."""
    return isinstance(error, ssl.SSLCertVerificationError) and error.verify_code in (9, 10)


def not_open(error: BaseException | None) -> bool:
    """Whether `error` says that the node at the other end has no process that waits for this session."""
    return isinstance(error, ssl.SSLError) and "UNRECOGNIZED_NAME" in (error.reason or "")


def explain(error: BaseException | None) -> str:
    """What went wrong in the handshake, in words that hold nothing of the peer's bytes."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return {9: "its certificate is not valid yet", 10: "its certificate has expired"}.get(
            error.verify_code, "its certificate is not pinned here"
        )
    reason = (error.reason or "") if isinstance(error, ssl.SSLError) else ""
    if "CERTIFICATE_EXPIRED" in reason:
        return "it says that this party's certificate has expired"
    if certificate_refused(error):
        return "it refuses this party's certificate"
    if "DID_NOT_RETURN" in reason:
        return "it presented no certificate"
    if not_open(error):
        return NOT_OPEN
    if isinstance(error, ssl.SSLError):
        return "it does not speak TLS 1.3"
    return "it closed the connection"


class TlsProtocol(asyncio.Protocol):
    """One connection.  Subclasses implement the three `on_` methods; everything runs in the loop's thread."""

    def __init__(self, context: ssl.SSLContext, *, knock: str | None) -> None:
        """`knock` is None at the side that was dialled."""
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._tls = context.wrap_bio(self._incoming, self._outgoing, server_side=knock is None, server_hostname=knock)
        self._buffer = memoryview(bytearray(1 << 18))
        self._transport: asyncio.Transport | None = None
        self._secured = self._finished = self._over = self._eof = self.paused = False
        self.gone = asyncio.get_running_loop().create_future()  # done when the socket is closed

    def on_secured(self, certificate: bytes) -> None:
        """The handshake is done; `certificate` is the peer's, in DER."""

    def on_data(self, data: memoryview) -> None:
        """Decrypted bytes; valid during the call only."""

    def on_over(self, error: Exception | None) -> None:
        """Nothing more will arrive; called once, unless this side called `finish` or `drop` before."""

    def on_resume(self) -> None:
        """The socket takes bytes again."""

    @property
    def knock(self) -> str | None:
        """The server name that the dialling side sent."""
        return getattr(self._tls, "knock", None)

    @property
    def connected(self) -> bool:
        """Whether there is, or was, a socket behind it."""
        return self._transport is not None

    @property
    def finished(self) -> bool:
        """Whether this side has ended the connection."""
        return self._finished

    def write(self, *parts: bytes | bytearray | memoryview) -> None:
        """Encrypts and sends `parts`, now."""
        if self._finished or self._over or self._transport is None:
            return
        if sum(map(len, parts)) <= _RECORD:
            parts = (b"".join(parts),)
        for part in parts:
            if part:
                self._tls.write(part)
        self._flush()

    def finish(self) -> None:
        """Ends this side after what was written, and leaves the peer `LINGER` seconds to read it."""
        if self._finished or self._transport is None:
            return
        with contextlib.suppress(ssl.SSLError):
            self._tls.unwrap()  # writes close_notify, then wants to read
        self._flush()
        self._finished = True
        if self._eof or self._transport.is_closing():
            self._transport.close()
            return
        with contextlib.suppress(OSError):
            self._transport.write_eof()
        self._later(LINGER, self.drop)

    def drop(self) -> None:
        """Ends the connection now."""
        self._finished = True
        if self._transport is not None:
            self._transport.abort()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        transport.set_write_buffer_limits(high=_HIGH_WATER)
        self._advance()

    def data_received(self, data: bytes) -> None:
        if (
            not self._finished
        ):  # else: read and forget, so that the peer gets no reset before it has read our last words
            self._incoming.write(data)
            self._advance()

    def eof_received(self) -> bool:
        self._eof = True
        self._end(None)
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        self._end(exc)
        if not self.gone.done():
            self.gone.set_result(None)

    def pause_writing(self) -> None:
        self.paused = True

    def resume_writing(self) -> None:
        self.paused = False
        if not self._finished:
            self.on_resume()

    def _advance(self) -> None:
        try:
            if not self._secured:
                self._tls.do_handshake()
                self._secured = True
                self._flush()
                self.on_secured(self._tls.getpeercert(True) or b"")
            while not self._finished:
                count = cast(int, self._tls.read(len(self._buffer), self._buffer))
                if not count:
                    self._end(None)  # the peer's close_notify
                    break
                self.on_data(self._buffer[:count])
        except ssl.SSLWantReadError:
            pass
        except ssl.SSLError as error:
            self._end(error)
            self.finish()
        self._flush()

    def _flush(self) -> None:
        if self._transport is not None and not self._finished and self._outgoing.pending:
            self._transport.write(self._outgoing.read())

    def _end(self, error: Exception | None) -> None:
        if not self._over:
            self._over = True
            if not self._finished:
                self.on_over(error)

    def _later(self, delay: float, what: Callable[[], None]) -> None:
        handle = asyncio.get_running_loop().call_later(delay, what)
        self.gone.add_done_callback(lambda _: handle.cancel())
