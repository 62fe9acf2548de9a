"""Places names of points so that they hide neither each other nor a point. All in pixels, y upwards."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

HEIGHT = 13.5  # height of a name
POINT = 5.5  # half the side of a point
AWAY = 9.0  # distance from a point's middle to its name


@dataclass(frozen=True)
class Area:
    """A rectangle that a name or a point covers."""

    left: float
    bottom: float
    right: float
    top: float

    def meets(self, other: Area) -> bool:
        """Tell whether two areas overlap."""
        across = min(self.right, other.right) - max(self.left, other.left)
        return across > 0 and min(self.top, other.top) - max(self.bottom, other.bottom) > 0

    def within(self, wide: float, high: float) -> bool:
        """Tell whether the area lies between the origin and the corner (wide, high)."""
        return self.left >= 0 and self.bottom >= 0 and self.right <= wide and self.top <= high

    @property
    def middle(self) -> float:
        """Vertical position of the centre."""
        return (self.bottom + self.top) / 2


def place_names(points: Sequence[tuple[float, float]], widths: Sequence[float], wide: float, high: float) -> list[Area]:
    """Place each name in turn right or left of its point, as near as points, earlier names and edges allow."""
    taken = [Area(x - POINT, y - POINT, x + POINT, y + POINT) for x, y in points]
    for (x, y), width in zip(points, widths, strict=True):
        boxes = [box for box in _beside(x, y, width, high) if box.within(wide, high)]
        free = (box for box in boxes if not any(box.meets(other) for other in taken))
        taken.append(next(free, boxes[0] if boxes else next(_beside(x, y, width, high))))
    return taken[len(points) :]


def _beside(x: float, y: float, width: float, high: float) -> Iterator[Area]:
    """Yield areas on both sides of a point, further and further up and down."""
    for step in range(2 * int(high / HEIGHT) + 2):
        for middle in dict.fromkeys((y + step * HEIGHT / 2, y - step * HEIGHT / 2)):
            for left in (x + AWAY, x - AWAY - width):
                yield Area(left, middle - HEIGHT / 2, left + width, middle + HEIGHT / 2)
