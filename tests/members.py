"""Members of an averaging and their aggregator as folders on this machine; they run a job as threads of one process."""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from protocols.channel import Tap
from protocols.session import Observer
from vfl.demo.run import free_ports
from vfl.job import MembersJob, Party, load_agreement, load_party
from vfl.job.setup import init_party, trust_peer
from vfl.job.starter import starter_members_job
from vfl.run.members.ready import prepare
from vfl.run.members.run import run

THREE = ("north", "south", "west")
SUM = "trustco"


def table(name: str, rows: int = 40) -> pd.DataFrame:
    """A member's table, always the same: ids, two columns and a label."""
    rng = np.random.default_rng([ord(c) for c in name])
    x = rng.normal(size=(rows, 2))
    ids = [f"{name}-{k}" for k in range(rows)]
    label = (x[:, 0] - 0.5 * x[:, 1] + rng.logistic(size=rows) > 0).astype(int)
    return pd.DataFrame({"id": ids, "age": 40 + 9 * x[:, 0], "limit": 1e3 + 3e2 * x[:, 1], "default": label})


@dataclass
class MemberFolders:
    """What `lay_out` wrote."""

    folder: Path
    tables: Mapping[str, pd.DataFrame]
    names: tuple[str, ...]
    ended: dict[str, Path | BaseException] = field(default_factory=dict)

    @property
    def job_file(self) -> Path:
        return self.folder / "job.toml"

    @property
    def job(self) -> MembersJob:
        found = load_agreement(self.job_file)
        assert isinstance(found, MembersJob)
        return found

    def file(self, name: str) -> Path:
        return self.folder / name / "party.toml"

    def party(self, name: str) -> Party:
        return load_party(self.file(name))

    def change(self, name: str, old: str, new: str) -> None:
        """Replaces a text in a party file."""
        text = self.file(name).read_text()
        assert old in text
        self.file(name).write_text(text.replace(old, new))

    def run(
        self,
        *,
        watches: Mapping[str, Observer] | None = None,
        taps: Mapping[str, Sequence[Tap]] | None = None,
        parties: Sequence[str] = (),
    ) -> dict[str, Path | BaseException]:
        """How each party ended: with its run's folder, or an error."""

        def party(name: str) -> None:
            try:
                ready = prepare(self.job, self.party(name))
                watch = (watches or {}).get(name, Observer())
                self.ended[name] = run(ready, watch, connect_timeout=20, taps=(taps or {}).get(name, ()))
            except BaseException as error:
                self.ended[name] = error

        self.ended = {}
        threads = [threading.Thread(target=party, args=(name,)) for name in parties or self.names]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(90)
        return self.ended

    def done(self, **given: Any) -> dict[str, Path]:
        """The same; all must have ended well."""
        found = self.run(**given)
        for error in found.values():
            if isinstance(error, BaseException):
                raise error
        return {name: folder for name, folder in found.items() if isinstance(folder, Path)}


def lay_out(folder: Path, members: Sequence[str] = THREE, reconnect: int = 0, **job: Any) -> MemberFolders:
    """Writes folders, certificates, tables and a job.  reconnect: seconds; job: as of `starter_members_job`."""
    names, port = (*members, SUM), f"127.0.0.1:{free_ports(1)[0]}"
    tables = {name: table(name, 40 + 5 * k) for k, name in enumerate(members)}
    allow = ("averages-to-parties", "updates-to-other-member") if len(members) == 2 else None
    for name in names:
        more: dict[str, Any] = {"listen": port} if name == SUM else {}
        init_party(folder / name, "arbiter" if name == SUM else "member", name, kind="averaging", allow=allow, **more)
        file = folder / name / "party.toml"
        given = f'directory = "runs"\nreconnect_seconds = {reconnect}'
        file.write_text(file.read_text().replace('directory = "runs"', given))
        if name != SUM:
            tables[name].to_csv(folder / name / "customers.csv", index=False)
    for name in names:
        for other in names:
            if name != other:
                trust_peer(folder / name, folder / other / "identity" / "cert.pem", port if other == SUM else None)
    (folder / "job.toml").write_text(starter_members_job(members=members, arbiter=SUM, **{"rounds": 2} | job))
    return MemberFolders(folder, tables, names)
