"""Normalisers: how the values of one key column become texts that compare equal at every party.

A job names one for each key column:

    text          Unicode NFKC, trimmed, inner white space as one blank, case folded
    digits        Unicode NFKC, then only the decimal digits of any script, as 0 to 9; a number with a sign, a decimal point or an exponent
                  is refused: 1.234E+07 lost digits, and the others would be read into the id
    integer       Unicode NFKC, decimal digits alone, without leading zeros: 007 is 7
    exact         as it is
    email         as text, with exactly one @, no white space and a domain, which is compared in its ASCII form (IDNA)
    date          ISO 8601 only: 1980-02-03, 19800203, 1980/02/03, 1980.02.03, with or without a midnight; time stamps without zone
    date:FORM     that, and the form, such as date:%d/%m/%Y; several are separated by |
    e164:GB       a telephone number, read as in that country unless it starts with + or 00; an extension is left out

A text that a normaliser cannot read is an error of the table, never a guess: day-first and month-first dates cannot be
distinguished.
"""  # noqa: E501

from __future__ import annotations

import datetime
import re
import unicodedata
from collections.abc import Callable, Sequence
from functools import lru_cache

NORMALISERS = ("text", "digits", "integer", "exact", "email", "date", "date:FORM", "e164:COUNTRY")
Many = Callable[[Sequence[str]], "list[bytes | None]"]

_NOT_DIGITS = bytes(c for c in range(128) if not (48 <= c <= 57 or c == 10))
_SIGNS = "+-.,eE"
_SPOILT = re.compile(r"\s*[+-]?(?:\d+(?:[.,]\d*)?|[.,]\d+)(?:[eE][+-]?\d+)?-?\s*")
_THOUSANDS = re.compile(r"\s*\d{1,3}(?:,\d{3})+\s*")
_BLANKS = " \t\r\x0b\x0c\x1c\x1d\x1e\x1f"
_ISO = re.compile(r"(\d{4})([-/.]?)(\d{2})\2(\d{2})(?:[T ]00:00(?::00(?:\.0+)?)?)?", re.ASCII)


class UnknownNormaliserError(ValueError):
    """Not a normaliser; `what` is wrong with the name and the `remedy`."""

    def __init__(self, what: str, remedy: str) -> None:
        super().__init__(what)
        self.what, self.remedy = what, remedy


class Normaliser:
    """One normaliser, by the name that a job gives it."""

    def __init__(
        self,
        name: str,
        many: Many,
        invalid: str = "",
        remedy: str = "Correct the values, or remove the rows",
        spoilt: Callable[[str], bool] | None = None,
    ) -> None:
        self.name, self.invalid, self.remedy = name, invalid, remedy
        self.many = many  # texts -> UTF-8 texts; None or nothing where the value cannot be read
        self.spoilt = spoilt  # whether a text is a number on its way through a spreadsheet, which would be read wrongly

    def __repr__(self) -> str:
        return f"<Normaliser {self.name}>"


def text_form(value: str) -> str:
    """NFKC, trimmed, inner white space as one blank, case folded; applying it twice changes nothing."""
    if not value.isascii():
        for _ in range(2):  # folding can undo NFKC and NFKC can bring new capitals; two rounds reach the fixed point
            value = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", value).casefold())
        return " ".join(value.split())
    return " ".join(value.casefold().split())


def digits_form(value: str) -> str:
    """NFKC, then only the decimal digits, of any script, as 0 to 9."""
    if not value.isascii():
        value = unicodedata.normalize("NFKC", value)
        return "".join(str(unicodedata.decimal(c)) for c in value if c.isdecimal())
    return "".join(c for c in value if c.isdecimal())


def spoilt_digits(value: str) -> bool:
    """Whether it is a number with a sign, a decimal point or comma, or an exponent: "digits" would make another id."""
    if not any(c in value for c in _SIGNS) and value.isascii():
        return False
    value = unicodedata.normalize("NFKC", value)
    plain = value.strip().isdecimal() or _THOUSANDS.fullmatch(value)
    return not plain and _SPOILT.fullmatch(value) is not None


def decimal_text(value: str) -> bool:
    """Whether it is a text such as '12.0', which a whole number becomes on its way through a float."""
    return value.endswith("0") and re.fullmatch(r"\s*\d+\.0+", value) is not None


def integer_form(value: str) -> str | None:
    """The digits without leading zeros; None where it is anything else than digits."""
    value = unicodedata.normalize("NFKC", value).strip()
    if not value.isdecimal():
        return None
    return digits_form(value).lstrip("0") or "0"


def email_form(value: str) -> str | None:
    """The address as `text_form`, its domain in ASCII and without a last dot; None where it is no address."""
    local, at, domain = text_form(value).rpartition("@")
    if not (local and at) or "@" in local or any(c.isspace() for c in local + domain):
        return None
    domain = domain.removesuffix(".")
    if not domain.isascii():
        try:
            domain = domain.encode("idna").decode()
        except UnicodeError:
            return None
    if len(domain) > 253 or not all(
        re.fullmatch(r"[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?", label) for label in domain.split(".")
    ):
        return None
    return f"{local}@{domain}"


def iso_date(value: str) -> str | None:
    """An ISO 8601 date, with or without a midnight, as YYYY-MM-DD."""
    match = _ISO.fullmatch(value)
    return _calendar(int(match[1]), int(match[3]), int(match[4])) if match else None


