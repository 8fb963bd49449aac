"""The node's side of publications: keeps the process of each running, and ends those that are withdrawn."""

from __future__ import annotations

import logging
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from vfl.node.online.publications import Publications, Published, published
from vfl.node.processes import Processes

log = logging.getLogger("vfl.node")
LONGEST_PAUSE = 60.0  # seconds between the end of a process and the next one


class Keeper:
    """Of one node's folder."""

    def __init__(self, folder: Path, command: Sequence[str]) -> None:
        self.publications = Publications(folder)
        self.processes = Processes(self.publications.folder, command)
        self._tries: dict[str, tuple[int, float]] = {}  # by digest, processes started, and when the last one was
        self._failed: dict[str, float] = {}  # by digest, of which request a process has failed for good
        self._stopped: set[str] = set()

    def round(self) -> None:
        """Starts and stops what there is to be.  Raises ConfigError."""
        offered = {one.digest: one for one in self.publications.all()}
        for digest, one in offered.items():
            if self.processes.lives(digest) or self._failed.get(digest) == one.asked:
                continue
            if self._failed.pop(digest, None) is not None:  # it was asked for again
                self._tries.pop(digest, None)
            tries, last = self._tries.get(digest, (0, 0.0))
            if tries and not self.processes.end(digest).again:
                self._failed[digest] = one.asked
                log.error("the publication of %s has ended: %s", one.job, self.processes.end(digest).message)
                continue
            if time.monotonic() - last < min(LONGEST_PAUSE, 2.0**tries - 1):
                continue
            self._tries[digest] = tries + 1, time.monotonic()
            if self.processes.start(digest):
                log.info("the publication of %s runs, given by %s", one.job, one.by)
        self._stopped -= offered.keys()
        for digest in {path.stem for path in self.publications.folder.glob("processes/*.lock")} - offered.keys():
            self._tries.pop(digest, None)
            if digest not in self._stopped and self.processes.lives(digest):
                self._stopped.add(digest)
                self.processes.stop(digest)

    def told(self) -> list[Published]:
        """What is published."""
        return reported(self.publications, self.processes)


def reported(publications: Publications, processes: Processes) -> list[Published]:
    """What is published, whoever runs it."""
    return [published(publications, one, runs=processes.lives(one.digest)) for one in publications.all()]


def command_of(party_file: Path) -> list[str]:
    """What starts the process of a publication of this party."""
    return [sys.executable, "-m", "vfl.node.online.process", str(party_file)]
