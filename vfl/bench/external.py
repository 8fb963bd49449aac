"""Other libraries: the same operations, in any Python that has them.  Needs nothing else, so they need not be installed
together with this project.

    PYTHON others.py [--full]     one JSON array: a row a library, with its timings or why there are none

One thread; microseconds of CPU per element, the best of three.  A row says the key's size and whether a ciphertext's
randomness is fresh, because an encryption that re-uses a factor is fast and protects nothing: two encryptions of one
number must differ, and every result is opened and compared before it is timed.
"product" is one product modulo n^2 by gmpy2.
"""

from __future__ import annotations

import importlib
import importlib.util
import json
import sys
import time
from collections.abc import Callable, Mapping
from importlib import metadata
from typing import Any

BITS, SCALAR = 2048, 2**31 + 12345
Timings = dict[str, float]


class WrongError(Exception):
    """A library's result is not what it must be."""


def microseconds(work: Callable[[], object], elements: int) -> float:
    best = float("inf")
    for _ in range(3):
        start = time.process_time()
        work()
        best = min(best, time.process_time() - start)
    return 1e6 * best / elements


def must(found: object, expected: object) -> None:
    """Raises WrongError unless a result is the expected one."""
    if found != expected:
        raise WrongError


def differ(one: object, other: object) -> None:
    """Raises WrongError unless two encryptions of one number differ."""
    if one == other:
        raise WrongError


def phe() -> Timings:
    library, elements = importlib.import_module("phe"), 8
    public, private = library.generate_paillier_keypair(n_length=BITS)
    numbers = [public.encrypt(i) for i in range(elements)]
    sealed = [number.ciphertext(be_secure=False) for number in numbers]
    must([private.raw_decrypt(c) for c in sealed], list(range(elements)))
    must([private.decrypt(number + numbers[1]) for number in numbers], list(range(1, elements + 1)))
    must([private.decrypt(number * SCALAR) for number in numbers], [SCALAR * i for i in range(elements)])
    differ(public.raw_encrypt(1), public.raw_encrypt(1))
    return {
        "encrypt": microseconds(lambda: [public.raw_encrypt(i) for i in range(elements)], elements),
        "decrypt": microseconds(lambda: [private.raw_decrypt(c) for c in sealed], elements),
        "add": microseconds(lambda: [number + numbers[0] for number in numbers], elements),
        "times 32 bits": microseconds(lambda: [number * SCALAR for number in numbers], elements),
    }


def gmpy2() -> Timings:
    library = importlib.import_module("gmpy2")
    state = library.random_state(int(time.time()))
    n = library.mpz_urandomb(state, BITS) | (1 << (BITS - 1)) | 1
    square, value = n * n, library.mpz_urandomb(state, 2 * BITS - 1)
    return {
        "encrypt": microseconds(lambda: library.powmod(value, n, square), 1),
        "product": microseconds(lambda: [value * value % square for _ in range(1000)], 1000),
        "times 32 bits": microseconds(lambda: [library.powmod(value, SCALAR, square) for _ in range(50)], 50),
    }


def heu() -> Timings:
    library, phe, elements = importlib.import_module("heu.numpy"), importlib.import_module("heu.phe"), 128
    kit, numbers = library.setup(phe.SchemaType.ZPaillier, BITS), list(range(1, elements + 1))
    plain, scalars = kit.array(numbers), kit.array([SCALAR] * elements)
    seal, open_, compute = kit.encryptor(), kit.decryptor(), kit.evaluator()
    vector = seal.encrypt(plain)
    must([int(v) for v in open_.decrypt(vector).to_numpy()], numbers)
    must([int(v) for v in open_.decrypt(compute.add(vector, vector)).to_numpy()], [2 * i for i in numbers])
    must([int(v) for v in open_.decrypt(compute.mul(vector, scalars)).to_numpy()], [SCALAR * i for i in numbers])
    differ(str(seal.encrypt(kit.array([1]))), str(seal.encrypt(kit.array([1]))))
    return {
        "encrypt": microseconds(lambda: seal.encrypt(plain), elements),
        "decrypt": microseconds(lambda: open_.decrypt(vector), elements),
        "add": microseconds(lambda: compute.add(vector, vector), elements),
        "times 32 bits": microseconds(lambda: compute.mul(vector, scalars), elements),
    }


