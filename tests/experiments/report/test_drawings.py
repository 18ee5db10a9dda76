"""Figures: which curves are where, what one reads there, and that they stay within their axes."""

import json
import math
from itertools import combinations
from types import SimpleNamespace

import numpy as np
import pytest
from matplotlib.colors import to_rgb

import minihf as hf
from minihf.experiments.report.blocks import block_drawings, block_facts
from minihf.experiments.report.comparisons import comparisons_of
from minihf.experiments.report.confusions import confusion_drawing
from minihf.experiments.report.drawing import draw
from minihf.experiments.report.errors import error_drawings
from minihf.experiments.report.palette import SERIES
from minihf.experiments.report.panels import Key, Line, Panel
from minihf.experiments.report.png import png_of
from minihf.experiments.report.reading import find_runs
from minihf.experiments.report.reasons import reason_drawing, reason_fact
from minihf.experiments.report.spectra import spectrum_drawing
from minihf.experiments.report.svg import inline, shorter
from minihf.experiments.summary import Curve, curve

PNG_WIDTH = 1000                      # 5 inches, 200 dots each


def size_of(png):
    return tuple(int.from_bytes(png[at : at + 4], "big") for at in (16, 20))


def lines_of(drawing):
    return {(line["name"], line["part"]): line for line in drawing.readout["lines"]}


def axes_of(drawing):
    (axes,) = drawing.figure.axes
    return axes


def one(values, x=None, steps=True, **options):
    values = np.array(values, dtype=float)
    x = np.arange(len(values), dtype=float) if x is None else np.array(x, dtype=float)
    line = Line("a", 0, Curve(x, values, values, values))
    return draw(Panel("p", "error", "updates", [line], steps=steps, **options))


@pytest.fixture(scope="module")
def race(kept_runs):
    return next(it for it in comparisons_of(find_runs(kept_runs).runs) if it.folder == "race")


# Errors -------------------------------------------------------------------------------------


def test_errors_are_drawn_over_each_cost_with_what_the_table_and_race_figure_have(race):
    drawings = error_drawings(race)
    assert [drawing.title for drawing in drawings] == [
        "error rate, over updates", "error rate, over seconds",
        "error rate, over products of the solvers (not of step rule and calibration)",
        "error rate, over data passes",
    ]  # fmt: skip
    lines = lines_of(drawings[0])
    assert list(lines) == [(name, part) for name in race.methods for part in ("train", "test")]
    for (name, part), line in lines.items():
        expected = curve(race.histories[name], "updates", part)
        np.testing.assert_array_equal(line["x"], expected.x)
        np.testing.assert_allclose(line["values"], expected.median, rtol=1e-3)
        np.testing.assert_allclose(line.get("low", line["values"]), expected.low, rtol=1e-3)
        np.testing.assert_allclose(line.get("high", line["values"]), expected.high, rtol=1e-3)


def test_methods_without_products_are_not_drawn_over_them(race):
    names = {name for name, _ in lines_of(error_drawings(race)[2])}
    assert names == {"zhang2017:solver.max_iters=5"}


def test_a_run_that_grows_beyond_measure_does_not_press_down_the_others(runs):
    log = runs / "race" / "adam-0" / "log.jsonl"
    records = [json.loads(line) for line in log.read_text().splitlines()]
    records[-2]["test"] = records[-1]["train"] = 1e12
    log.write_text("".join(json.dumps(record) + "\n" for record in records))
    race = next(it for it in comparisons_of(find_runs(runs).runs) if it.folder == "race")
    over_updates = error_drawings(race)[0]
    assert axes_of(over_updates).get_ylim()[1] == pytest.approx(100 * 0.9, rel=0.1)
    assert max(lines_of(over_updates)["adam", "train"]["high"]) == 1e12


def test_train_is_solid_and_test_dashed_in_the_method_s_colour(race):
    drawing = error_drawings(race)[0]
    curves = [line for line in axes_of(drawing).lines if len(line.get_xdata()) > 1]
    assert [line.get_linestyle() for line in curves] == ["-", "--"] * 3
    assert {line.get_drawstyle() for line in curves} == {"steps-post"}
    colours = [line.get_color() for line in curves]
    assert colours[::2] == colours[1::2]
    assert len(set(colours)) == 3
    assert [key.name for key in drawing.keys] == [*race.methods, "train", "test"]


# What any panel does ------------------------------------------------------------------------


