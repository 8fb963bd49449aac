"""Generated tables of a shop and a logistics firm that serve partly the same customers."""

from __future__ import annotations

import numpy as np
import pandas as pd

from vfl.demo.readmission import known_rows
from vfl.schema.arguments import whole

RANGES = ("garden", "kitchen", "sports", "toys")
BRANDS, PLACES = 40, 30  # different texts: too many for a column each
KNOWN = 0.85  # of the customers, by each of the two
BASKET, PARCELS = 5, 9  # texts per customer


def shop_sim(customers: int = 1200, seed: int = 6) -> tuple[pd.DataFrame, pd.DataFrame]:
    """The shop's customers: brands in their baskets (texts with a space between them), visits per month, and the range
    from which they bought next; and the logistics firm's: from which senders their parcels come, and how many.

    What a customer likes decides all of it.  The shop sees brands of its own shelves, the logistics firm senders whose
    goods the shop does not sell.
    """
    customers, seed = whole("customers", customers, 50), whole("seed", seed, 0)
    rng = np.random.default_rng([seed, 32])
    taste = rng.normal(size=(customers, len(RANGES)))
    shown = taste + 1.1 * rng.normal(size=taste.shape)  # in the shop
    elsewhere = taste + 0.5 * rng.normal(size=taste.shape)
    bought = np.argmax(2.4 * taste + rng.gumbel(size=taste.shape), axis=1)
    numbers = [f"{number:07d}" for number in rng.choice(10**7, customers, replace=False)]
    shop = pd.DataFrame({
        "customer": numbers,
        "basket": _texts(rng, shown, "brand", BRANDS, BASKET),
        "visits": np.maximum(1, np.round(np.exp(0.9 + 0.5 * rng.normal(size=customers)))).astype(int),
        "next_range": [RANGES[k] for k in bought],
    })  # fmt: skip
    logistics = pd.DataFrame({
        "customer": numbers,
        "senders": _texts(rng, elsewhere, "sender", PLACES, PARCELS),
        "parcels": rng.poisson(np.exp(1.2 + 0.4 * rng.normal(size=customers))),
    })  # fmt: skip
    return known_rows(shop, rng, KNOWN), known_rows(logistics, rng, KNOWN)


def _texts(rng: np.random.Generator, taste: np.ndarray, word: str, kinds: int, each: int) -> list[str]:
    """For each customer some of the texts, drawn by its taste: each text belongs to one of the ranges."""
    weights = np.exp(1.5 * taste)[:, np.arange(kinds) % taste.shape[1]]
    weights /= weights.sum(axis=1, keepdims=True)
    drawn = [rng.choice(kinds, each, p=row) for row in weights]
    return [" ".join(f"{word}{k:02d}" for k in sorted(row)) for row in drawn]
