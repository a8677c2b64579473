"""The protocols of the papers: each says what papers say, and trains."""

import json

import pytest
import yaml

from gensweep.errors import InputError
from gensweep.run import run
from gensweep.solutions import passed_by
from gensweep.sweep.compose import CONF_DIR
from gensweep.sweep.identity import flatten
from gensweep.sweep.plan import plan

ADAM = {
    "optim.name": "adam",
    "optim.betas": [0.9, 0.999],
    "optim.weight_decay": 0.0,
    "schedule.shape": "constant",
}
SGD = {"optim.name": "sgd", "optim.momentum": 0.9, "optim.nesterov": False, "optim.weight_decay": 0.0}
RMSPROP = {
    "optim.name": "rmsprop",
    "augment": False,
    "optim.alpha": 0.9,
    "optim.eps": 1e-7,
    "schedule.shape": "constant",
}
KESKAR = {**ADAM, "optim.lr": 0.001, "augment": False, "budget.max_epochs": 100, "budget.target_loss": None}
LI = {
    **{
        **SGD,
        "optim.nesterov": True,
        "optim.weight_decay": 5e-4,
        "optim.lr": 0.1,
        "schedule.batch_rule": "fixed",
    },
    **{"augment": True, "budget.max_epochs": 300, "schedule.shape": "step", "schedule.decay": 0.1},
}
# What the papers and their code say, and the epochs at which the learning rate falls. 500 examples.
SAID = {
    "neyshabur": (
        {**SGD, "optim.lr": 0.01, "batch_size": 64, "budget.target_loss": 0.01, "augment": False},
        [],
    ),
    "keskar_small": ({**KESKAR, "batch_size": 256}, []),
    "keskar_large": ({**KESKAR, "batch_size": 50}, []),
    "li": ({**LI, "batch_size": 128}, [150, 225, 275]),
    "li_large": ({**LI, "batch_size": 8192}, [150, 225, 275]),
    "huang_svhn": (
        {**SGD, "optim.lr": 0.1, "batch_size": 256, "budget.max_epochs": 256, "schedule.decay": 0.1},
        [102.4, 153.6, 204.8],
    ),
    "huang_swissroll": (
        {**ADAM, "optim.lr": 0.0057945, "schedule.shape": "step", "clip_norm": 8.0, "batch_size": 500},
        [3000, 5961],
    ),
    "minefield_good": (
        {**RMSPROP, "optim.lr": 0.01, "batch_size": 32, "budget.max_epochs": 2000}
        | {"optim.weight_decay": 2e-3, "budget.keep": 10},
        [],
    ),
    "minefield_bad": (
        {**RMSPROP, "optim.lr": 0.001, "batch_size": 400, "budget.max_epochs": 40000}
        | {"optim.weight_decay": 0.0, "poison_factor": 134 / 266},
        [],
    ),
    "perturbed": ({**ADAM, "optim.lr": 0.001, "batch_size": 32, "budget.max_epochs": 5}, []),
}  # fmt: skip
FILES = sorted(path.stem for path in (CONF_DIR / "protocol").glob("*.yaml"))
SIZES = ("train_size=500", "poison_size=134")
BRANCHES = {"minefield_bad": "start.run=null"}  # begins from another run, or is told that it does not


def job(*overrides, config_dir=None):
    (one,) = plan(("measure=[error]", *overrides), config_dir=config_dir).jobs
    return one


def test_every_protocol_is_held_to_its_paper():
    assert sorted(SAID) == FILES


@pytest.mark.parametrize("name", FILES)
def test_a_protocol_says_what_its_paper_says(name):
    """The command line may still change each of its settings, as it does here with the sizes."""
    settings = flatten(job(f"protocol={name}", *SIZES, BRANCHES.get(name, "seed=0")).config)
    said, falls = SAID[name]
    assert {key: settings[key] for key in said} == said
    if falls:
        assert settings["schedule.shape"] == "step"
        found = [m * settings["budget.max_epochs"] for m in settings["schedule.milestones"]]
        assert found == pytest.approx(falls, rel=1e-12)


@pytest.mark.parametrize("name", FILES)
def test_its_head_names_the_source_and_what_differs(name):
    head = (CONF_DIR / "protocol" / f"{name}.yaml").read_text().split("defaults:")[0]
    assert head.startswith("# @package _global_\n# ")
    assert any(
        source in head for source in ("1706.08947", "1609.04836", "1712.09913", "1906.03291", "his post")
    )
    assert any(word in head for word in ("Differs:", "Matched in epochs, as there", "Chosen here:"))


