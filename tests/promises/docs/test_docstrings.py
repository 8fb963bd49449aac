"""Every public name has a docstring in numpydoc's form: its parameters are those that it takes, and its examples
run."""

from __future__ import annotations

import doctest
import inspect
import re
import typing
from collections.abc import Callable
from functools import cached_property
from typing import Any, ClassVar

import pytest
from pydantic import Field

import vfl
from vfl.schema.declared import Declared
from vfl.schema.spec import Spec

NAMES = sorted(set(vfl.__all__) - {"__version__", "errors"})
CALLABLES: dict[str, Any] = {name: getattr(vfl, name) for name in NAMES} | {
    "Federation.local": vfl.Federation.local,
    "Federation.fit": vfl.Federation.fit,
}
FIRST = "Federation"  # its example makes the tables and federations that the others use
SECTION = re.compile(r"(?m)^(\w[\w ]*)\n-{3,}$")
LEARNS = "What each party"  # in the notes of whatever sends messages


def sections(doc: str) -> dict[str, str]:
    """The text of each section of a docstring; "" is what stands before the first."""
    parts = SECTION.split(inspect.cleandoc(doc))
    return {"": parts[0]} | {name: text.strip("\n") for name, text in zip(parts[1::2], parts[2::2], strict=True)}


def entries(text: str) -> dict[str, tuple[str, str]]:
    """By name, the type with its default and the words of each entry of a section."""
    found: dict[str, tuple[str, str]] = {}
    for head, words in re.findall(r"(?m)^(\w[^\n]*)\n((?:(?: {4}[^\n]*)?(?:\n|\Z))+)", text + "\n"):
        names, _, kind = head.partition(" : ")
        found |= {name: (kind, " ".join(words.split())) for name in names.split(", ")}
    return found


def parameters(thing: Any) -> dict[str, Any]:
    """By name, the default of each parameter; `inspect.Parameter.empty` where there is none."""
    if isinstance(thing, type) and issubclass(thing, Declared):
        fields = {name: thing.model_fields[name] for name in thing.parameters()}
        return {
            name: inspect.Parameter.empty if field.is_required() else field.default for name, field in fields.items()
        }
    return {
        p.name: p.default
        for p in inspect.signature(thing).parameters.values()
        if p.name not in ("self", "cls", "_found")
    }


def faults(thing: Any) -> list[str]:
    """What is wrong with a docstring."""
    found = sections(thing.__doc__ or "")
    told, taken = entries(found.get("Parameters", "")), parameters(thing)
    wrong = [f"no section {name}" for name in ("Parameters", "Examples") if name not in found]
    wrong += [f"parameter {name} is not there" for name in taken if name not in told]
    wrong += [f"{name} is no parameter" for name in told if name not in taken]
    for name, (kind, words) in told.items():
        default = taken.get(name, inspect.Parameter.empty)
        if default is not inspect.Parameter.empty:
            shown = f'"{default}"' if isinstance(default, str) else repr(default)
            if kind and not kind.endswith(f"default {shown}"):
                wrong.append(f"{name} has another default than {shown}: {kind}")
        if not words:
            wrong.append(f"{name} is not described")
    if inspect.isclass(thing) or thing is vfl.align:
        wrong += [
            f"no {word}"
            for word in (LEARNS, "Cost")
            if word not in found.get("Notes", "").replace("What each party would learn", LEARNS)
        ]
    if not inspect.isclass(thing):
        wrong += [f"no section {name}" for name in ("Returns", "Raises") if name not in found]
    wrong += [f"a line of {len(line)} characters" for line in (thing.__doc__ or "").split("\n") if len(line) > 150]
    return wrong


@pytest.mark.parametrize("name", CALLABLES)
def test_a_docstring_is_whole(name: str) -> None:
    assert faults(CALLABLES[name]) == []


