"""Serves the local face, in a thread of its own, so that a slow reader delays no partner."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
import threading
from collections.abc import AsyncIterator
from typing import Any

import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol

from protocols.errors import ConfigError
from vfl.job.node import Http
from vfl.node.http.access import Users
from vfl.node.http.app import make_app
from vfl.node.service import Service
from vfl.transport.peers import open_listener

MOST = 64  # requests at once


class _Certified(H11Protocol):
    """Adds the certificate that a caller has shown, if any, to the state of its requests."""

    def connection_made(self, transport: Any) -> None:
        super().connection_made(transport)
        inside = transport.get_extra_info("ssl_object")
        self.app_state = {**self.app_state, "certificate": None if inside is None else inside.getpeercert(True)}


class _Server(uvicorn.Server):
    """Lets go of what its application has opened in its loop."""

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        await super().shutdown(sockets)
        for lines in self.config.app.state.lines.values():  # type: ignore[union-attr]
            await lines.close()


@contextlib.asynccontextmanager
async def face(service: Service, http: Http) -> AsyncIterator[None]:
    """The face answers inside.  Raises ConfigError, ListenFailed."""
    users = Users(http.access)
    app = make_app(service, users)
    config = uvicorn.Config(
        app,
        http=_Certified,
        ws="none",
        log_config=None,
        access_log=False,
        server_header=False,
        lifespan="off",
        limit_concurrency=MOST,
        timeout_keep_alive=5,
        timeout_graceful_shutdown=3,
        h11_max_incomplete_event_size=16 << 10,
        ssl_certfile=http.certificate,
        ssl_keyfile=http.key,
    )
    try:
        config.load()
    except (OSError, ssl.SSLError) as error:
        raise ConfigError(
            f"node.http.certificate and node.http.key cannot be used ({error.strerror})",
            remedy="Name a certificate and the key that belongs to it",
        ) from None
    if config.ssl is not None:
        config.ssl.minimum_version = ssl.TLSVersion.TLSv1_2
        if users.certificates:
            config.ssl.load_verify_locations(cadata=users.certificates)
            config.ssl.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN  # each is trusted by itself
            config.ssl.verify_mode = ssl.CERT_OPTIONAL
    listener = open_listener(http.listen)
    server = _Server(config)
    thread = threading.Thread(target=server.run, args=([listener],), name="vfl node, local face", daemon=True)
    thread.start()
    try:
        while thread.is_alive() and not server.started:
            await asyncio.sleep(0.01)
        yield
    finally:
        app.state.ends.set()
        server.should_exit = True
        await asyncio.to_thread(thread.join)
        listener.close()