def test_points_that_cannot_be_told_apart_are_thinned_out_and_the_last_is_kept():
    drawing = one(np.linspace(9.0, 1.0, 10_001))
    (line,) = drawing.readout["lines"]
    assert 250 < len(line["x"]) < 400
    assert (line["x"][0], line["x"][-1]) == (0, 10_000)
    assert line["values"][-1] == 1
    assert len(inline(drawing, "f").get("data-readout")) < 12_000


def test_a_run_that_blows_up_leaves_the_axes_at_their_top_and_they_keep_to_the_others():
    drawing = one([3.0, math.inf, 1e40, math.nan, 1.0])
    (line,) = drawing.readout["lines"]
    assert line["values"] == [3, None, 1e40, None, 1]
    axes = axes_of(drawing)
    assert axes.get_ylim()[1] < 4
    drawn = axes.lines[0].get_ydata()
    assert np.isfinite(drawn[1])
    assert drawn[1] > 1e20
    assert np.isnan(drawn[3])


@pytest.mark.parametrize(
    "values", [[math.inf] * 2, [0.0, 0.0], [1.0, 1.0], [-1.0, 5.0], [1e-300, 1e300], [1e308, 1e307]]
)
def test_any_values_can_be_drawn(values):
    drawing = one(values)
    inline(drawing, "f")
    assert size_of(png_of(drawing))[0] == PNG_WIDTH


def test_a_single_record_can_be_drawn():
    inline(one([1.0]), "f")


def test_a_dot_ends_a_curve_where_it_is_in_the_axes_and_nothing_is_drawn_outside():
    inside, above = one([8.0, 0.01, 2.0]), one([8.0, 0.01, math.inf])
    assert axes_of(above).get_yscale() == "log"
    assert [line.get_marker() for line in axes_of(inside).lines] == ["None", "o"]
    assert [line.get_marker() for line in axes_of(above).lines] == ["None"]
    assert size_of(png_of(above)) == (PNG_WIDTH, 680)


def test_zero_has_a_place_below_the_powers_with_its_number():
    axes = axes_of(one([0.9, 0.03, 0.0]))
    written = dict(zip(axes.get_yticks(), (t.get_text() for t in axes.get_yticklabels()),
                       strict=True))  # fmt: skip
    assert written == {0: "0", 0.01: "0.01", 0.1: "0.1", 1: "1"}
    place = axes.transData.transform
    zero, least, most = (place((0, value))[1] for value in (0.0, 0.01, 0.1))
    assert axes.bbox.y0 < zero < least < most
    assert least - zero < most - least
    assert axes.lines[-1].get_marker() == "o"


def test_ends_that_differ_much_are_on_a_scale_of_powers():
    lines = [
        Line(name, i, Curve(*[np.array([0.0, end])] * 4)) for i, (name, end) in
        enumerate({"adam": 5000.0, "minihf": 40.0}.items())
    ]  # fmt: skip
    drawing = draw(Panel("p", "error", "updates", lines))
    assert axes_of(drawing).get_xscale() == "symlog"
    assert axes_of(one([3.0, 2.0])).get_xscale() == "linear"


def test_a_png_has_its_legend_below_and_axes_of_the_same_size():
    drawing = one([3.0, 2.0])
    keys = [Key(f"method {i} with a rather long name of its own", i) for i in range(5)]
    with_legend = draw(Panel("p", "error", "updates", [Line("a", 0, Curve(*[np.arange(3.0)] * 4))]),
                       keys)  # fmt: skip
    figure, axes = with_legend.figure, axes_of(with_legend)
    before, height = axes.get_window_extent().frozen(), figure.bbox.height
    png = png_of(with_legend)
    assert size_of(png)[1] > size_of(png_of(drawing))[1] == 680
    after = axes.get_window_extent()
    np.testing.assert_allclose(after.size, before.size)
    assert figure.bbox.height - after.y1 == pytest.approx(height - before.y1)


# SVG ----------------------------------------------------------------------------------------


