"""Who calls, and whether they may: by a token, by the key of a browser that is signed in, or by a certificate."""

from __future__ import annotations

from typing import Annotated

import msgspec
from fastapi import Depends, HTTPException, Request, Response
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer

from vfl.job.node import RoleName
from vfl.node.http.access import Keys, User, Users
from vfl.node.http.part import Answer
from vfl.node.service import Service

BEARER = HTTPBearer(auto_error=False, description="a token of node.http.access; a certificate of it does as well")
Token = Annotated[HTTPAuthorizationCredentials | None, Depends(BEARER)]


def known(request: Request, token: Token) -> User:
    """Who calls, by a token or a certificate.  Raises HTTPException."""
    users: Users = request.app.state.users
    if token is not None:
        return _someone(users.find(token.credentials))
    der: bytes | None = getattr(request.state, "certificate", None)  # see server.py
    return _someone(None if der is None else users.certified(der))


def _someone(user: User | None) -> User:
    if user is None:
        raise HTTPException(401, "give a token of node.http.access", {"WWW-Authenticate": "Bearer"})
    return user


def may(request: Request, token: Token, role: RoleName) -> User:
    """Who calls, if they have a role.  Raises HTTPException."""
    own_page(request)
    keys: Keys = request.app.state.keys
    user = (None if token is None else keys.find(token.credentials)) or known(request, token)
    if role not in user.roles:
        raise HTTPException(403, f"the roles of {user.name} do not include '{role}'")
    return user


def own_page(request: Request) -> None:
    """Refuses what a page of another site makes a browser send, which would show the user's certificate.  Raises
    HTTPException."""
    origin = request.headers.get("origin")
    if request.method != "GET" and origin not in (None, f"{request.url.scheme}://{request.headers.get('host')}"):
        raise HTTPException(403, "a page of another site asked for it")


def may_read(request: Request, token: Token) -> User:
    return may(request, token, "read")


def is_reader(request: Request, token: Token) -> bool:
    """Whether they may read now."""
    try:
        may_read(request, token)
    except HTTPException:
        return False
    return True


def may_approve(request: Request, token: Token) -> User:
    return may(request, token, "approve")


Known = Annotated[User, Depends(known)]
Reader = Annotated[User, Depends(may_read)]
Approver = Annotated[User, Depends(may_approve)]


def service_of(request: Request) -> Service:
    service: Service = request.app.state.service
    return service


def said(answer: Answer) -> Response:
    return Response(msgspec.json.encode(answer), media_type="application/json", headers={"Cache-Control": "no-store"})
