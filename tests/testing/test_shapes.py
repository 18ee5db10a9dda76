"""Shapes with names in them: what is read, and what is refused."""

import pytest

from minihf.testing.shapes import names_of, shape


@pytest.mark.parametrize(
    ("written", "sizes", "expected"),
    [
        ("N T D", {"N": 2, "T": 3, "D": 4}, (2, 3, 4)),
        ("D 4H", {"D": 5, "H": 3}, (5, 12)),
        ("N C H+2 2W+1", {"N": 1, "C": 1, "H": 3, "W": 4}, (1, 1, 5, 9)),
        ("3 28", {}, (3, 28)),
        ("", {}, ()),
        (("N", 28, "in_features"), {"N": 2, "in_features": 7}, (2, 28, 7)),
    ],
)
def test_an_axis_is_a_number_a_name_a_multiple_or_a_sum(written, sizes, expected):
    assert shape(written).at(sizes) == expected
    assert shape(shape(written)) == shape(written)
    assert shape(written).names == tuple(sizes)


def test_names_come_in_order_and_once():
    assert names_of([shape("N D"), shape("D M"), shape("M N")]) == ("N", "D", "M")


@pytest.mark.parametrize("written", ["N-1", "N*2", "N D!", "+3", "N  ?", ("N", 2.5)])
def test_what_is_no_axis_is_refused_by_its_name(written):
    with pytest.raises(ValueError, match=r"is no axis; write a number, a name, 4H or H\+2"):
        shape(written)
