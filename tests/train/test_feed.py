"""Batches on their way to a device: what an update uploads, and what comes down again."""

import sys
import types
from itertools import pairwise

import numpy as np
import pytest

import minihf as hf
from minihf.backend import prefetched
from minihf.testing import Counts, StrictArray, counted, strict
from minihf.train import feed

N, SIZE, CASE = 12, 4, 4 * (3 + 2)                       # cases, a batch, bytes of a case
EPOCH = N // SIZE


pytestmark = pytest.mark.usefixtures("stand_in")


@pytest.fixture
def too_large(monkeypatch):
    monkeypatch.setattr(feed, "RESIDENT", N * CASE - 1)


def amounts(counts):
    return counts.uploads, counts.uploaded, counts.downloads, counts.synchronisations


@pytest.fixture
def cost(fit):
    """Give the function that trains and returns what each of its updates costs."""

    def of_updates(count, **arguments):
        totals = []
        for updates in range(1, count + 2):
            with counted() as counts:
                fit(updates=updates, looks=0, **arguments)
            totals.append(np.array(amounts(counts)))
        return [tuple(map(int, b - a)) for a, b in pairwise(totals)]

    return of_updates


SQUARED_ERROR_HAS_NOTHING_TO_LOOK_AT = 1        # the objective and whether the gradient is finite


def test_data_on_the_device_stay_there_and_an_update_uploads_nothing(cost):
    waits = SQUARED_ERROR_HAS_NOTHING_TO_LOOK_AT
    nothing, order = (0, 0, waits, waits), (1, 8 * N, waits, waits)
    later = cost(2 * EPOCH, batch_size=SIZE)                  # the first update is not among them
    assert later == [nothing, nothing, order, nothing, nothing, order]
    assert cost(3) == [nothing] * 3                           # all cases in every update


@pytest.mark.parametrize("opt", [hf.SGD(0.1), hf.Adam()], ids=lambda opt: type(opt).__name__)
def test_of_large_data_an_update_uploads_one_batch_and_nothing_else(opt, cost, too_large):
    waits = SQUARED_ERROR_HAS_NOTHING_TO_LOOK_AT
    assert cost(EPOCH + 1, opt=opt, batch_size=SIZE) == [(2, SIZE * CASE, waits, waits)] * 4


def test_an_update_of_the_house_method_uploads_its_draw_beside(cost, too_large):
    house = cost(2, opt=hf.HessianFree(), batch_size=SIZE)
    signs = 4 * 2 * 1                             # normal draws (1, 2), float32, for a quarter
    assert {(uploads, uploaded) for uploads, uploaded, *_ in house} == {(3, SIZE * CASE + signs)}


def test_parameters_and_state_are_on_the_device_when_training_ends(fit, too_large):
    history = fit(hf.HessianFree(), updates=2, batch_size=SIZE)
    assert isinstance(history.params.vector, StrictArray)
    assert isinstance(history.state.move, StrictArray)
    assert all(isinstance(A, StrictArray) for A in history.state.memory["A"].values())


@pytest.mark.parametrize("opt", [hf.HessianFree(), hf.Adam()], ids=lambda opt: type(opt).__name__)
def test_where_the_data_lie_changes_no_bit(opt, fit, monkeypatch):
    arguments = {"opt": opt, "updates": 5, "batch_size": SIZE}
    resident = fit(**arguments)
    monkeypatch.setattr(feed, "RESIDENT", 0)
    streamed = fit(**arguments)
    assert hf.to_host(resident.params.vector).tobytes() == hf.to_host(
        streamed.params.vector
    ).tobytes()
    assert resident.column("train") == streamed.column("train")


def test_large_data_are_looked_at_chunk_by_chunk(task, fit, too_large, monkeypatch):
    def looked_at():
        with counted() as counts:
            fit(updates=1, looks=0, batch_size=SIZE, test=task.data)
        return counts

    whole = looked_at()
    monkeypatch.setattr(sys.modules["minihf.train.run"], "AT_ONCE", 5)
    in_chunks = looked_at()
    assert in_chunks.uploaded == whole.uploaded
    looks, sets, arrays = 2, 2, 2
    assert in_chunks.uploads - whole.uploads == looks * sets * arrays * (3 - 1)


def test_large_data_that_hold_nan_are_refused_on_the_host(task, fit, too_large):
    task.x[7, 0] = np.nan
    with counted() as counts, pytest.raises(ValueError, match=r"x_train holds NaN .* in case 7"):
        fit(updates=1, batch_size=SIZE)
    assert counts == Counts()


