"""Generated tables of an insurer and a chain of garages about the same claims."""

from __future__ import annotations

import numpy as np
import pandas as pd

from vfl.demo.readmission import known_rows
from vfl.schema.arguments import whole

KNOWN = 0.9  # of the claims, by each of the two
COMMON = ("car", "front", "door", "paint", "replaced", "lamp", "bumper", "mirror", "polished", "tested")
WORN = ("rust", "worn", "old", "scratches", "earlier", "repainted")  # damage that was there before
FRESH = ("bent", "broken", "glass", "deformed", "airbag", "towed")
WORDS = 24  # per note


def claims_sim(claims: int = 1200, seed: int = 9) -> tuple[pd.DataFrame, pd.DataFrame]:
    """The insurer's claims: amount, age of the contract, earlier claims, and whether an expert later found the claim
    false (about one in five); and for each of them the note that a garage wrote.

    Words of a note tell whether the damage was old.  The insurer sees amounts only.
    """
    claims, seed = whole("claims", claims, 50), whole("seed", seed, 0)
    rng = np.random.default_rng([seed, 34])
    old, greed = rng.normal(size=(2, claims))
    false = rng.random(claims) < 1 / (1 + np.exp(2.2 - 1.9 * old - 0.9 * greed))
    numbers = [f"{number:06d}" for number in rng.choice(10**6, claims, replace=False)]
    insurer = pd.DataFrame({
        "claim": numbers,
        "amount": np.round(np.exp(7.4 + 0.35 * greed + 0.5 * rng.normal(size=claims)), -1),
        "contract_years": np.maximum(0, np.round(5 - 1.2 * greed + 3 * rng.normal(size=claims), 1)),
        "earlier_claims": rng.poisson(np.exp(0.25 * greed - 0.3)),
        "false": false.astype(int),
    })  # fmt: skip
    share = 1 / (1 + np.exp(1.4 - 1.5 * old))  # of words about old damage
    garages = pd.DataFrame({"claim": numbers, "note": [_note(rng, p) for p in share]})
    return known_rows(insurer, rng, KNOWN), known_rows(garages, rng, KNOWN)


def _note(rng: np.random.Generator, share: float) -> str:
    about = rng.random(WORDS) < 0.45
    worn = rng.random(WORDS) < share
    return " ".join(
        str(rng.choice(COMMON if not a else WORN if w else FRESH)) for a, w in zip(about, worn, strict=True)
    )