def _calendar(year: int, month: int, day: int) -> str | None:
    try:
        return datetime.date(year, month, day).isoformat()
    except ValueError:
        return None


def _texts(values: Sequence[str]) -> list[bytes | None]:
    """`text_form` of each.  Where all are ASCII and hold no white space, which is usual, all at once."""
    blob = "\n".join(values)
    if blob.isascii() and not any(c in blob for c in _BLANKS) and blob.count("\n") == len(values) - 1:
        return list(blob.lower().encode().split(b"\n"))
    return [text_form(v).encode() for v in values]


def _digits(values: Sequence[str]) -> list[bytes | None]:
    blob = "\n".join(values)
    if blob.isascii() and blob.count("\n") == len(values) - 1:
        return list(blob.encode().translate(None, _NOT_DIGITS).split(b"\n"))
    return [digits_form(v).encode() for v in values]


def _exact(values: Sequence[str]) -> list[bytes | None]:
    return [v.encode() if v.strip() else b"" for v in values]


def _each(form: Callable[[str], str | None]) -> Many:
    """One at a time, each different value once: dates and addresses repeat."""
    cached = lru_cache(maxsize=65_536)(form)

    def many(values: Sequence[str]) -> list[bytes | None]:
        return [None if (found := cached(v)) is None else found.encode() for v in values]

    return many


def _date(forms: Sequence[str]) -> Callable[[str], str | None]:
    patterns = [_pattern(f) for f in forms]

    def form(value: str) -> str | None:
        value = unicodedata.normalize("NFKC", value).strip()
        if iso := iso_date(value):
            return iso
        for pattern in patterns:
            if match := pattern.fullmatch(value):
                return _calendar(int(match["Y"]), int(match["m"]), int(match["d"]))
        return None

    return form


def _pattern(form: str) -> re.Pattern[str]:
    """%d, %m and %Y, once each, with other characters between them: nothing that depends on a language or guesses a
    century."""
    parts = re.split(r"(%.)", form)
    if sorted(p for p in parts if p.startswith("%")) != ["%Y", "%d", "%m"] or any(
        c.isalnum() for p in parts[::2] for c in p
    ):
        raise UnknownNormaliserError(
            "has a form of dates that is not known",
            "Write %d, %m and %Y once each, such as date:%d/%m/%Y; separate several forms by |",
        )
    digits = {"%d": r"(?P<d>\d{1,2})", "%m": r"(?P<m>\d{1,2})", "%Y": r"(?P<Y>\d{4})"}
    if not all(parts[2:-1:2]):
        digits |= {"%d": r"(?P<d>\d{2})", "%m": r"(?P<m>\d{2})"}
    pattern = re.compile("".join(digits.get(p, re.escape(p)) for p in parts), re.ASCII)
    iso = (pattern.fullmatch(text) for text in ("1980-02-03", "1980/02/03", "1980.02.03", "19800203"))
    if any(match and match["m"] != "02" for match in iso):
        raise UnknownNormaliserError(
            "has a form that reads ISO dates differently",
            "Separate day, month and year by a character; dates that begin with the year are always read as year, "
            "month, day",
        )
    return pattern


def _phone(region: str) -> Callable[[str], str | None]:
    import phonenumbers  # slow to import

    if region not in phonenumbers.SUPPORTED_REGIONS:
        raise UnknownNormaliserError(
            "names a country that is not known", "Use two capitals as in ISO 3166, such as e164:GB"
        )

    def form(value: str) -> str | None:
        value = unicodedata.normalize("NFKC", value).strip()
        if value.startswith("00"):  # the international prefix of most countries; the library knows the others
            value = "+" + value[2:]
        try:
            number = phonenumbers.parse(value, region)
        except phonenumbers.NumberParseException:
            return None
        if phonenumbers.is_possible_number_with_reason(number) != phonenumbers.ValidationResult.IS_POSSIBLE:
            return None
        return phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164)

    return form


@lru_cache(maxsize=64)
def normaliser(name: str) -> Normaliser:
    """The normaliser called `name`; raises UnknownNormaliserError."""
    kind, _, detail = name.partition(":")
    if name == "text":
        return Normaliser(name, _texts)
    if name == "digits":
        return Normaliser(name, _digits, "has no digit", "Give an id to each row, or remove the row", spoilt_digits)
    if name == "integer":
        return Normaliser(
            name,
            _each(integer_form),
            "holds values that are not whole numbers, written in digits alone",
            'Store ids as whole numbers; where they hold anything else, agree on "digits" or "text"',
        )
    if name == "exact":
        return Normaliser(name, _exact)
    if name == "email":
        return Normaliser(name, _each(email_form), "holds values that are not e-mail addresses")
    if name == "date" or (kind == "date" and detail):
        forms = detail.split("|") if detail else []
        declared = "ISO 8601 (1980-02-03)" + "".join(f" or {f}" for f in forms)
        return Normaliser(
            name,
            _each(_date(forms)),
            f"holds values that are not dates as {declared}",
            'Correct the values, or agree on their form, such as "date:%d/%m/%Y"',
        )
    if kind == "e164" and detail:
        return Normaliser(
            name,
            _each(_phone(detail)),
            f"holds values that are not telephone numbers as written in {detail} or with + and a country's code",
            spoilt=decimal_text,
        )
    raise UnknownNormaliserError("is not known", f"Use one of {', '.join(NORMALISERS)}")