def test_an_svg_has_the_page_s_colours_and_font_and_names_of_its_own():
    drawing = one([3.0, 2.0, 1.0])
    first, second = (inline(drawing, name) for name in ("one", "two"))
    assert json.loads(first.get("data-readout")) == drawing.readout
    styles = " ".join(element.get("style", "") for element in first.iter())
    assert "var(--series-0)" in styles
    assert "var(--ink)" in styles
    assert "#" not in styles.replace("url(#", "")
    assert "font-family" not in styles
    ids = [[e.get("id") for e in svg.iter() if e.get("id")] for svg in (first, second)]
    assert ids[0]
    assert not set(ids[0]) & set(ids[1])
    for svg, names in zip((first, second), ids, strict=True):
        used = " ".join(value for e in svg.iter() for name, value in e.items())
        for name in names:
            assert f"#{name}" in used
    assert {element.tag for element in first.iter()} <= {
        "svg", "g", "path", "text", "defs", "clipPath", "rect", "use",
    }  # fmt: skip


def test_a_short_path_has_the_same_corners():
    assert shorter("M 1 2 L 1 3 L 4 3 L 4 3 L 5 6 z") == "M1 2V3H4L5 6z"
    assert shorter("M 0 0 C 1 2 3 4 5.06 6 L 5.06 7 z ") == "M0 0C1 2 3 4 5.1 6V7z"


# Colours ------------------------------------------------------------------------------------

SEEN = {
    "by most": np.eye(3),
    "without red": np.array([[15, 105, -20], [11, 79, 10], [0, -5, 105]]) / 100,
    "without green": np.array([[37, 86, -23], [28, 67, 5], [-1, 4, 97]]) / 100,
}
"""Linear light as eyes see it: Machado, Oliveira & Fernandes 2009, rounded."""

LIGHT_TO_XYZ = np.array([[0.434, 0.376, 0.19], [0.2126, 0.7152, 0.0722], [0.018, 0.109, 0.873]])


def lab(hexadecimal, eyes):
    """Return CIE Lab, in which a distance of 2 is just seen."""
    light = eyes @ (np.array(to_rgb(hexadecimal)) ** 2.2)
    x, y, z = np.cbrt(LIGHT_TO_XYZ @ np.clip(light, 1e-3, 1))
    return np.array([116 * y - 16, 500 * (x - y), 200 * (y - z)])


@pytest.mark.parametrize("eyes", SEEN)
@pytest.mark.parametrize("paper", ["light", "dark"])
def test_the_first_six_colours_are_told_apart_by_all_eyes(eyes, paper):
    colours = list(SERIES if paper == "light" else SERIES.values())[:6]
    places = [lab(hexadecimal, SEEN[eyes]) for hexadecimal in colours]
    assert min(np.linalg.norm(a - b) for a, b in combinations(places, 2)) > 18


# Blocks -------------------------------------------------------------------------------------


def told(**blocks):
    """Make a history whose k-th record says of each block what its list says."""
    length = max(len(values) for values in blocks.values())
    records = [{"updates": 0, "blocks": {}}]
    for k in range(length):
        named = {name: values[k] for name, values in blocks.items() if k < len(values)}
        records.append({"updates": k + 1, "blocks": named})
    return hf.History(records)


def said(iterations=5, lam=1.0, rho=1.0, reason="CONVERGED"):
    return {"iterations": iterations, "lam": lam, "rho": rho, "reason": reason}


def test_a_block_s_numbers_are_medians_over_the_seeds():
    runs = {
        seed: told(enc=[said(lam=1.0), said(lam=2.0 + seed)], dec=[said(lam=3.0)] * 2)
        for seed in range(3)
    }
    (drawing,) = block_drawings(runs)
    assert drawing.title == "damping λ, over updates"
    enc, dec = lines_of(drawing).values()
    assert (enc["x"], enc["values"]) == ([1, 2], [1, 3])
    assert (enc["low"], enc["high"]) == ([1, 2], [1, 4])
    assert dec["values"] == [3, 3]
    assert [key.name for key in drawing.keys] == ["enc", "dec"]


def test_the_most_iterations_have_room_above_them():
    runs = {0: told(enc=[said(iterations=i) for i in (27, 30)])}
    (drawing,) = block_drawings(runs)
    assert axes_of(drawing).get_ylim() == (0, pytest.approx(31.5))


def test_what_never_changes_is_said_and_not_drawn():
    runs = {0: told(enc=[said(), said(rho=0.5)], dec=[said(), said(rho=0.7)])}
    assert [drawing.title for drawing in block_drawings(runs)] == [
        "reduction ratio ρ, over updates"
    ]
    assert block_facts(runs) == ["iterations of the solver: 5 throughout",
                                 "damping λ: 1 throughout"]  # fmt: skip
    assert reason_fact(runs) == "why the solver stopped: converged throughout"


