"""Names of points, wherever the points are."""

from __future__ import annotations

from itertools import combinations

from hypothesis import given
from hypothesis import strategies as st

from automtl.report.labels import POINT, Area, place_names

WIDE, HIGH = 278.0, 238.0
points = st.lists(st.tuples(st.floats(0, WIDE), st.floats(0, HIGH)), min_size=1, max_size=12)


@given(points, st.floats(10, 100))
def test_names_lie_within_and_hide_neither_each_other_nor_a_point(
    points: list[tuple[float, float]], width: float
) -> None:
    boxes = place_names(points, [width] * len(points), WIDE, HIGH)
    assert all(box.within(WIDE, HIGH) for box in boxes)
    assert not any(one.meets(other) for one, other in combinations(boxes, 2))
    marks = [Area(x - POINT, y - POINT, x + POINT, y + POINT) for x, y in points]
    assert not any(box.meets(mark) for box in boxes for mark in marks)


def test_a_name_is_right_of_a_lone_point_and_left_of_one_at_the_edge() -> None:
    left, right = place_names([(20.0, 100.0), (270.0, 50.0)], [60.0, 60.0], WIDE, HIGH)
    assert left.left > 20 and left.middle == 100
    assert right.right < 270 and right.middle == 50


def test_more_names_than_there_is_room_for_still_have_a_place() -> None:
    assert len(place_names([(100.0, 20.0)] * 9, [60.0] * 9, 278.0, 40.0)) == 9
