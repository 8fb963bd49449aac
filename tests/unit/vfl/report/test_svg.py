"""Are ticks round and inside, and are points where the axes say?"""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vfl.report.svg import Plot, tag, ticks
from vfl.report.words import duration, percent, size


@given(st.floats(-1e6, 1e6), st.floats(1e-6, 1e6))
def test_ticks_are_few_even_and_inside(low, span):
    found = ticks(low, low + span)
    assert 2 <= len(found) <= 7
    slack = 1e-6 * span + 1e-9 * abs(low)
    assert low - slack <= found[0]
    assert found[-1] <= low + span + slack
    gaps = [b - a for a, b in itertools.pairwise(found)]
    assert max(gaps) - min(gaps) <= slack + 1e-9


def test_ticks_of_shares():
    assert ticks(0, 1) == [0, 0.2, 0.4, 0.6, 0.8, 1]
    assert ticks(0, 0.5) == [0, 0.1, 0.2, 0.3, 0.4, 0.5]


def test_data_coordinates_reach_the_frame():
    plot = Plot((0, 10), (-1, 1), key=[("joint", "joint"), ("alone", "a long name " * 6)])
    assert (plot.px(0), plot.px(10)) == (plot.left, plot.right)
    assert (plot.py(-1), plot.py(1)) == (plot.bottom, plot.top)
    assert plot.height > Plot().height


def test_text_and_attributes_are_escaped():
    assert (
        tag("text", "<b>&\"'", class_='"x"', x=1, y=None)
        == '<text class="&#34;x&#34;" x="1">&lt;b&gt;&amp;&#34;&#39;</text>'
    )


@pytest.mark.parametrize(
    ("count", "text"),
    [
        (0, "0 B"),
        (999, "999 B"),
        (1000, "1.00 kB"),
        (12345, "12.3 kB"),
        (999_600, "1.00 MB"),
        (40_300_000, "40.3 MB"),
        (2.5e12, "2500 GB"),
    ],
)
def test_sizes(count, text):
    assert size(count) == text


@pytest.mark.parametrize(
    ("seconds", "text"), [(0.412, "0.41 s"), (83.2, "1 min 23 s"), (59.96, "1 min 00 s"), (7260, "2 h 01 min")]
)
def test_durations(seconds, text):
    assert duration(seconds) == text


def test_shares_of_nothing_are_dashes():
    assert (percent(None), percent(0.5)) == ("-", "50.0 %")
