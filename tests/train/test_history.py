"""The record of a run, in memory and as a file."""

import json
import math

import pytest

import minihf as hf
from minihf.train.log import log_file

RECORDS = [
    {"updates": 0, "train": 2.5, "test": None, "problem": ""},
    {"updates": 3, "train": 0.125, "test": 1e-30, "problem": "the objective rose: schöne Höhe"},
]


def written(path, records):
    with log_file(path) as write:
        for record in records:
            write(record)
    return path


def test_what_is_written_is_read_back(tmp_path):
    history = hf.History.read(written(tmp_path / "log.jsonl", RECORDS))
    assert history.records == list(history) == RECORDS
    assert (history.params, history.state, history.ended) == (None, None, "")


def test_a_record_is_in_the_file_as_soon_as_it_is_written(tmp_path):
    path = tmp_path / "log.jsonl"
    with log_file(path) as write:
        for count, record in enumerate(RECORDS, start=1):
            write(record)
            assert len(hf.History.read(path)) == count


def test_records_of_before_come_first_and_what_else_was_there_goes(tmp_path):
    path = written(tmp_path / "log.jsonl", [{"updates": 99}])
    with log_file(path, RECORDS[:1]) as write:
        assert hf.History.read(path).records == RECORDS[:1]
        write(RECORDS[1])
    assert hf.History.read(path).records == RECORDS


def test_an_old_log_stays_until_there_is_a_record(tmp_path):
    path = written(tmp_path / "log.jsonl", [{"updates": 99}])
    with log_file(path) as write:
        assert hf.History.read(path).records == [{"updates": 99}]
        write(RECORDS[0])
    assert hf.History.read(path).records == RECORDS[:1]


def test_a_full_disk_costs_no_record_if_there_is_room_again(tmp_path, disk):
    path, records = tmp_path / "log.jsonl", [{"updates": at, "train": 1.0} for at in range(6)]
    with log_file(path) as write:
        write(records[0])
        write(records[1])
        disk.left = 10
        for record in records[2:4]:
            with pytest.warns(RuntimeWarning, match=r"log\.jsonl': No space .*; the run goes on$"):
                write(record)
            assert hf.History.read(path).records == records[:2]
        disk.left = math.inf
        write(records[4])
        assert hf.History.read(path).records == records[:5]
        write(records[5])
    assert hf.History.read(path).records == records
    assert [file.name for file in tmp_path.iterdir()] == ["log.jsonl"]


def test_a_disk_that_is_full_from_the_beginning_is_refused(tmp_path, disk):
    disk.left = 10
    with pytest.raises(OSError, match="No space left"), log_file(tmp_path / "log.jsonl") as write:
        write(RECORDS[0])
    assert list(tmp_path.iterdir()) == []


def test_without_a_path_nothing_is_written(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    written(None, RECORDS)
    assert list(tmp_path.iterdir()) == []


def test_columns_and_the_last_record():
    history = hf.History(RECORDS)
    assert history.column("train") == [2.5, 0.125]
    assert history.last is RECORDS[1]
    assert len(history) == 2
    with pytest.raises(KeyError):
        history.column("no such")


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
def test_what_json_cannot_say_becomes_null(bad, tmp_path):
    path = written(tmp_path / "log.jsonl", [{"rho": bad, "blocks": {"0": {"lam": bad}}}])

    def refuse(constant):
        raise AssertionError(f"{constant} is no JSON")

    assert json.loads(path.read_text(), parse_constant=refuse) == {
        "rho": None, "blocks": {"0": {"lam": None}}
    }  # fmt: skip


@pytest.mark.parametrize("cut", [1, 10, 60])
def test_a_torn_last_line_is_left_out(cut, tmp_path):
    path = written(tmp_path / "log.jsonl", RECORDS)
    path.write_bytes(path.read_bytes()[:-cut - 1])
    assert hf.History.read(path).records == RECORDS[:1]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('{"a": 1}\n{"a": \n{"a": 3}\n', "line 2: not JSON"),
        ('{"a": 1}\n{"a": \n', "line 2: not JSON"),       # ended by a newline: not torn, bad
        ('{"a": 1}\n[1, 2]\n', "line 2: expected an object"),
        ("\n", "line 1: not JSON"),
        ("[" * 100_000 + "\n", "line 1: not JSON"),
        ("9" * 5000 + "\n", "line 1: not JSON"),
        ('{"ended": ""}\n{"ended": 5}\n', "line 2: 'ended' is 5, expected words"),
    ],
)
def test_a_bad_line_is_an_error_with_its_number(text, message, tmp_path):
    path = tmp_path / "log.jsonl"
    path.write_text(text)
    with pytest.raises(ValueError, match=f"log.jsonl, {message}"):
        hf.History.read(path)


def test_an_empty_log_has_no_records(tmp_path):
    path = tmp_path / "log.jsonl"
    path.write_text("")
    assert len(hf.History.read(path)) == 0


def test_what_is_no_text_is_no_log(tmp_path):
    (tmp_path / "log.jsonl").write_bytes(b"\xff\xfe\n")
    with pytest.raises(ValueError, match=r"log\.jsonl is no log of a run: it is not text in UTF-8"):
        hf.History.read(tmp_path / "log.jsonl")
