"""The generated tables of a shop and a logistics firm, of a city and an operator, of an insurer and garages."""

from __future__ import annotations

from collections.abc import Callable

import pandas as pd
import pytest

from protocols.errors import ConfigError
from vfl.demo.claims import FRESH, WORN, claims_sim
from vfl.demo.shop import RANGES, shop_sim
from vfl.demo.traffic import traffic_sim

Sim = Callable[..., tuple[pd.DataFrame, pd.DataFrame]]
SIMS: dict[str, tuple[Sim, int, str]] = {
    "shop": (shop_sim, 200, "customer"),
    "traffic": (traffic_sim, 1, "section_hour"),
    "claims": (claims_sim, 200, "claim"),
}


@pytest.mark.parametrize("name", SIMS)
def test_the_same_seed_gives_the_same_tables_which_are_partly_of_the_same_rows(name: str) -> None:
    sim, size, key = SIMS[name]
    one, same, other = sim(size), sim(size), sim(size, seed=1)
    for table, again, another in zip(one, same, other, strict=True):
        assert table.equals(again)
        assert not table.equals(another)
        assert table[key].is_unique
        assert not table.isna().any().any()
    common = one[0].merge(one[1], on=key)
    assert 0.6 * len(one[0]) < len(common) <= len(one[0])
    with pytest.raises(ConfigError):
        sim(0)


def test_each_partner_knows_what_the_guest_does_not() -> None:
    shop, logistics = shop_sim(600)
    assert set(shop["next_range"]) == set(RANGES)
    assert not set(" ".join(shop["basket"]).split()) & set(" ".join(logistics["senders"]).split())
    city, operator = traffic_sim()
    both = city.merge(operator, on="section_hour")
    assert both["cars"].corr(both["log_phones"], method="spearman") > 0.8
    insurer, garages = claims_sim(600)
    notes = insurer.merge(garages, on="claim")
    worn = notes["note"].str.split().map(lambda words: sum(w in WORN for w in words) - sum(w in FRESH for w in words))
    assert worn[notes["false"] == 1].mean() > worn[notes["false"] == 0].mean() + 1
