"""How much memory a regression over a long table takes: three processes, rows that are aligned already.

    python -m benchmarks.long [--rows N] [--iterations N] [--bits N] [--direct] [--out FILE]

Printed and written by party: peak memory, of which before the first iteration, seconds and CPU seconds per iteration,
bytes sent per row and iteration.  --bits 0: nothing is encrypted, so that what is left is the party's own table and
the look-ups.  A vector of ciphertexts that stands whole would take 2 * bits / 8 bytes per row.  --direct: iterations
are not prepared.
"""

from __future__ import annotations

import argparse
import json
import resource
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.parties import ROLES, Clock, play, together

GUEST_COLUMNS, HOST_COLUMNS, BLOCK = 2, 10, 1 << 16


def columns(rows: int, party: str) -> np.ndarray[Any, np.dtype[np.float64]]:
    """A party's own columns; the guest's last one is the label.  Made in blocks, so that little else is in memory."""
    width = GUEST_COLUMNS + 1 if party == "guest" else HOST_COLUMNS
    found = np.empty((rows, width))
    for first in range(0, rows, BLOCK):
        here = found[first : first + BLOCK]
        common = np.random.default_rng(first).normal(size=(len(here), 1))
        rng = np.random.default_rng([first, len(party)])
        here[:] = (0.8 * rng.normal(size=here.shape) + 0.6 * common).clip(-6, 6)
        if party == "guest":
            here[:, -1] = rng.random(len(here)) < 1 / (1 + np.exp(1.5 - here[:, 0]))
    return found


def party(me: str, wires: dict[str, int], rows: int, iterations: int, bits: int, direct: bool) -> dict[str, Any]:
    """One party of a run in this process."""
    from protocols import glm
    from protocols.cipher import Identity, Paillier
    from protocols.glm.links import LOGISTIC_LINKS
    from protocols.glm.plan import Penalty

    terms = glm.Terms(LOGISTIC_LINKS["exact"], Penalty(1.0), iterations, prepared=not direct)
    x = columns(rows, me) if me != ROLES.arbiter else np.zeros((0, 0))
    programs = {
        "guest": lambda s: glm.guest(s, x[:, :-1], x[:, -1][None], terms, bytes(16)),
        "host": lambda s: glm.host(s, x, terms),
        "arbiter": lambda s: glm.arbiter(s, s.scheme.generate(s.me, s.seed("key")), terms),
    }
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
    return play(me, wires, programs[me], Paillier(bits) if bits else Identity(2048), Clock()) | {"table_mib": before}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=3_000_000)
    parser.add_argument("--iterations", type=int, default=10)
    parser.add_argument("--bits", type=int, default=3072)
    parser.add_argument("--direct", action="store_true")
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results" / "long.json")
    parser.add_argument("--party", nargs=2, help=argparse.SUPPRESS)
    options = parser.parse_args()
    size = options.rows, options.iterations, options.bits
    if options.party:
        print(json.dumps(party(options.party[0], json.loads(options.party[1]), *size, options.direct)))
        return
    asked = (f"--{name}={value}" for name, value in zip(("rows", "iterations", "bits"), size, strict=True))
    found = together("benchmarks.long", *asked, *(["--direct"] if options.direct else []))
    shape = f"({GUEST_COLUMNS} + {HOST_COLUMNS})"
    print(f"{options.rows:,} rows x {shape}, {options.iterations} iterations, {options.bits} bits; per iteration:")
    for one in found:
        wall, cpu, sent = (one[what] / options.iterations for what in ("wall_s", "cpu_s", "bytes"))
        print(
            f"{one['party']:>8}: peak {one['peak_mib']:,} MiB, with its table alone {one['table_mib']:,} MiB; "
            f"{wall:.1f} s, CPU {cpu:.1f} s, {sent / options.rows:.1f} bytes per row"
        )
    options.out.parent.mkdir(exist_ok=True)
    options.out.write_text(json.dumps({"rows": options.rows, "bits": options.bits, "parties": found}, indent=1) + "\n")


if __name__ == "__main__":
    main()
