"""Other libraries beside this one: the same operations on the same machine in the same run, where they can be imported.

In a process of its own with one thread; microseconds of CPU an element, the best of three.  A row says the key's size and whether a ciphertext's randomness is
fresh, because an encryption that re-uses a factor is fast and protects nothing.  "product" is one product modulo n^2 by gmpy2.
"""

from __future__ import annotations

import importlib
import importlib.util
import json
import sys
import time
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from protocols._native import PlainVec
from protocols.cipher import Paillier
from protocols.randomness import Seed

BITS, SCALAR = 2048, 2**31 + 12345
Timings = dict[str, float]


def microseconds(work: Callable[[], object], elements: int) -> float:
    best = float("inf")
    for _ in range(3):
        start = time.process_time()
        work()
        best = min(best, time.process_time() - start)
    return 1e6 * best / elements


def vfl() -> Timings:
    """Through `protocols.cipher`, as a job uses it."""
    seed, elements = Seed("bench", bytes(32)), 512
    key = Paillier(BITS).generate("bench", seed)
    plain = PlainVec.from_i64(np.arange(elements))
    vector = key.public.encrypt(plain, seed)
    scalars = PlainVec.from_ints([SCALAR] * elements)
    return {
        "encrypt": microseconds(lambda: key.public.encrypt(plain, seed), elements),
        "decrypt": microseconds(lambda: key.open(vector, 64), elements),
        "add": microseconds(lambda: vector + vector, elements),
        "times 32 bits": microseconds(lambda: vector.mul_plain(scalars), elements),
    }


def phe() -> Timings:
    library, elements = importlib.import_module("phe"), 8
    public, private = library.generate_paillier_keypair(n_length=BITS)
    numbers = [public.encrypt(i) for i in range(elements)]
    sealed = [number.ciphertext(be_secure=False) for number in numbers]
    return {
        "encrypt": microseconds(lambda: [public.raw_encrypt(i) for i in range(elements)], elements),
        "decrypt": microseconds(lambda: [private.raw_decrypt(c) for c in sealed], elements),
        "add": microseconds(lambda: [number + numbers[0] for number in numbers], elements),
        "times 32 bits": microseconds(lambda: [number * SCALAR for number in numbers], elements),
    }


def gmpy2() -> Timings:
    library = importlib.import_module("gmpy2")
    n = library.mpz(Paillier(BITS).generate("bench", Seed("bench", bytes(32))).public.raw.n)
    square, value = n * n, library.mpz(3) ** 2000
    return {
        "encrypt": microseconds(lambda: library.powmod(value, n, square), 1),
        "product": microseconds(lambda: [value * value % square for _ in range(1000)], 1000),
        "times 32 bits": microseconds(lambda: [library.powmod(value, SCALAR, square) for _ in range(50)], 50),
    }


def heu() -> Timings:
    library = importlib.import_module("heu")
    kit = library.numpy.setup(library.phe.SchemaType.ZPaillier, BITS)
    plain, scalars = kit.array(list(range(1, 129))), kit.array([SCALAR] * 128)
    vector = kit.encryptor().encrypt(plain)
    return {
        "encrypt": microseconds(lambda: kit.encryptor().encrypt(plain), 128),
        "decrypt": microseconds(lambda: kit.decryptor().decrypt(vector), 128),
        "add": microseconds(lambda: kit.evaluator().add(vector, vector), 128),
        "times 32 bits": microseconds(lambda: kit.evaluator().mul(vector, scalars), 128),
    }


def pypaillier() -> Timings:
    library = importlib.import_module("paillier")
    public, secret = library.generate_keypair(BITS)
    blobs = library.encrypt_integers(public, list(range(1, 129)))
    return {
        "encrypt": microseconds(lambda: library.encrypt_integers(public, list(range(1, 129))), 128),
        "decrypt": microseconds(lambda: library.decrypt_many(secret, blobs), 128),
        "add": microseconds(lambda: library.add_many(public, blobs), 128),
        "times 32 bits": microseconds(lambda: library.multiply_integers_public(public, blobs, [SCALAR] * 128), 128),
    }


def intersection(elements: int = 4096) -> Timings:
    """OpenMined's set intersection, both sides; the client alone learns."""
    psi = importlib.import_module("private_set_intersection.python")
    client, server = psi.client.CreateWithNewKey(True), psi.server.CreateWithNewKey(True)
    mine, theirs = ([f"customer-{i:09d}" for i in range(first, first + elements)] for first in (0, elements // 2))

    def whole() -> None:
        setup = server.CreateSetupMessage(0.0, elements, theirs, psi.DataStructure.RAW)
        client.GetIntersection(setup, server.ProcessRequest(client.CreateRequest(mine)))

    return {"align a pair of ids": microseconds(whole, elements)}


def own_intersection(elements: int = 4096) -> Timings:
    """The same by `vfl.align`: both sides learn, checks and tables included."""
    import pandas as pd

    from vfl import align

    mine, theirs = (pd.DataFrame({"id": [f"customer-{i:09d}" for i in range(first, first + elements)]}) for first in (0, elements // 2))
    return {"align a pair of ids": microseconds(lambda: align(mine, {"host": theirs}, on="id"), elements)}


# name, module, key, whether randomness is fresh, how; the slow ones only with everything
PEERS: Mapping[str, tuple[str, str, str, Callable[[], Timings]]] = {
    "vfl": ("protocols", f"Paillier {BITS}", "fresh a ciphertext", vfl),
    "python-paillier": ("phe", f"Paillier {BITS}", "fresh a ciphertext", phe),
    "gmpy2": ("gmpy2", f"{BITS}", "bare arithmetic: encrypt is r^n alone", gmpy2),
    "SecretFlow HEU": ("heu", f"ZPaillier {BITS}", "fresh a ciphertext", heu),
    "pypaillier": ("paillier", f"Paillier {BITS}", "fresh a ciphertext", pypaillier),
    "vfl alignment": ("protocols", "ristretto255", "a fresh secret scalar a run", own_intersection),
    "OpenMined PSI": ("private_set_intersection", "P-256", "a fresh secret scalar a run", intersection),
}
SLOW = {"pypaillier": "its safe primes take a minute and more to find: `vfl bench --full` waits for them"}
SAYS = {"heu": "sf-heu", "paillier": "pypaillier", "private_set_intersection": "openmined-psi"}


def measure(everything: bool) -> list[dict[str, Any]]:
    """A row a library: its timings, or why there are none."""
    rows = []
    for name, (module, key, fresh, work) in PEERS.items():
        row: dict[str, Any] = {"library": name, "key": key, "randomness": fresh}
        if importlib.util.find_spec(module) is None:
            row["skipped"] = f"not installed: pip install {SAYS.get(module, module)}"
        elif name in SLOW and not everything:
            row["skipped"] = SLOW[name]
        else:
            try:
                row["microseconds"] = work()
            except Exception as error:  # another's library may fail in any way, and is no reason to stop
                row["skipped"] = f"it fails here ({type(error).__name__})"
        rows.append(row)
    return rows


def main() -> None:
    print(json.dumps(measure("--full" in sys.argv[1:])))  # noqa: T201 (this is its answer)


if __name__ == "__main__":
    main()
