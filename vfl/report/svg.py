"""Small inline SVG: axes, lines, steps, bars and whiskers, styled by the page's classes so that they follow its dark
and print colours.

Why not matplotlib: it and what it needs weigh more than 60 MB installed and a second to import, its SVG carries its own
colours and fonts (no dark scheme, no selectable text at the page's size), and seven calm plots need no more than the
file below.
Every text is escaped here; coordinates are numbers only.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence

from markupsafe import Markup, escape

WIDTH, HEIGHT = 400, 310


def tag(name: str, text: object = None, **attributes: object) -> Markup:
    """One element; `class_` is class, other underscores are hyphens, None is left out; `text` is escaped unless it is
    Markup."""
    given = "".join(f' {k.rstrip("_").replace("_", "-")}="{escape(v)}"' for k, v in attributes.items() if v is not None)
    return Markup(f"<{name}{given}/>") if text is None else Markup(f"<{name}{given}>{escape(text)}</{name}>")  # noqa: S704 (escaped above)


def image(
    parts: Iterable[Markup], label: str, width: float = WIDTH, height: float = HEIGHT, class_: str = "plot"
) -> Markup:
    """An <svg> that says in words what it shows."""
    return tag(
        "svg", Markup("").join(parts), class_=class_, viewBox=f"0 0 {width:g} {height:g}", role="img", aria_label=label
    )


def percent(value: float) -> str:
    """Whole per cent, the sign not torn off."""
    return f"{100 * value:.0f}\u00a0%"


def ticks(low: float, high: float, about: int = 5) -> list[float]:
    """Round numbers from low to high, `about` says how many, roughly."""
    raw = max(high - low, 1e-9) / about
    power = 10.0 ** math.floor(math.log10(raw))
    step = next(m * power for m in (1, 2, 2.5, 5, 10) if m * power >= raw * 0.999)
    first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
    return [round(i * step, 12) for i in range(first, last + 1)]


class Plot:
    """A frame with a linear x and y axis, drawn into by data coordinates; `key` names the lines, above it."""

    def __init__(
        self,
        x: tuple[float, float] = (0.0, 1.0),
        y: tuple[float, float] = (0.0, 1.0),
        *,
        width: float = WIDTH,
        height: float = HEIGHT,
        margin: tuple[float, float, float, float] = (34, 18, 46, 50),
        key: Sequence[tuple[str, str]] = (),
    ) -> None:
        self.width, self.parts = width, list[Markup]()
        self._x, self._y = x, (y[0], y[1] if y[1] > y[0] else y[0] + 1)
        band = self._key(key)
        self.height = height + band
        self.top, self.right, self.bottom, self.left = (
            margin[0] + band,
            width - margin[1],
            self.height - margin[2],
            margin[3],
        )

    def px(self, x: float) -> float:
        low, high = self._x
        return round(self.left + (x - low) / (high - low) * (self.right - self.left), 1)

    def py(self, y: float) -> float:
        low, high = self._y
        return round(self.bottom - (y - low) / (high - low) * (self.bottom - self.top), 1)

    def axes(
        self,
        x_label: str = "",
        y_label: str = "",
        *,
        x_ticks: Sequence[float] | None = None,
        y_ticks: Sequence[float] | None = None,
        x_text: Callable[[float], str] = percent,
        y_text: Callable[[float], str] = percent,
    ) -> Plot:
        """Hair lines across, tick texts, and what each axis is."""
        for y in ticks(*self._y) if y_ticks is None else y_ticks:
            self._line(self.left, self.py(y), self.right, self.py(y), "grid")
            self._text(self.left - 8, self.py(y) + 4, y_text(y), "tick end")
        for x in ticks(*self._x) if x_ticks is None else x_ticks:
            self._line(self.px(x), self.bottom, self.px(x), self.bottom + 4, "axis")
            self._text(self.px(x), self.bottom + 18, x_text(x), "tick middle")
        self._line(self.left, self.bottom, self.right, self.bottom, "axis")
        if x_label:
            self._text((self.left + self.right) / 2, self.height - 8, x_label, "label middle")
        if y_label:  # above the axis: no head is turned to read it
            self._text(0, self.top - 16, y_label, "label")
        return self

    def line(self, xs: Sequence[float], ys: Sequence[float], class_: str) -> Plot:
        points = " ".join(f"{self.px(x)},{self.py(y)}" for x, y in zip(xs, ys, strict=True))
        self.parts.append(tag("polyline", points=points, class_=f"line {class_}"))
        return self

    def segment(self, x0: float, y0: float, x1: float, y1: float, class_: str) -> Plot:
        self._line(self.px(x0), self.py(y0), self.px(x1), self.py(y1), class_)
        return self

    def steps(self, edges: Sequence[float], heights: Sequence[float], class_: str) -> Plot:
        """A filled histogram outline over `edges`, on the lower edge of the frame."""
        path, base = [f"M{self.px(edges[0])},{self.py(self._y[0])}"], self.py(self._y[0])
        for left, right, h in zip(edges, edges[1:], heights, strict=False):
            path.append(f"L{self.px(left)},{self.py(h)}L{self.px(right)},{self.py(h)}")
        path.append(f"L{self.px(edges[-1])},{base}Z")
        self.parts.append(tag("path", d="".join(path), class_=class_))
        return self

    def dots(
        self,
        xs: Sequence[float],
        ys: Sequence[float],
        class_: str,
        *,
        low: Sequence[float] | None = None,
        high: Sequence[float] | None = None,
        radius: float = 4,
    ) -> Plot:
        """Dots, with a whisker from `low` to `high` at each if they are given."""
        for i, (x, y) in enumerate(zip(xs, ys, strict=True)):
            if low is not None and high is not None:
                self._line(self.px(x), self.py(low[i]), self.px(x), self.py(high[i]), f"whisker {class_}")
            self.parts.append(tag("circle", cx=self.px(x), cy=self.py(y), r=radius, class_=f"dot {class_}"))
        return self

    def note(self, x: float, y: float, text: str, class_: str = "", dx: float = 0, dy: float = 0) -> Plot:
        """A text at a point of the data."""
        self._text(self.px(x) + dx, self.py(y) + dy, text, f"note {class_}")
        return self

    def draw(self, label: str) -> Markup:
        return image(self.parts, label, self.width, self.height)

    def _key(self, entries: Sequence[tuple[str, str]]) -> float:
        """(class of the line, text) side by side above the frame, in as many rows as they need; the height that they
        take."""
        x, y = 0.0, 10.0
        for class_, text in entries:
            room = 52 + 7.6 * len(text)
            if x and x + room > self.width:
                x, y = 0.0, y + 20
            begin = x + 5 if "thick" in class_ else x  # a dot, which paper would cut at its edge
            self._line(begin, y, x + 26, y, f"line {class_}")
            self._text(x + 34, y + 4.5, text, "key")
            x += room
        return y + 10 if entries else 0.0

    def _line(self, x0: float, y0: float, x1: float, y1: float, class_: str) -> None:
        self.parts.append(tag("line", x1=f"{x0:g}", y1=f"{y0:g}", x2=f"{x1:g}", y2=f"{y1:g}", class_=class_))

    def _text(self, x: float, y: float, text: str, class_: str) -> None:
        self.parts.append(tag("text", text, x=f"{x:.1f}", y=f"{y:.1f}", class_=class_))
