"""Whether preparing iterations pays for small jobs: CPU seconds of whole trainings, with alignment and key, of all
parties in this process.

    python -m benchmarks.small [--rows N] [--iterations 5 10 20 34] [--repeat N]

Two columns at the guest and two at a host.  Both ways take turns; seconds are medians.
"""

from __future__ import annotations

import argparse
import statistics
import time
import warnings

import vfl
from benchmarks.glm import tables
from protocols.cipher import Identity, Paillier

WAYS = ("batched", "none")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=300)
    parser.add_argument("--iterations", type=int, nargs="+", default=[5, 10, 20, 34])
    parser.add_argument("--repeat", type=int, default=7)
    options = parser.parse_args()
    warnings.simplefilter("ignore")  # small tables, a short key
    guest, host = tables(options.rows, (2, 2))
    for name, scheme in (("in the clear", Identity(2048)), ("Paillier 2048", Paillier(2048))):
        for iterations in options.iterations:
            found: dict[str, list[float]] = {way: [] for way in WAYS}
            for _ in range(options.repeat):
                for way in WAYS:
                    federation = vfl.Federation.local(
                        guest,
                        {"host": host},
                        on="id",
                        label="label",
                        cipher=scheme,
                        convergence=False,
                        preparation=way,
                    )
                    began = time.process_time()
                    federation.fit(vfl.LogisticRegression(max_iter=iterations))
                    found[way].append(time.process_time() - began)
            prepared, direct = (statistics.median(found[way]) for way in WAYS)
            print(f"{name}, {iterations} iterations: prepared {prepared:.3f} CPU s, direct {direct:.3f}", flush=True)


if __name__ == "__main__":
    main()
