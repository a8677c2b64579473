import numpy as np
import pytest

from gensweep.data.base import Available, Source
from gensweep.data.corrupt import check_sizes, draw
from gensweep.errors import InputError
from gensweep.rng import Stream

POOL, TEST, EXTRA, CLASSES = 1000, 50, 80, 10

GOLDEN = {
    "train": [813, 33, 756],
    "confusion": [249, 971, 127],
    "poison": [302, 157, 630],
    "confusion_labels": [1, 1, 8],
}


def make(extra=False):
    """Each example is its own number, so that a split tells where it came from."""
    x = np.arange(POOL + TEST + EXTRA, dtype=np.float32)[:, None]
    y = np.arange(len(x)) % CLASSES
    train, test, more = slice(POOL), slice(POOL, POOL + TEST), slice(POOL + TEST, None)
    return Source(
        x[train],
        y[train],
        x[test],
        y[test],
        CLASSES,
        np.zeros(1),
        np.ones(1),
        x[more] if extra else None,
        y[more] if extra else None,
        note="a note",
    )


def numbers(split):
    return split.x[:, 0].astype(int).tolist()


def test_golden_draw():
    data = draw(make(), Stream(0), train_size=3, confusion_size=3, poison_size=3)
    assert data.train.index.tolist() == GOLDEN["train"]
    assert data.confusion.index.tolist() == GOLDEN["confusion"]
    assert data.poison.index.tolist() == GOLDEN["poison"]
    assert data.confusion.y.tolist() == GOLDEN["confusion_labels"]


@pytest.mark.parametrize("extra", [False, True])
def test_sets_are_disjoint_and_the_test_split_is_whole(extra):
    data = draw(make(extra), Stream(1), train_size=500, confusion_size=300, poison_size=70)
    sets = [numbers(split) for split in data.splits().values()]
    assert [len(s) for s in sets] == [500, 300, 70, TEST]
    assert len(set().union(*sets)) == 500 + 300 + 70 + TEST
    assert sets[3] == list(range(POOL, POOL + TEST))
    assert all((n >= POOL + TEST) == extra for n in sets[2])
    assert data.note == "a note"


@pytest.mark.parametrize("extra", [False, True])
def test_the_index_leads_to_the_example_and_its_true_label(extra):
    source = make(extra)
    data = draw(source, Stream(1), train_size=500, confusion_size=300, poison_size=70)
    came_from = {"train": source.train_x, "confusion": source.train_x, "test": source.test_x}
    came_from["poison"] = source.extra_x if extra else source.train_x
    for name, split in data.splits().items():
        assert split.index.dtype == np.int64
        assert np.array_equal(came_from[name][split.index], split.x)
        if name != "confusion":
            assert (split.y == split.x[:, 0] % CLASSES).all()


def test_train_sets_are_nested_with_their_labels():
    for random_labels in (False, True):
        large = draw(make(), Stream(2), 400, random_labels=random_labels).train
        small = draw(make(), Stream(2), 150, random_labels=random_labels).train
        assert np.array_equal(small.index, large.index[:150])
        assert np.array_equal(small.y, large.y[:150])


def test_other_sets_leave_the_train_set_alone():
    alone = draw(make(), Stream(2), 400)
    beside = draw(make(), Stream(2), 400, confusion_size=200, poison_size=300)
    more_poison = draw(make(), Stream(2), 400, confusion_size=200, poison_size=7)
    assert np.array_equal(alone.train.index, beside.train.index)
    assert np.array_equal(beside.confusion.index, more_poison.confusion.index)
    assert np.array_equal(beside.confusion.y, more_poison.confusion.y)
    fewer = draw(make(), Stream(2), 400, confusion_size=20).confusion
    assert np.array_equal(fewer.index, beside.confusion.index[:20])
    assert np.array_equal(fewer.y, beside.confusion.y[:20])


def test_no_train_size_takes_all_that_the_others_leave():
    data = draw(make(), Stream(3), confusion_size=100, poison_size=50)
    assert len(data.train) == 850
    together = np.concatenate([data.train.index, data.confusion.index, data.poison.index])
    assert sorted(together.tolist()) == list(range(POOL))


def test_random_labels_are_uniform_and_move_no_example():
    true, random = draw(make(), Stream(4)), draw(make(), Stream(4), random_labels=True)
    assert np.array_equal(true.train.index, random.train.index)
    assert (true.train.y == random.train.y).mean() == pytest.approx(1 / CLASSES, abs=0.04)
    assert np.bincount(random.train.y, minlength=CLASSES).min() > 60
    assert np.array_equal(true.test.y, random.test.y)


def test_confusion_labels_are_uniform_and_keep_lucky_ones():
    confusion = draw(make(), Stream(5), confusion_size=900).confusion
    assert (confusion.y == confusion.x[:, 0] % CLASSES).mean() == pytest.approx(1 / CLASSES, abs=0.04)
    assert np.bincount(confusion.y, minlength=CLASSES).min() > 60


def test_the_seed_moves_every_set():
    for name, first in draw(make(), Stream(0), 100, 100, False, 100).splits().items():
        second = draw(make(), Stream(1), 100, 100, False, 100).splits()[name]
        assert np.array_equal(first.index, second.index) == (name == "test")


@pytest.mark.parametrize(
    ("available", "sizes", "sentence"),
    [
        (
            Available(60_000),
            {"train_size": 70_000},
            "train_size=70000 + confusion_size=0 + poison_size=0 asks for 70,000 examples, "
            "but mnist has 60,000 to draw from; lower one of them.",
        ),
        (
            Available(60_000, 100),
            {"train_size": 50_000, "confusion_size": 10_001, "poison_size": 100},
            "train_size=50000 + confusion_size=10001 asks for 60,001 examples, "
            "but mnist has 60,000 to draw from; lower one of them.",
        ),
        (
            Available(60_000, 100),
            {"poison_size": 101},
            "poison_size=101 asks for 101 examples, but the extra split of mnist that they come from "
            "has 100; lower it.",
        ),
        (
            Available(60_000),
            {"confusion_size": 50_000, "poison_size": 10_000},
            "confusion_size=50000 + poison_size=10000 asks for 60,000 examples, but mnist has 60,000 to draw "
            "from and one at least must be left to train on; lower one of them.",
        ),
        (
            Available(60_000),
            {"train_size": 0},
            "train_size=0 is too small: mnist has 60,000 examples to draw from; give 1 or more.",
        ),
        (
            Available(60_000),
            {"poison_size": -1},
            "poison_size=-1 is too small: mnist has 60,000 examples to draw from; give 0 or more.",
        ),
    ],
)
def test_asking_for_too_much_names_both_numbers(available, sizes, sentence):
    with pytest.raises(InputError) as caught:
        check_sizes(available, **sizes, name="mnist")
    assert str(caught.value) == sentence


def test_sizes_that_just_fit():
    assert check_sizes(Available(100), 100) == 100
    assert check_sizes(Available(100), 60, 30, 10) == 60
    assert check_sizes(Available(100), None, 60, 39) == 1
    assert check_sizes(Available(100, 5), None, 0, 5) == 100


def test_draw_checks_too():
    with pytest.raises(InputError, match=r"1,001 examples, but the data set has 1,000"):
        draw(make(), Stream(0), train_size=1001)