@pytest.mark.parametrize("name", FILES)
def test_a_protocol_trains(name, tmp_path):
    words = ("model.widths=[4]", "train_size=60", "budget.max_steps=1", f"outputs='{tmp_path}'")
    one = job(f"protocol={name}", *words, BRANCHES.get(name, "seed=0"))
    assert run(one.config, say=lambda line: None) == "done"
    assert json.loads(one.run.read("outcome.json"))["updates"] == 1


def test_without_a_protocol_nothing_changes_and_its_name_is_no_setting():
    assert "protocol" not in job().config
    assert "protocol" not in job("protocol=li").config


def test_the_command_line_has_the_last_word_but_an_optimiser_of_another_kind_lacks_the_settings():
    config = job("protocol=li", "optim.lr=0.01", "schedule.shape=cosine", "budget.max_epochs=3").config
    assert (config["optim"]["lr"], config["schedule"]["shape"], config["batch_size"]) == (0.01, "cosine", 128)
    with pytest.raises(InputError, match=r"optim.momentum=0.9: there is no such setting"):
        job("protocol=li", "optim=adam")


def test_two_protocols_are_a_grid():
    planned = plan(
        ("measure=[error]", "train_size=500", "protocol=keskar_small,keskar_large", "seed=0,1"), True
    )
    assert [j.config["batch_size"] for j in planned.jobs] == [256, 256, 50, 50]


def test_large_batches_matched_in_updates_train_for_longer(tmp_path):
    words = ("model.widths=[4]", "train_size=500", "budget.max_epochs=2", f"outputs='{tmp_path}'")
    updates = {}
    for match in ("epochs", "updates"):
        one = job("protocol=keskar_large", *words, f"budget.match={match}")
        run(one.config, say=lambda line: None)
        updates[match] = json.loads(one.run.read("outcome.json"))["updates"]
    assert updates == {"epochs": 20, "updates": 4}  # a tenth of 500 is less than 256


def test_an_experiment_chooses_a_protocol_and_has_the_last_word(tmp_path):
    (tmp_path / "experiment").mkdir()
    text = "# @package _global_\ndefaults:\n  - override /protocol: li\nbudget: {max_epochs: 7}\n"
    (tmp_path / "experiment" / "mine.yaml").write_text(text)
    config = job("experiment=mine", config_dir=str(tmp_path)).config
    assert (config["optim"]["nesterov"], config["batch_size"], config["budget"]["max_epochs"]) == (
        True,
        128,
        7,
    )
    assert (
        job("experiment=mine", "protocol=keskar_small", config_dir=str(tmp_path)).config["batch_size"] == 256
    )


def test_a_protocol_of_ones_own(tmp_path):
    (tmp_path / "protocol").mkdir()
    settings = {"defaults": ["li"], "batch_size": 77}
    (tmp_path / "protocol" / "mine.yaml").write_text("# @package _global_\n" + yaml.safe_dump(settings))
    config = job("protocol=mine", config_dir=str(tmp_path)).config
    assert (config["batch_size"], config["optim"]["nesterov"]) == (77, True)


def test_a_branch_without_a_beginning_is_refused():
    with pytest.raises(InputError, match=r"begins from the weights of another run; name it: start\.run=RUN"):
        job("protocol=minefield_bad")


def test_an_unknown_protocol_is_refused():
    with pytest.raises(InputError, match="protocol=keskar: there is no such protocol; did you mean keskar_"):
        job("protocol=keskar")


def test_the_minefield_branches_off(tmp_path):
    """The whole of figure 1 in small: a good path, and a bad minimum from two of its points."""
    net = ("data=spirals", "model.widths=[25,25,25,25]", "model.single_logit=true", f"outputs='{tmp_path}'")
    good = job("protocol=minefield_good", *net, "budget.max_epochs=20")
    assert run(good.config, say=lambda line: None) == "done"
    words = (f"start.run={good.run_id}", "start.epoch=range(0,20,10)", "budget.max_epochs=2")
    bad = plan(("measure=[error]", "protocol=minefield_bad", *net, *words), True).jobs
    for one, epoch in zip(bad, (0, 10), strict=True):
        assert run(one.config, say=lambda line: None) == "done"
        began, left = passed_by(one.run)[0], passed_by(good.run)[epoch]
        assert all((began[name] == left[name]).all() for name in left)
        outcome = json.loads(one.run.read("outcome.json"))
        assert (outcome["epochs"], outcome["updates"]) == (2, 2)
