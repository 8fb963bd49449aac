"""A run by the name of its folder."""

from __future__ import annotations

from typing import Annotated

from fastapi import HTTPException, Path

from vfl.node.service import Service
from vfl.storage.runs import Listed, listed

RunName = Annotated[
    str, Path(pattern="^[A-Za-z0-9][A-Za-z0-9._+-]{0,200}$", description="the name of the run's folder")
]


def run_of(service: Service, name: str) -> Listed:
    """By its name in the list, so that no name is a path.  Raises HTTPException."""
    found = [one for one in listed(service.party.run.directory) if one.folder.rpartition("/")[2] == name]
    if not found:
        raise HTTPException(404, "there is no such run")
    return found[0]