def test_blocks_that_are_all_the_same_are_one_curve():
    runs = {0: told(enc=[said(lam=1.0), said(lam=2.0)], dec=[said(lam=1.0), said(lam=2.0)])}
    (drawing,) = block_drawings(runs)
    assert [name for name, _ in lines_of(drawing)] == ["all blocks"]


def test_a_figure_of_a_method_s_blocks_names_it():
    runs = {0: told(enc=[said(lam=1.0), said(lam=2.0)])}
    (drawing,) = block_drawings(runs, "zhang2017")
    assert drawing.title == "zhang2017: damping λ, over updates"
    assert axes_of(drawing).get_title(loc="left") == "zhang2017: damping λ"


def test_what_was_not_measured_is_said():
    runs = {0: told(enc=[said(rho=None), said(rho=None)])}
    assert block_facts(runs)[-1] == "reduction ratio ρ: not measured"


def test_methods_without_blocks_have_no_figures():
    runs = {0: hf.History([{"updates": 0}, {"updates": 1, "blocks": {}}])}
    assert block_drawings(runs) == block_facts(runs) == []
    assert reason_drawing(runs) is None
    assert reason_fact(runs) == ""


@pytest.mark.parametrize(
    "blocks",
    [7, ["enc"], {"enc": 3}, {"enc": {}}, {"enc": {"lam": "high", "rho": None, "reason": 4}},
     {"enc": {"lam": [1], "iterations": True}}],
)  # fmt: skip
def test_a_record_that_says_anything_else_of_blocks_is_passed_over(blocks):
    history = told(enc=[said(lam=1.0), said(lam=2.0)])
    history.records.append({"updates": 3, "blocks": blocks})
    (drawing,) = block_drawings({0: history})
    assert lines_of(drawing)["enc", ""]["x"] == [1, 2]
    reason_drawing({0: history})


# Reasons ------------------------------------------------------------------------------------


def test_a_strip_shows_why_each_block_s_solver_stopped():
    progress, most = "RELATIVE_PROGRESS", "MAX_ITERATIONS"
    history = told(
        enc=[said(reason=most), said(reason=most), said(reason=progress)],
        dec=[said(reason=progress)] * 3,
    )
    drawing = reason_drawing({0: history})
    assert [key.name for key in drawing.keys] == ["max iterations", "relative progress"]
    enc, _ = lines_of(drawing).values()
    assert (enc["x"], enc["values"]) == ([1, 2, 3], ["max iterations"] * 2 + ["relative progress"])
    strips = {
        (line.get_color(), line.get_ydata()[0]): line.get_xdata()
        for line in axes_of(drawing).lines
        if len(line.get_xdata())
    }
    ends = [tuple(x[np.isfinite(x)]) for x in strips.values()]
    assert ends == [(0, 2), (2, 3), (0, 3)]
    assert len({colour for colour, _ in strips}) == 2


def test_a_reason_has_one_colour_in_all_figures():
    first, second = (
        reason_drawing({0: told(enc=[said(reason=reason) for reason in reasons])})
        for reasons in (("CONVERGED", "NON_FINITE"), ("NON_FINITE", "MAX_ITERATIONS"))
    )
    hues = [{key.name: key.series for key in drawing.keys} for drawing in (first, second)]
    assert hues[0]["non finite"] == hues[1]["non finite"]


def test_a_reason_of_another_solver_is_shown_as_it_is():
    drawing = reason_drawing({0: told(enc=[said(reason="<tired>"), said(reason="CONVERGED")])})
    assert [key.name for key in drawing.keys] == ["<tired>", "converged"]


def test_many_strips_have_names_within_their_rows():
    history = told(**{f"b{i}": [said(), said(reason="NON_FINITE")] for i in range(40)})
    axes = axes_of(reason_drawing({0: history}))
    names = [text.get_fontsize() for text in axes.texts]
    assert len(names) == 40
    assert max(names) < axes.bbox.height / 40


def test_a_reason_is_throughout_only_if_no_seed_has_another():
    one, other = (told(enc=[said(), said(reason=reason)]) for reason in ("CONVERGED", "NON_FINITE"))
    assert reason_fact({0: one, 1: one}) == "why the solver stopped: converged throughout"
    assert reason_fact({0: one, 1: other}) == ""
    drawing = reason_drawing({0: one, 1: other}, "martens2010")
    assert drawing.title == "martens2010, seed 1: why the solver stopped, over updates"
    assert [key.name for key in drawing.keys] == ["converged", "non finite"]


