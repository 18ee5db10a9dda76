"""The table of a race, on histories whose medians are known."""

import math

import pytest

from minihf.experiments.tables import costs, markdown, table


def rows_of(text):
    lines = [line for line in text.splitlines() if line.startswith("|")]
    assert len({len(line) for line in lines}) == 1                     # the columns line up
    head, _, *rows = ([cell.strip() for cell in line.split("|")[1:-1]] for line in lines)
    return {row[0]: dict(zip(head, row, strict=True)) for row in rows}


def race(made_up):
    return {
        "adam": {
            0: made_up([(0, 8.0), (9, 4.0)], updates=200, products=0),
            1: made_up([(0, 8.0), (9, 5.0)], updates=300, products=0),
            2: made_up([(0, 8.0), (9, 4.5)], updates=210, products=0),
        },
        "minihf": {
            seed: made_up([(0, 8.0), (seed + 1, 4.25), (9, 1.0)], updates=3) for seed in range(3)
        },
    }


def test_a_row_has_the_medians_and_ranges_of_a_method(made_up):
    rows = rows_of(table(race(made_up), first_order=["adam"]))
    assert rows == {
        "adam": {
            "method": "adam", "train error": "4.5 (4 to 5)", "test error": "9 (8 to 10)",
            "seconds to 4.5": "9 (9 to –)", "updates": "1,890", "products": "0",
            "data passes": "18", "seconds": "9",
        },
        "minihf": {
            "method": "minihf", "train error": "1", "test error": "2",
            "seconds to 4.5": "2 (1 to 3)", "updates": "27", "products": "900",
            "data passes": "18", "seconds": "9",
        },
    }  # fmt: skip


def test_what_a_target_took_is_counted_in_every_currency(made_up):
    rows = rows_of(markdown(costs(race(made_up), 4.5)))
    assert rows["minihf"] == {
        "until then": "minihf", "updates": "6 (3 to 9)", "products": "200 (100 to 300)",
        "data passes": "4 (2 to 6)", "seconds": "2 (1 to 3)",
    }  # fmt: skip
    assert rows["adam"]["updates"] == "1,890 (1,800 to –)"


def test_a_target_of_ones_own_replaces_the_column(made_up):
    rows = rows_of(table(race(made_up), target=0.5))
    assert [row["seconds to 0.5"] for row in rows.values()] == ["–", "–"]


def test_errors_of_all_cases_are_the_tables_and_those_along_the_way_the_target_s(made_up):
    runs = race(made_up)
    along = "Train and test error are those at the end, on more cases than along the way."
    assert along not in table(runs)
    for history in runs["adam"].values():
        history.last.update(train_at_end=6.0, test_at_end=7.0)
    text = table(runs, first_order=["adam"])
    assert along in text
    adam = rows_of(text)["adam"]
    assert (adam["train error"], adam["test error"]) == ("6", "7")
    assert adam["seconds to 4.5"] == "9 (9 to –)"


def test_a_single_run_has_neither_ranges_nor_a_target_nor_notes(made_up):
    text = table({"adam": {0: made_up([(0, 8.0), (9, 4.0)])}}, first_order=["adam"])
    assert "seconds to" not in text
    assert "(" not in text
    assert all(line.startswith("|") for line in text.splitlines())


def test_a_run_that_ended_early_is_named_with_the_reason(made_up):
    runs = race(made_up)
    runs["minihf"][1].ended = "gave up after 10 rejected updates in a row: NaN"
    assert table(runs).splitlines()[-1] == (
        "minihf, seed 1: gave up after 10 rejected updates in a row: NaN."
    )


def test_a_method_is_not_its_own_target_because_it_makes_no_products(made_up):
    runs = race(made_up)
    runs["minihf"] = {0: made_up([(0, 8.0), (3, 4.25), (9, 1.0)], products=0)}
    assert rows_of(table(runs, first_order=["adam"]))["minihf"]["seconds to 4.5"] == "3"


def test_what_products_are_is_said_where_there_may_be_some(made_up):
    said = "Products are those of the solvers; tangents of the step rule and of calibration are not"
    assert said in table(race(made_up), first_order=["adam"])
    assert said in table({"minihf": {0: made_up([(0, 8.0), (9, 1.0)], products=0)}})


@pytest.mark.parametrize(
    ("last", "end"), [(4.9e8, "490,000,000"), (8.5, "8.5"), (math.inf, "inf"), (math.nan, "inf")]
)
def test_a_run_that_ended_above_its_start_is_named(last, end, made_up):
    runs = {"adam": {2: made_up([(0, 8.0), (3, 4.0), (9, last)])}}
    said = f"diverged: ended above where it began (8 to {end})."
    assert table(runs).splitlines()[-1] == f"adam, seed 2: {said}"
    runs["adam"][2].ended = "gave up"
    assert table(runs).splitlines()[-1] == f"adam, seed 2: gave up; {said}"


def test_a_run_that_ended_where_it_began_did_not_diverge(made_up):
    assert "diverged" not in table({"adam": {0: made_up([(0, 8.0), (3, 9.0), (9, 8.0)])}})


def test_an_error_that_is_no_number_shows_as_infinite(made_up):
    runs = {"adam": {0: made_up([(0, 8.0), (9, math.nan)]), 1: made_up([(0, 8.0), (9, 2.0)])}}
    assert rows_of(table(runs))["adam"]["train error"] == "inf (2 to inf)"


def test_a_bar_in_a_cell_is_no_border():
    assert markdown([["loss", "error"], ["|x|", "1"]]).splitlines()[-1] == r"| \|x\| |     1 |"