def pypaillier() -> Timings:
    library, numbers = importlib.import_module("paillier"), list(range(1, 129))
    public, secret = library.generate_keypair(BITS)
    sealed = library.encrypt_integers(public, numbers)
    must([int(v) for v in library.decrypt_many(secret, sealed)], numbers)
    must(int(library.decrypt_many(secret, [library.add_many(public, sealed)])[0]), sum(numbers))
    products = library.multiply_integers_public(public, sealed, [SCALAR] * len(numbers))
    must([int(v) for v in library.decrypt_many(secret, products)], [SCALAR * i for i in numbers])
    differ(*library.encrypt_integers(public, [1, 1]))
    return {
        "encrypt": microseconds(lambda: library.encrypt_integers(public, numbers), len(numbers)),
        "decrypt": microseconds(lambda: library.decrypt_many(secret, sealed), len(numbers)),
        "add": microseconds(lambda: library.add_many(public, sealed), len(numbers) - 1),
        "times 32 bits": microseconds(
            lambda: library.multiply_integers_public(public, sealed, [SCALAR] * len(numbers)), len(numbers)
        ),
    }


def intersection(elements: int = 4096) -> Timings:
    """Both sides of OpenMined's; the client alone learns."""
    psi = importlib.import_module("private_set_intersection.python")
    mine, theirs = ([f"customer-{i:09d}" for i in range(first, first + elements)] for first in (0, elements // 2))

    def whole() -> list[int]:
        client, server = psi.client.CreateWithNewKey(True), psi.server.CreateWithNewKey(True)
        setup = server.CreateSetupMessage(0.0, elements, theirs, psi.DataStructure.RAW)
        return list(client.GetIntersection(setup, server.ProcessRequest(client.CreateRequest(mine))))

    must(sorted(whole()), list(range(elements // 2, elements)))
    return {"align a pair of ids": microseconds(whole, elements)}


# name: module, package, key, whether randomness is fresh, how; the slow ones only with everything
OTHERS: Mapping[str, tuple[str, str, str, str, Callable[[], Timings]]] = {
    "python-paillier": ("phe", "phe", f"Paillier {BITS}", "fresh for each ciphertext: r^n", phe),
    "gmpy2": ("gmpy2", "gmpy2", f"{BITS}", "bare arithmetic: encrypt is r^n alone", gmpy2),
    "SecretFlow HEU": ("heu", "sf-heu", f"ZPaillier {BITS}", "fresh for each ciphertext: a power of a fixed base", heu),
    "pypaillier": ("paillier", "pypaillier", f"Paillier {BITS}, safe primes", "fresh for each ciphertext", pypaillier),
    "OpenMined PSI": (
        "private_set_intersection",
        "openmined-psi",
        "P-256",
        "a fresh secret scalar for each run",
        intersection,
    ),
}
SLOW = {"pypaillier": "its safe primes take up to a minute and more to find: `vfl bench --full` waits for them"}


def measure(everything: bool) -> list[dict[str, Any]]:
    """A row a library: its version and timings, or why there are none."""
    rows = []
    for name, (module, package, key, fresh, work) in OTHERS.items():
        row: dict[str, Any] = {"library": name, "key": key, "randomness": fresh}
        if importlib.util.find_spec(module) is None:
            row["skipped"] = f"not installed: pip install {package}"
        elif name in SLOW and not everything:
            row["skipped"] = SLOW[name]
        else:
            try:
                row["version"] = metadata.version(package)
                row["microseconds"] = work()
            except WrongError:
                row["skipped"] = "its results are not what they must be"
            except Exception as error:  # another's library may fail in any way, and is no reason to stop
                row["skipped"] = f"it fails here ({type(error).__name__})"
        rows.append(row)
    return rows


if __name__ == "__main__":
    sys.stdout.write(json.dumps(measure("--full" in sys.argv[1:])) + "\n")
