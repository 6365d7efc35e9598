"""Orders and progress, as files that several machines see."""

import json

import pytest

from pearl_bench.execution import orders
from pearl_bench.execution.orders import (
    ORDER,
    PROGRESS,
    Claim,
    Order,
    ProgressFile,
    ProgressReader,
    read_order,
    write_order,
)
from pearl_bench.records.files import RecordError

AN_ORDER = Order("seed: 0\n", ["run", "suite=navigation"], "slurm", "name/3")


def test_an_order_is_read_as_it_was_written(tmp_path):
    folder = tmp_path / "run"
    assert read_order(folder) is None
    write_order(folder, AN_ORDER)
    assert read_order(folder) == AN_ORDER


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"job": 1', b"\xff"])
def test_a_damaged_order_is_named(tmp_path, text):
    data = text if isinstance(text, bytes) else text.encode()
    (tmp_path / ORDER).write_bytes(data)
    with pytest.raises(RecordError, match=f"{ORDER} is damaged"):
        read_order(tmp_path)


def test_news_are_heard_once(tmp_path):
    reader = ProgressReader(tmp_path, fresh=True)
    assert reader.news() == []
    told = ProgressFile(tmp_path)
    told.update(10, 1, None)
    told.say("hello")
    counters = {"env_steps": 10, "updates": 1, "test_return": None}
    assert reader.news() == [counters, {"say": "hello"}]
    assert reader.news() == []
    told.update(20, 2, None)  # too early to be worth a line
    told.update(30, 3, 1.5)  # a new return is worth one
    assert reader.news() == [{"env_steps": 30, "updates": 3, "test_return": 1.5}]


def test_a_line_that_is_being_written_is_heard_when_it_is_whole(tmp_path):
    reader = ProgressReader(tmp_path, fresh=True)
    path = tmp_path / PROGRESS
    path.write_text('{"say": "a"}\n{"say":')
    assert reader.news() == [{"say": "a"}]
    with path.open("a") as file:
        file.write(' "b"}\n')
    assert reader.news() == [{"say": "b"}]


def test_another_order_begins_anew(tmp_path):
    write_order(tmp_path, AN_ORDER)
    reader = ProgressReader(tmp_path, fresh=True)
    ProgressFile(tmp_path).say("a long line of the first job")
    assert len(reader.news()) == 1
    write_order(tmp_path, AN_ORDER)
    for one in (reader, ProgressReader(tmp_path, fresh=True)):
        assert one.news() == []
    ProgressFile(tmp_path).say("b")
    assert reader.news() == [{"say": "b"}]


def test_a_claim_is_lost_to_another_job_alone_and_for_good(tmp_path, monkeypatch):
    monkeypatch.setattr(orders, "TELL_EVERY", 0.0)
    write_order(tmp_path, AN_ORDER)
    claim = Claim(tmp_path, AN_ORDER.job)
    assert not claim.lost()
    (tmp_path / ORDER).write_text("{")
    assert not claim.lost()  # it cannot be read
    (tmp_path / ORDER).unlink()
    assert not claim.lost()
    write_order(tmp_path, AN_ORDER._replace(job="another"))
    assert claim.lost()
    write_order(tmp_path, AN_ORDER)
    assert claim.lost()


def test_of_a_long_history_only_the_state_is_heard(tmp_path):
    told = ProgressFile(tmp_path)
    for i in range(1000):
        told.send(env_steps=i, updates=0, test_return=None)
        told.say(f"line {i}")
    news = ProgressReader(tmp_path, fresh=False).news()
    assert 0 < len(news) < 100
    assert news[-1]["env_steps"] == 999
    assert not any("say" in message for message in news)


def test_progress_that_cannot_be_told_is_no_failure(tmp_path):
    (tmp_path / PROGRESS).mkdir()
    ProgressFile(tmp_path).say("lost")


def test_progress_that_cannot_be_read_is_no_news(tmp_path):
    reader = ProgressReader(tmp_path, fresh=True)
    (tmp_path / PROGRESS).mkdir()
    assert reader.news() == []
    (tmp_path / PROGRESS).rmdir()
    ProgressFile(tmp_path).say("here again")
    assert reader.news() == [{"say": "here again"}]


def test_a_progress_file_is_json_lines(tmp_path):
    ProgressFile(tmp_path).say('two\nlines, "quoted"')
    (line,) = (tmp_path / PROGRESS).read_text().splitlines()
    assert json.loads(line) == {"say": 'two\nlines, "quoted"'}
