"""Settings that the size of the data set decides."""

import pytest

from gensweep.errors import InputError
from gensweep.sweep.plan import plan
from gensweep.sweep.sizes import of


def job(*overrides):
    return plan(("measure=[error]", *overrides)).jobs[0]


@pytest.mark.parametrize(
    ("overrides", "batch_size"),
    [
        (["train_size=500"], 50),
        (["train_size=400", "confusion_size=100"], 50),
        (["train_size=500", "poison_size=300"], 50),
        (["train_size=509"], 50),
        (["train_size=9"], 1),
        (["poison_size=100"], 120),  # the 1,200 that are left
    ],
)
def test_a_share_is_of_train_and_confusion_set(overrides, batch_size):
    share, number = (job(*overrides, f"batch_size={b}") for b in ("10%", batch_size))
    assert share.config["batch_size"] == batch_size
    assert share.run_id == number.run_id


def test_shares_are_exact():
    assert [of(f"{k}%", 100) for k in range(1, 101)] == [*range(1, 101)]
    assert of("0.1%", 50_000) == 50
    assert of("28.999999999%", 100) == 28


def test_a_share_and_its_number_are_one_job_of_a_sweep():
    planned = plan(("measure=[error]", "train_size=500", "batch_size=10%,50,20%"), True)
    assert [j.config["batch_size"] for j in planned.jobs] == [50, 100]
    assert planned.duplicates == 1


@pytest.mark.parametrize("share", ["0%", "0.0%", "101%", "-5%", "%", "10%%", "1e1%", "ten%", "nan%"])
def test_what_is_no_share_is_refused(share):
    with pytest.raises(
        InputError, match=r"batch_size=.* is not a whole number, 1 or more, or a share of the"
    ):
        job(f"batch_size={share}")


def test_a_list_of_epochs_is_held_against_the_epochs_of_this_batch_size():
    """500 examples: 8 updates per epoch at the reference of 64, one per epoch in full batches."""
    words = ("train_size=500", "budget.max_epochs=10", "batch_size=100%", "budget.match=updates")
    assert job(*words, "budget.keep=[1,80]").config["budget"]["keep"] == [1, 80]
    with pytest.raises(
        InputError, match=r"asks for weights after epoch 81, but training ends after 80 epochs"
    ):
        job(*words, "budget.keep=[1,81]")
    with pytest.raises(InputError, match=r"budget\.keep=81 asks for weights after epoch 81"):
        job(*words, "budget.keep=81")
