"""The figure of a race: which curves are where, and what they are of."""

import numpy as np

from minihf.experiments.figures import draw_race
from minihf.experiments.race import AXES


def panels_of(runs, against):
    figure = draw_race(runs, "title", "error", against)
    assert figure.axes[0].get_ylabel() == "error"
    assert {text.get_text() for text in figure.legends[0].get_texts()} == {*runs, "train", "test"}
    return {axes.get_xlabel().split(" of the solvers")[0]: axes for axes in figure.axes}


def curves_of(axes):
    return [line for line in axes.lines if len(line.get_xdata())]       # not those of the legend


def test_each_panel_has_median_and_range_of_train_and_test(made_up):
    runs = {
        "adam": {
            0: made_up([(0, 8.0), (9, 4.0)], products=0),
            1: made_up([(0, 8.0), (9, 2.0)], products=0),
            2: made_up([(0, 6.0), (9, 3.5)], products=0),
        },
        "minihf": {0: made_up([(0, 8.0), (9, 1.0)], updates=3)},
    }
    panels = panels_of(runs, AXES)
    assert list(panels) == ["updates", "seconds", "products", "data passes"]
    for name, ends in (("updates", (90, 27)), ("seconds", (9, 9)), ("data passes", (18, 18))):
        train, test, other_train, _ = curves_of(panels[name])
        np.testing.assert_array_equal(train.get_xdata(), [0, ends[0]])
        np.testing.assert_array_equal(train.get_ydata(), [8, 3.5])
        np.testing.assert_array_equal(test.get_ydata(), [16, 7])
        assert {train.get_drawstyle(), test.get_drawstyle()} == {"steps-post"}
        assert (train.get_linestyle(), test.get_linestyle()) == ("-", "--")
        assert other_train.get_xdata()[-1] == ends[1]
        assert train.get_color() == test.get_color() != other_train.get_color()
        ranges = [np.unique(shade.get_paths()[0].vertices[:, 1]) for shade in
                  panels[name].collections]
        assert [(found[0], found[-1]) for found in ranges] == [(2, 8), (4, 16)]   # one seed: none
        assert panels[name].get_yscale() == "log"


def test_a_method_without_products_has_no_curve_over_products(made_up):
    runs = {
        "adam": {0: made_up([(0, 8.0), (9, 4.0)], products=0)},
        "minihf": {0: made_up([(0, 8.0), (9, 1.0)])},
    }
    panels = panels_of(runs, AXES)
    train, _ = curves_of(panels["products"])
    assert train.get_color() == "C1"
    assert train.get_ydata()[-1] == 1
    assert panels["products"].get_title(loc="left") == "left out, without any: adam"
    assert panels["products"].get_xlabel() == (
        "products of the solvers (not of step rule and calibration)"
    )
    assert panels["updates"].get_title(loc="left") == ""


def test_the_note_of_many_methods_without_products_stays_in_its_panel(made_up):
    runs = {f"adam:lr=1e-{i}": {0: made_up([(0, 8.0), (9, 4.0)], products=0)} for i in range(9)}
    panel = panels_of(runs, AXES)["products"]
    assert curves_of(panel) == []
    assert all(name in panel.get_title(loc="left").replace("\n", " ") for name in runs)
    assert max(map(len, panel.get_title(loc="left").splitlines())) <= 60


def test_two_panels_are_one_row(made_up):
    runs = {"adam": {0: made_up([(0, 8.0), (9, 4.0)])}}
    assert list(panels_of(runs, ("updates", "seconds"))) == ["updates", "seconds"]