def test_large_data_that_every_update_wants_whole_go_up_once(cost, too_large):
    waits = SQUARED_ERROR_HAS_NOTHING_TO_LOOK_AT
    assert cost(2) == [(0, 0, waits, waits)] * 2


def test_prefetched_uploads_arrays_and_leaves_the_rest_alone():
    there = hf.asarray(np.zeros(2))
    ((x, (y, z)), share, same), = prefetched([((np.ones(3), (np.ones(2), there)), 0.5, there)])
    assert isinstance(x, StrictArray)
    assert isinstance(y, StrictArray)
    assert z is same is there
    assert share == 0.5


def test_who_takes_batches_ahead_is_still_where_the_last_one_ended(monkeypatch):
    """Also where the one ahead begins the next epoch."""
    train = (np.arange(12), np.arange(12))

    def ahead(items):
        items = iter(items)
        item = next(items)
        for later in items:
            yield item
            item = later

    def taken(batches, count):
        return [next(batches)[0].tolist() for _ in range(count)]

    monkeypatch.setattr(feed, "prefetched", ahead)
    whole = taken(feed.Batches(train, SIZE, np.random.default_rng(0)), 3 * EPOCH)
    for count in range(1, 2 * EPOCH + 1):
        first = feed.Batches(train, SIZE, np.random.default_rng(0))
        taken(first, count)
        second = feed.Batches(train, SIZE, np.random.default_rng(5), first.place)
        assert taken(second, EPOCH) == whole[count : count + EPOCH]


# CuPy's way, on a CuPy that only writes down what it is told -------------------------------------


@pytest.fixture
def diary(monkeypatch):
    """Put modules named cupy and cupyx in place; give the list of what they were told."""
    lines = []

    class Event:
        def __init__(self, of):
            self.of = of

        def synchronize(self):
            lines.append(f"host waits for {self.of}")

    class Stream:
        def __init__(self, name="copies", non_blocking=False):
            self.name, self.marks = name, 0

        def record(self):
            self.marks += 1
            return Event(f"{self.name} {self.marks}")

        def wait_event(self, event):
            lines.append(f"{self.name} wait for {event.of}")

        def synchronize(self):
            lines.append(f"host waits for {self.name}")

    class Copied(StrictArray):
        def set(self, source, stream):
            assert source.flags.owndata
            lines.append(f"{stream.name} copy {source[0]:g}")
            self._memory[...] = source

    present = Stream("computations")
    cupy, cupyx = types.ModuleType("cupy"), types.ModuleType("cupyx")
    cupy.cuda = types.SimpleNamespace(Stream=Stream, get_current_stream=lambda: present)
    cupy.ndarray, cupyx.empty_pinned = StrictArray, np.empty
    cupy.empty = lambda shape, dtype: Copied(np.empty(shape, dtype))
    monkeypatch.setitem(sys.modules, "cupy", cupy)
    monkeypatch.setitem(sys.modules, "cupyx", cupyx)
    monkeypatch.setattr(hf.backend, "device", lambda: hf.backend.Device("cupy", "a fake"))
    return lines


def test_with_cupy_the_next_item_travels_while_this_one_is_worked_on(diary):
    for item in prefetched([(np.full(2, 1.0), 0.5), (np.full(2, 2.0), 0.5)]):
        assert strict.asnumpy(item[0])[0] in (1, 2)
        diary.append(f"work on {strict.asnumpy(item[0])[0]:g}")
    assert diary == [
        "copies wait for computations 1", "copies copy 1",
        "copies wait for computations 2", "copies copy 2",
        "computations wait for copies 1", "work on 1", "host waits for copies 1",
        "computations wait for copies 2", "work on 2", "host waits for copies 2",
        "host waits for copies",
    ]  # fmt: skip


def test_with_cupy_who_stops_early_leaves_no_copy_under_way(diary):
    items = prefetched(np.full(2, number) for number in (1.0, 2.0, 3.0))
    next(items)
    items.close()
    assert diary[-2:] == ["computations wait for copies 1", "host waits for copies"]


def test_with_cupy_what_is_there_already_is_not_copied(diary):
    there = strict.asarray(np.zeros(2))
    ((same,),) = prefetched([(there,)])
    assert same is there
    assert not [line for line in diary if " copy " in line]
