"""What all estimators share: parameters under scikit-learn's conventions, and the checks of single values."""

from __future__ import annotations

import math
import warnings
from collections.abc import Mapping
from dataclasses import MISSING, fields, replace
from typing import Any, Self

from protocols.cipher import Paillier
from protocols.errors import ConfigError
from vfl.schema.section import Complaint
from vfl.schema.spec import FULL_KEY_BITS, check_key_bits
from vfl.transport.identity import PARTY_NAME

Rule = tuple[str, bool, str]  # a parameter, whether its value is possible, and what it has to be


def paillier(key_bits: int) -> Paillier:
    """The scheme for a key size; raises ConfigError below 2048 bits, warns below 3072."""
    try:
        check_key_bits(key_bits)
    except Complaint as complaint:
        raise ConfigError(f"key_bits {complaint.what}", remedy=complaint.remedy) from None
    if key_bits < FULL_KEY_BITS:
        warnings.warn(f"a {key_bits}-bit key gives 112-bit security; {FULL_KEY_BITS} is the default", UserWarning, stacklevel=3)
    return Paillier(key_bits)


def check_hosts(hosts: object) -> None:
    """Raises ConfigError unless it is a mapping by names that hosts of a local federation can have: those that a job file allows."""
    if not isinstance(hosts, Mapping) or not hosts:
        raise ConfigError("at least one host is needed, by name", remedy='Pass hosts={"name": frame}')
    for name in hosts:
        if name in ("guest", "arbiter"):
            raise ConfigError(f"no host can be called {name}", remedy="Choose another name")
        if not isinstance(name, str) or not PARTY_NAME.fullmatch(name):
            remedy = "Use 1 to 32 small letters, digits and hyphens, not starting with a hyphen, as job files do"
            raise ConfigError(f"{name!r} is not the name of a party", remedy=remedy)


def number(value: object, least: float, most: float, *, open_below: bool = False) -> bool:
    """Whether it is a finite number in [least, most]; open_below: above least."""
    real = isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
    return real and least <= value <= most and not (open_below and value == least)  # type: ignore[operator]


def whole(value: object, least: int, most: int) -> bool:
    """Whether it is a whole number in [least, most]."""
    return isinstance(value, int) and not isinstance(value, bool) and least <= value <= most


class Parameters:
    """Base of the estimators, which are dataclasses: `get_params`, `set_params` and a short repr.  scikit-learn's `clone` copies them."""

    def check(self, rules: tuple[Rule, ...]) -> None:
        """Raises ConfigError for the first parameter whose value is not possible."""
        for name, good, rule in rules:
            if not good:
                raise ConfigError(f"{type(self).__name__}: {name} = {getattr(self, name)!r} is not possible", remedy=f"{name} is {rule}")

    def get_params(self, deep: bool = True) -> dict[str, Any]:
        """Parameters by name."""
        return {f.name: getattr(self, f.name) for f in fields(self)}  # type: ignore[arg-type]

    def set_params(self, **params: Any) -> Self:
        """Changes parameters, all or none.  Raises ConfigError for an unknown name or an impossible value."""
        if unknown := sorted(set(params) - set(self.get_params())):
            known = ", ".join(self.get_params())
            raise ConfigError(f"{type(self).__name__} has no parameter {', '.join(unknown)}", remedy=f"Its parameters are {known}")
        replace(self, **params)  # type: ignore[type-var]  # checks
        for name, value in params.items():
            object.__setattr__(self, name, value)
        return self

    def __repr__(self) -> str:
        changed = [f for f in fields(self) if f.default is MISSING or getattr(self, f.name) != f.default]  # type: ignore[arg-type]
        return f"{type(self).__name__}({', '.join(f'{f.name}={getattr(self, f.name)!r}' for f in changed)})"
