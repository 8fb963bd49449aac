"""Generated tables of a city and a mobile operator about the same road sections and hours."""

from __future__ import annotations

import numpy as np
import pandas as pd

from vfl.schema.arguments import whole

SECTIONS = 40
COUNTED = 0.9  # of the hours, in which the city's loops worked


def traffic_sim(days: int = 2, seed: int = 8) -> tuple[pd.DataFrame, pd.DataFrame]:
    """The city's table: for each road section and hour of `days` days the lanes, a school nearby, the hour of the day
    on two columns, and how many cars its loops counted in ten minutes; and the operator's: phones that moved along the
    section, and how fast.

    Both know a section and hour by the same name.  Events that the city does not know (a match, a detour) bring cars,
    and phones.
    """
    days, seed = whole("days", days, 1), whole("seed", seed, 0)
    rng = np.random.default_rng([seed, 33])
    hours = 24 * days
    lanes, school = rng.integers(1, 4, SECTIONS), rng.random(SECTIONS) < 0.3
    section, hour = np.repeat(np.arange(SECTIONS), hours), np.tile(np.arange(hours), SECTIONS)
    angle = 2 * np.pi * (hour % 24) / 24
    daily = -0.75 * np.cos(angle) - 0.25 * np.sin(2 * angle)
    event = 0.55 * rng.normal(size=(SECTIONS, hours)).ravel()
    log_cars = 2.2 + 0.35 * lanes[section] + 0.2 * school[section] + daily + event
    cars = rng.poisson(np.exp(log_cars))
    names = [f"s{s:02d}-h{h:03d}" for s, h in zip(section, hour, strict=True)]
    city = pd.DataFrame({
        "section_hour": names,
        "lanes": lanes[section],
        "school": school[section].astype(int),
        "hour_cos": np.round(np.cos(angle), 4),
        "hour_sin": np.round(np.sin(angle), 4),
        "hour_sin_2": np.round(np.sin(2 * angle), 4),
        "cars": cars,
    })  # fmt: skip
    phones = rng.poisson(0.35 * np.exp(log_cars))
    operator = pd.DataFrame({
        "section_hour": names,
        "log_phones": np.round(np.log1p(phones), 4),
        "speed": np.round(np.clip(52 - 9 * event - 4 * daily + 4 * rng.normal(size=len(cars)), 5, 90), 1),
    })  # fmt: skip
    seen = np.sort(rng.choice(len(city), round(COUNTED * len(city)), replace=False))
    return city.iloc[seen].reset_index(drop=True), operator