def test_reasons_have_other_colours_than_the_blocks_beside_them():
    history = told(**{name: [said(), said(iterations=2, reason="NON_FINITE")] for name in "ab"})
    history.records[1]["blocks"]["a"]["iterations"] = 1
    (blocks,), reasons = block_drawings({0: history}), reason_drawing({0: history})
    hues = [{key.series for key in drawing.keys} for drawing in (blocks, reasons)]
    assert [len(hue) for hue in hues] == [2, 2]
    assert not hues[0] & hues[1]


# Portraits ----------------------------------------------------------------------------------


def test_a_spectrum_is_drawn_without_the_tails_of_its_smoothing():
    x = np.geomspace(1e-6, 1e3, 40)
    density = np.where(x < 100, 1.0, 1e-20)
    density[20] = 1e-20
    density[3] = math.nan
    portrait = {"confusion": np.eye(2), "spectrum/enc": np.stack([x, density])}
    drawing = spectrum_drawing(portrait, "minihf, seed 0")
    line = lines_of(drawing)["enc", ""]
    assert line["x"][-1] < 100
    assert len(line["x"]) == np.count_nonzero(x < 100) - 1
    assert line["values"].count(0) == 1
    assert axes_of(drawing).get_xscale() == "log"
    assert drawing.title == "minihf, seed 0: density, over eigenvalue"


@pytest.mark.parametrize("array", [np.zeros((2, 5)), np.full((2, 5), math.nan), np.ones((2, 1))])
def test_a_spectrum_of_nothing_is_not_drawn(array):
    assert spectrum_drawing({"spectrum/enc": array}, "adam") is None


def test_a_spectrum_all_at_one_place_is_not_drawn_and_the_others_keep_their_colours():
    flat, broad = np.stack([np.zeros(9), np.ones(9)]), np.stack([np.arange(9.0), np.ones(9)])
    drawing = spectrum_drawing({"spectrum/flat": flat, "spectrum/broad": broad}, "adam")
    assert [(key.name, key.series) for key in drawing.keys] == [("broad", 1)]


def test_spectra_of_different_breadth_are_drawn_over_powers_of_their_own():
    portrait = {f"spectrum/{top}": np.stack([np.linspace(-1e-9, top, 21), np.ones(21)])
                for top in (1e-3, 1.0)}  # fmt: skip
    axes = axes_of(spectrum_drawing(portrait, "adam"))
    assert axes.get_xscale() == "symlog"
    assert axes.get_xticks().tolist() == [0, 1e-5, 1e-4, 1e-3, 1e-2, 1e-1, 1]


def test_counts_beyond_all_reason_can_be_drawn():
    drawing = confusion_drawing({"confusion": np.full((3, 3), 2**62)}, "adam")
    assert drawing.title.endswith(f"{3 * 2**62:,} of {9 * 2**62:,} right")


def test_a_spectrum_below_zero_can_be_drawn():
    portrait = {"spectrum/enc": np.stack([np.linspace(-2.0, -1.0, 9), np.ones(9)])}
    assert spectrum_drawing(portrait, "adam") is not None


def test_a_confusion_matrix_has_its_counts_in_its_squares():
    counts = np.array([[5, 0, 2], [0, 0, 0], [0, 1, 7]])
    drawing = confusion_drawing({"confusion": counts}, "adam:lr=0.1 " * 9)
    assert drawing.title == f"confusion matrix of {'adam:lr=0.1 ' * 9}: 12 of 15 right"
    axes = axes_of(drawing)
    assert axes.get_title(loc="left").splitlines()[1] == "12 of 15 right"
    found = {(t.get_position()[1], t.get_position()[0]): t.get_text() for t in axes.texts}
    assert found == {(0, 0): "5", (0, 2): "2", (2, 1): "1", (2, 2): "7"}
    colours = SimpleNamespace(right=axes.patches[0], wrong=axes.patches[1])
    assert colours.right.get_facecolor()[:3] != colours.wrong.get_facecolor()[:3]
    assert colours.right.get_alpha() > colours.wrong.get_alpha()


def test_many_classes_have_squares_and_few_numbers_beside_them():
    axes = axes_of(confusion_drawing({"confusion": np.eye(100, dtype=int)}, "adam"))
    (squares,) = axes.images
    assert squares.get_array().shape == (100, 100, 4)
    assert len(axes.patches) == len(axes.texts) == 0
    assert len(axes.get_xticks()) <= 13
