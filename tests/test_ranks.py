"""What two processes share, and what both of them end up with."""

import pytest
import torch

from gensweep.errors import InputError
from gensweep.place import ALONE, Place, first_host, given
from gensweep.ranks import Ranks, current, device, joined
from tests.pair import pair


@pytest.mark.parametrize("world", [1, 2, 3, 7])
@pytest.mark.parametrize("n", [0, 1, 2, 5, 64])
def test_the_shares_make_up_the_whole_and_differ_by_one_at_most(world, n):
    shares = [Ranks(Place(rank, world)).share(n) for rank in range(world)]
    assert [i for s in shares for i in range(n)[s]] == list(range(n))
    sizes = [s.stop - s.start for s in shares]
    assert max(sizes) - min(sizes) <= 1


def test_one_process_alone_shares_nothing_and_copies_nothing():
    alone, x = Ranks(), torch.arange(3.0)
    assert alone.total(x) is alone.gathered(x, 3) is alone.total_with_gradient(x) is x
    assert alone.agreed("word") == "word"
    assert current() == alone


def shared(ranks):
    rank = ranks.place.rank
    mine = torch.tensor([1.0 + rank, 10.0], dtype=torch.float64)
    part = torch.arange(5.0)[ranks.share(5)]
    infinite = torch.tensor([float("inf") if rank else 0.0])
    return {
        "total": ranks.total(mine).tolist(),
        "mine": mine.tolist(),
        "gathered": ranks.gathered(part, 5).tolist(),
        "infinite": ranks.total(infinite).item(),
        "agreed": ranks.agreed({"from": rank}),
        "writes": ranks.writes,
    }


def test_two_processes_learn_the_same():
    first, second = pair(shared)
    assert first.pop("mine") == [1.0, 10.0]
    assert second.pop("mine") == [2.0, 10.0]  # what was handed in stays
    assert (first.pop("writes"), second.pop("writes")) == (True, False)
    assert (
        first
        == second
        == {
            "total": [3.0, 20.0],
            "gathered": [0.0, 1.0, 2.0, 3.0, 4.0],
            "infinite": float("inf"),
            "agreed": {"from": 0},
        }
    )


def slope(ranks):
    """d/dx of (Σ over processes x²)², at x = rank + 1, of the mean over processes."""
    x = torch.tensor(float(ranks.place.rank + 1), requires_grad=True)
    (ranks.total_with_gradient(x.square()).square() / 2).backward()
    return x.grad.item()


def test_a_gradient_finds_its_way_into_every_process():
    assert pair(slope) == pytest.approx([2 * 5 * 2 * 1, 2 * 5 * 2 * 2])


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_a_gpu_that_is_not_there_is_named():
    assert device("auto", 0) == torch.device("cpu")
    with pytest.raises(InputError, match="PyTorch finds 0 here for process 1; choose hardware=cpu"):
        device("cuda", 0)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU here")
def test_a_gpu_is_taken_where_there_is_one():
    assert device("auto", 0) == device("cuda", 0) == torch.device("cuda", 0)


def test_after_an_error_one_is_alone_again():
    with pytest.raises(RuntimeError, match="within"), joined(ALONE, "cpu"):
        raise RuntimeError("within")
    assert current() == Ranks()


TORCHRUN = dict(
    zip(
        ("TORCHELASTIC_RUN_ID", "RANK", "WORLD_SIZE", "LOCAL_RANK", "LOCAL_WORLD_SIZE"),
        ("x", "3", "4", "1", "2"),
        strict=True,
    )
)
SLURM = {
    "SLURM_STEP_ID": "0",
    "SLURM_PROCID": "5",
    "SLURM_NTASKS": "6",
    "SLURM_LOCALID": "1",
    "SLURM_NNODES": "2",
    "SLURM_STEP_NODELIST": "gpu[07-08]",
    "SLURM_JOB_ID": "12",
}


def config(processes, sync=True):
    return {"hardware": {"processes": processes}, "sync_batch_norm": sync}


def test_torchrun_says_which_process_this_is():
    assert given(config(2), TORCHRUN) == Place(3, 4, 1, 2)
    assert given(config(2), {}) is None


def test_slurm_says_which_process_this_is():
    place = given(config(None), SLURM)
    assert (place.rank, place.world, place.local, place.locals) == (5, 6, 1, 3)
    assert place.address.startswith("gpu07:")
    assert place.address != given(config(None), SLURM | {"SLURM_STEP_ID": "1"}).address
    assert given(config(1), SLURM) is None  # an ordinary run inside a job of several tasks


def test_what_does_not_fit_is_refused_in_a_sentence():
    with pytest.raises(
        InputError, match="torchrun started 4 processes for one that is alone; add hardware=ddp"
    ):
        given(config(1), TORCHRUN)
    with pytest.raises(InputError, match=r"none started this one; write `srun -n 4"):
        given(config(None), {})
    with pytest.raises(InputError, match="5 tasks on 2 nodes: give each node as many"):
        given(config(None), SLURM | {"SLURM_NTASKS": "5"})
    with pytest.raises(InputError, match=r"holds for hardware\.processes=2, and torchrun started 4"):
        given(config(2, sync=False), TORCHRUN)


def test_numbers_of_slurm_nodes_keep_their_zeros():
    assert first_host("n[08,10-12]") == "n08"
