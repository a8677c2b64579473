"""A stored run seen by two processes: one writes, both decide alike."""

from gensweep.errors import Busy
from gensweep.place import Place
from gensweep.ranks import Ranks
from gensweep.shared import SharedRun, shared
from gensweep.table.store import Run
from tests.pair import pair


def story(ranks, folder):
    """What each process sees of a run that both commit to."""
    run = shared(Run(folder), ranks)
    seen = [run.has("rows/a.parquet")]
    with run.claimed():
        run.set_state("training", progress=f"as rank {ranks.place.rank} has it")
        run.commit({"rows/a.parquet": f"from rank {ranks.place.rank}".encode()})
        seen += [run.has("rows/a.parquet"), run.read("rows/a.parquet"), run.state()["progress"]]
        ranks.agreed("both have read")
        if ranks.writes:
            (folder / "rows" / "a.parquet").write_bytes(b"flipped")
        seen += [run.forget_damaged(), run.has("rows/a.parquet")]
    return seen


def test_rank_0_writes_and_both_go_by_what_it_finds(tmp_path):
    both = pair(story, tmp_path / "run")
    expected = [False, True, b"from rank 0", "as rank 0 has it", ["rows/a.parquet"], False]
    assert both == [expected, expected]


def refused(ranks, folder):
    run = shared(Run(folder), ranks)
    try:
        with run.claimed():
            return "claimed"
    except Busy as error:
        return str(error)


def test_a_run_that_somebody_holds_is_busy_for_both(tmp_path):
    with Run(tmp_path / "run").claimed():
        first, second = pair(refused, tmp_path / "run")
    assert first == second
    assert "run run is held by process" in first
    assert pair(refused, tmp_path / "run") == ["claimed", "claimed"]


def test_one_process_uses_the_run_as_it_is(tmp_path):
    run = Run(tmp_path)
    assert shared(run, Ranks()) is run
    assert isinstance(shared(run, Ranks(Place(0, 2))), SharedRun)
