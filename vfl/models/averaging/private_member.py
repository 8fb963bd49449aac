"""A member of a run whose sums carry noise: what it sends (figure: private_course.py, private.py)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np

from protocols.averaging.masks import Words
from vfl.models.averaging.families import Floats
from vfl.models.averaging.private import added_up
from vfl.models.averaging.private_course import PrivateCourse
from vfl.models.averaging.program import Own

BLOCK, ROWS = 1 << 20, 1 << 12  # entries of gradients at once, and rows


@dataclass(repr=False)
class PrivateOwn(Own):
    """A member's rows, and its noise, which is drawn once for each sum."""

    course: PrivateCourse

    def _scale(self) -> Words:
        z = self.course.kept.scaled(self.rows.x, self.rows.y)
        return self._noised([np.column_stack([z, z**2, np.ones(len(z))])])

    def _update(self) -> Words:
        if self.course.by_row:
            return self._noised(self._gradients())
        return self._noised([(self._trained() - self.course.weights)[None, :]])

    def _gradients(self) -> Iterator[Floats]:
        """Of each row.  Blocks have one shape, so that no row's bits depend on how many others there are."""
        course, (x, y) = self.course, self._scaled
        size = max(2, min(ROWS, BLOCK // course.length))
        for first in range(0, len(y), size):
            rows = min(size, len(y) - first)
            block, labels = np.zeros((size, x.shape[1])), np.zeros(size)
            block[:rows], labels[:rows] = x[first : first + rows], y[first : first + rows]
            with np.errstate(over="ignore", invalid="ignore"):  # what is no number is clipped to 0
                yield course.family.row_gradients(course.weights, block, labels)[:rows]

    def _noised(self, vectors: Iterable[Floats]) -> Words:
        course = self.course
        total = added_up(vectors, course.longest, course.length)
        return course.kept.added(total, self.session.seed("averaging noise", total.tobytes()))
