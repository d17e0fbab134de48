"""Labels beside their points."""

import itertools

from reports.label_places import place_labels

FRAME = (0, 0, 300, 300)
SIZE = (60, 11)


def boxes(places):
    return [(x, y, x + SIZE[0], y + SIZE[1]) for x, y in places]


def meet(one, other):
    return one[0] < other[2] and other[0] < one[2] and one[1] < other[3] and other[1] < one[3]


def test_a_lonely_label_is_right_of_its_point():
    assert place_labels([(100, 100)], [SIZE], [], FRAME) == [(110, 94.5)]


def test_a_label_at_the_edge_stays_inside():
    for point in ((295, 150), (5, 295), (295, 5)):
        ((x, y),) = place_labels([point], [SIZE], [], FRAME)
        assert 0 <= x <= 240 and 0 <= y <= 289


def test_a_label_keeps_off_what_is_taken():
    taken = [(100, 90, 300, 110)]
    (place,) = boxes(place_labels([(100, 100)], [SIZE], taken, FRAME))
    assert not meet(place, taken[0])


def test_labels_of_near_points_do_not_meet():
    points = [(150, 150), (152, 160), (155, 152), (148, 140)]
    marks = [(x - 4, y - 4, x + 4, y + 4) for x, y in points]
    places = boxes(place_labels(points, [SIZE] * 4, marks, FRAME))
    assert not any(meet(*pair) for pair in itertools.combinations(places, 2))
    assert not any(meet(place, mark) for place in places for mark in marks)


def test_a_crowd_has_labels_all_the_same():
    points = [(150, 150)] * 50
    assert len(place_labels(points, [SIZE] * 50, [], FRAME)) == 50
    assert place_labels([], [], [], FRAME) == []