@pytest.mark.parametrize("name", [name for name in NAMES if inspect.isclass(CALLABLES[name])])
def test_every_public_attribute_is_there_and_says_what_it_is(name: str) -> None:
    """Methods and properties have docstrings, and what the section Attributes lists exists."""
    thing = CALLABLES[name]
    for each, member in inspect.getmembers(thing):
        if each.startswith("_") or not (member.__module__ if inspect.isroutine(member) else "vfl").startswith("vfl"):
            continue
        if inspect.isroutine(member) or isinstance(member, property | cached_property):
            assert member.__doc__, f"{name}.{each}"
    known = {*dir(thing), *getattr(thing, "__dataclass_fields__", {}), *re.findall(r"self\.(\w+)\b", source(thing))}
    assert set(entries(sections(thing.__doc__).get("Attributes", ""))) <= known


def source(thing: type) -> str:
    """Of the constructors that are written down."""
    written = [
        base.__init__ for base in thing.__mro__ if "__init__" in vars(base) and "__dataclass_fields__" not in vars(base)
    ]  # type: ignore[misc]
    return "".join(inspect.getsource(each) for each in written if getattr(each, "__module__", "").startswith("vfl"))


@pytest.fixture(scope="module")
def world() -> dict[str, Any]:
    """What the example of a federation leaves."""
    return run(vfl.Federation.__doc__, "Federation", {})


def run(doc: str | None, name: str, names: dict[str, Any]) -> dict[str, Any]:
    """Runs the examples of a docstring, as they would run when pasted; what they leave.  Raises AssertionError for
    another output."""
    test = doctest.DocTestParser().get_doctest(inspect.cleandoc(doc or ""), dict(names), name, None, None)
    assert test.examples, name
    said: list[str] = []
    runner = doctest.DocTestRunner(verbose=False, optionflags=doctest.NORMALIZE_WHITESPACE)
    runner.run(test, out=said.append, clear_globs=False)
    assert not said, "".join(said)
    return dict(test.globs)


@pytest.mark.parametrize("name", CALLABLES)
def test_examples_run(name: str, world: dict[str, Any]) -> None:
    run(CALLABLES[name].__doc__, name, {} if name == FIRST else world)


# -- planted faults


def plain(first: int, second: str = "a") -> None:
    """Does nothing.

    Parameters
    ----------
    first : int
        One.
    second : str, default "a"
        Two.

    Returns
    -------
    None

    Raises
    ------
    None

    Examples
    --------
    >>> 1 + 1
    2
    """


def planted(old: str, new: str) -> Callable[..., None]:
    def copy(first: int, second: str = "a") -> None: ...

    copy.__doc__ = (plain.__doc__ or "").replace(old, new)
    return copy


@pytest.mark.parametrize(
    ("old", "new", "fault"),
    [
        ('    second : str, default "a"\n        Two.\n', "", "parameter second is not there"),
        ("first :", "third :", "third is no parameter"),
        ('default "a"', 'default "b"', "second has another default"),
        ("        Two.\n", "", "second is not described"),
        ("Examples\n    --------", "", "no section Examples"),
        ("Raises\n    ------", "", "no section Raises"),
    ],
)
def test_a_docstring_with_a_fault_is_found(old: str, new: str, fault: str) -> None:
    assert faults(plain) == []
    assert any(wrong.startswith(fault) for wrong in faults(planted(old, new))), faults(planted(old, new))


def test_a_parameter_that_is_declared_is_documented_and_one_that_is_taken_out_is_missed() -> None:
    class Declares(Spec):
        """Does nothing.

        Notes
        -----
        What each party learns: nothing. Cost: none.

        Examples
        --------
        >>> 1 + 1
        2
        """

        FILE_ONLY: ClassVar = ("kind",)
        depth: int = Field(default=3, ge=1, description="how deep")

    assert faults(Declares) == []
    assert entries(sections(Declares.__doc__ or "")["Parameters"])["depth"] == (
        "int, default 3",
        "A whole number of at least 1: how deep.",
    )
    Declares.__doc__ = (Declares.__doc__ or "").replace("depth : int", "deep : int")
    assert faults(Declares) == ["parameter depth is not there", "deep is no parameter"]


def test_an_example_with_another_output_is_found(world: dict[str, Any]) -> None:
    with pytest.raises(AssertionError, match="Expected"):
        run(typing.cast(str, vfl.Split.__doc__).replace("'telecom']", "'shop']"), "Split", world)
