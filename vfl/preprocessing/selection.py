"""Which of a party's own columns are worth keeping: by missing values, variance, IV, correlation and variance
inflation."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from vfl.preprocessing.settings import Preprocessing


def without_values(frame: pd.DataFrame, max_missing: float) -> dict[str, str]:
    """Columns to leave out, and why: nothing is known of them, or too little."""
    missing = frame.isna().mean()
    found = {}
    for c, part in missing.items():
        if part == 1:
            found[str(c)] = "it has no value"
        elif part > max_missing:
            found[str(c)] = f"{part:.1%} of it is missing"
    return found


def weak(frame: pd.DataFrame, settings: Preprocessing, iv: Mapping[str, float]) -> dict[str, str]:
    """Columns (of numbers) to leave out, and why; iv: of each column, where it is known."""
    found: dict[str, str] = {}
    for c in map(str, frame.columns):
        variance = float(np.var(frame[c].to_numpy(np.float64)))
        if settings.min_variance is not None and variance <= settings.min_variance:
            found[c] = f"its variance is {variance:.4g}"
        elif settings.min_iv is not None and iv[c] < settings.min_iv:
            found[c] = f"its IV is {iv[c]:.4f}"
    left = [str(c) for c in frame.columns if c not in found]
    if settings.max_correlation is not None:
        found |= correlated(frame[left], settings.max_correlation, iv)
        left = [c for c in left if c not in found]
    if settings.max_vif is not None:
        found |= inflated(frame[left], settings.max_vif)
    return found


def correlated(frame: pd.DataFrame, most: float, iv: Mapping[str, float]) -> dict[str, str]:
    """The columns are taken by falling IV (else in their order); each goes that correlates by more than `most` with one
    that is kept."""
    order = sorted(map(str, frame.columns), key=lambda c: -iv.get(c, 0.0))
    z = {c: _unit(frame[c].to_numpy(np.float64)) for c in order}
    kept, found = list[str](), {}
    for c in order:
        near = next((k for k in kept if abs(float(z[c] @ z[k])) > most), None)
        if near is None:
            kept.append(c)
        else:
            found[c] = f"its correlation with {near} is {float(z[c] @ z[near]):.3f}"
    return found


def inflated(frame: pd.DataFrame, most: float) -> dict[str, str]:
    """The column of the largest variance inflation factor goes (the last of equals), until none exceeds `most`."""
    left, found = list(map(str, frame.columns)), {}
    while len(left) > 1:
        factors = variance_inflation(frame[left].to_numpy(np.float64))
        worst = len(left) - 1 - int(factors[::-1].argmax())
        if factors[worst] <= most:
            break
        found[left[worst]] = f"its variance inflation factor is {factors[worst]:.3g}"
        del left[worst]
    return found


def variance_inflation(x: NDArray[np.float64]) -> NDArray[np.float64]:
    """(d,) 1 / (1 - R^2) of each column (n, d) on the others and a constant; 1 where it is constant, infinite where the
    others give it exactly."""
    z = np.column_stack([_unit(column) for column in x.T])
    result = np.ones(z.shape[1])
    for k in range(z.shape[1]):
        others = np.delete(z, k, axis=1)
        rest = z[:, k] - others @ np.linalg.lstsq(others, z[:, k], rcond=None)[0]
        unexplained = float(rest @ rest)
        if z[:, k].any():
            result[k] = 1 / unexplained if unexplained > 1e-10 else np.inf
    return result


def _unit(column: NDArray[np.float64]) -> NDArray[np.float64]:
    """Centred, of length 1; zeros where constant."""
    centred = column - column.mean()
    length = float(np.linalg.norm(centred))
    return (
        centred / length
        if length > 1e-12 * max(1.0, float(np.abs(column).max(initial=0))) * len(column) ** 0.5
        else np.zeros(len(column))
    )
