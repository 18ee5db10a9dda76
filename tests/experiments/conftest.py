"""Histories with known numbers."""

import pytest

import minihf as hf


@pytest.fixture
def made_up():
    """Make a run of which all columns are given by (seconds, train) and a rate per second."""

    def run(points, updates=10, products=100, ended="9 seconds"):
        records = [
            {
                "updates": updates * at, "seconds": float(at), "products": products * at,
                "data_passes": 2.0 * at, "train": train,
                "test": None if train is None else 2 * train,
            }
            for at, train in points
        ]  # fmt: skip
        return hf.History(records, ended=ended)

    return run
