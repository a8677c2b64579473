"""The science names a run, and nothing else does."""

import copy

import pytest

from gensweep.sweep.check import coerced
from gensweep.sweep.compose import composed
from gensweep.sweep.identity import SCIENCE, data_seed, fingerprint, flatten, run_id, science, shards


@pytest.fixture(scope="module")
def config():
    return composed(("poison_size=40",))[0]


def named(*overrides):
    return run_id(composed(("poison_size=40", *overrides))[0])


@pytest.mark.parametrize(
    "override",
    [
        "hardware.threads=2",
        "hardware.compile=true",
        "hardware.jobs=7",
        "logger.flush_logs_every_n_steps=5",
        "data_dir=elsewhere",
        "outputs=elsewhere",
        "measure=[norms]",
        "measure.basin.directions=3",
    ],
)
def test_what_cannot_change_the_network_does_not_move_the_name(config, override):
    assert named(override) == run_id(config)


@pytest.mark.parametrize(
    "override",
    [
        "seed=1",
        "data_seed=0",
        "poison_factor=0.1",
        "batch_size=32",
        "train_size=100",
        "confusion_size=1",
        "poison_size=41",
        "random_labels=true",
        "precision=float64",
        "reparametrise=layer",
        "data=swissroll",
        "model=mlp_20",
        "model.widths=[8]",
        "optim=sgd",
        "optim.lr=0.001",
        "optim.betas=[0.8,0.999]",
        "budget.max_epochs=3",
        "budget.max_steps=3",
        "budget.target_loss=0.1",
        "budget.check_every=2",
    ],
)
def test_what_can_change_the_network_moves_the_name(config, override):
    assert named(override) != run_id(config)


def test_every_science_key_is_in_the_config_and_moves_the_name(config):
    for key in SCIENCE:
        other = copy.deepcopy(config)
        other[key] = {**other[key], "more": 1} if isinstance(other[key], dict) else "another"
        assert run_id(other) != run_id(config), key


def test_the_order_of_keys_does_not_move_the_name(config):
    def turned(node):
        return {k: turned(node[k]) for k in reversed(node)} if isinstance(node, dict) else node

    assert list(turned(config)) != list(config)
    assert run_id(turned(config)) == run_id(config)


@pytest.mark.parametrize("zero", ["0", "0.0", "0e0", "-0.0"])
def test_all_zeros_name_one_run(config, zero):
    assert named(f"poison_factor={zero}") == run_id(config)


def test_whole_numbers_become_floats_only_where_floats_are_meant():
    given = {"poison_factor": 0, "seed": 0, "optim": {"lr": 1, "betas": [0, 0.5], "nesterov": True}}
    made = coerced(given)
    assert repr(made) == repr(
        {"poison_factor": 0.0, "seed": 0, "optim": {"lr": 1.0, "betas": [0.0, 0.5], "nesterov": True}}
    )


def test_whether_data_was_downloaded_is_not_science():
    config = composed(("data=mnist",))[0]
    assert "download" in config["data"]
    assert "download" not in science(config)["data"]


def test_a_shard_is_named_by_its_measure_and_settings(config):
    other = copy.deepcopy(config)
    other["measure"]["basin"]["directions"] += 1
    before, after = shards(config), shards(other)
    assert {name for name in before if before[name] != after[name]} == {"basin"}
    assert before["basin"].startswith("basin-")


def test_a_fingerprint_refuses_what_json_cannot_say():
    with pytest.raises(ValueError, match="JSON"):
        fingerprint({"a": float("nan")})


def test_an_empty_group_is_a_leaf():
    assert flatten({"a": {}, "b": {"c": {}}}) == {"a": {}, "b.c": {}}


def test_the_data_seed_is_the_seed_unless_it_is_given(config):
    assert config["data_seed"] is None
    assert data_seed(config) == config["seed"] == 0
    assert data_seed({**config, "data_seed": 7}) == 7
    assert len({named("data_seed=0"), named("data_seed=1"), run_id(config)}) == 3
    assert science(composed(("data_seed=0",))[0])["data_seed"] == 0
