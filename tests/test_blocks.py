"""What a measure has found out is kept in blocks, and found again."""

import json
import math

import pytest

from gensweep import blocks
from gensweep.blocks import Blocks, kept_in, remembered
from gensweep.table.atomic import write_atomically

ANSWERS = [0.1, [1e-300, math.inf], {"train": [-0.0, 2]}, 1 / 3, "censored"]


def ask(folder, until=5, said=None):
    """Ask all questions, or as many as a killed measure came to; what was worked out anew."""
    new = []

    def compute(k):
        new.append(k)
        return ANSWERS[k]

    with kept_in(Blocks(folder, write_atomically, (said if said is not None else []).append)) as found:
        answers = [remembered(compute, k, total=len(ANSWERS)) for k in range(until)]
    return new, answers, found


@pytest.fixture
def often(monkeypatch):
    monkeypatch.setattr(blocks, "EVERY", 0.0)


def test_outside_a_run_nothing_is_kept():
    assert remembered(max, 2, 3) == 3


def test_a_killed_measure_asks_only_what_it_has_not_asked(tmp_path, often):
    said = []
    assert ask(tmp_path, until=3, said=said)[0] == [0, 1, 2]
    assert said == ["1/5", "2/5", "3/5"]
    new, answers, _ = ask(tmp_path)
    assert new == [3, 4]
    assert repr(answers) == repr(ANSWERS)


def test_seconds_of_the_killed_part_are_not_forgotten(tmp_path, often):
    ask(tmp_path, until=3)
    files = [json.loads(p.read_bytes()[64:]) for p in tmp_path.iterdir()]
    assert ask(tmp_path)[2].earlier == pytest.approx(sum(seconds for _, seconds in files))


def test_short_measures_leave_no_files(tmp_path):
    ask(tmp_path / "none")
    assert not (tmp_path / "none").exists()


def test_blocks_are_cut_by_time_not_by_number(tmp_path, monkeypatch):
    now = iter(range(100))
    monkeypatch.setattr(blocks.time, "monotonic", lambda: next(now) / 4)
    ask(tmp_path)
    assert [p.name for p in tmp_path.iterdir()] == ["0"]
    assert read_back(tmp_path) == ANSWERS[:4]


def read_back(folder):
    return blocks.read(folder)[0]


@pytest.mark.parametrize("damage", [b"", b"{}", b"x" * 64 + b"[[7], 0]"])
def test_a_damaged_block_and_all_after_it_are_made_again(tmp_path, often, damage):
    ask(tmp_path)
    (tmp_path / "2").write_bytes(damage)
    new, answers, _ = ask(tmp_path)
    assert new == [2, 3, 4]
    assert repr(answers) == repr(ANSWERS)


def test_one_flipped_bit_is_noticed(tmp_path, often):
    ask(tmp_path)
    content = bytearray((tmp_path / "0").read_bytes())
    content[-8] ^= 1
    (tmp_path / "0").write_bytes(content)
    assert read_back(tmp_path) == []
