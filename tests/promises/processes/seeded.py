"""`vfl run` with a given seed, for the test that compares bytes: python -m tests.promises.processes.seeded
SEED_HEX JOB PARTY.  No file, option or variable can do this."""

from __future__ import annotations

import sys

from protocols.session import Observer
from vfl.job import load_job, load_party
from vfl.run.train import prepare, run
from vfl.screen.errors import finish

if __name__ == "__main__":
    seed, job, party = sys.argv[1:]

    def take_part() -> None:
        folder = run(
            prepare(load_job(job), load_party(party)), Observer(), connect_timeout=60, seed=bytes.fromhex(seed)
        )
        print(f"report: {folder / 'report.json'}")

    finish(take_part)
