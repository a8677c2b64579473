"""A run whose solution is reparametrised: trained like any other, stored and measured as what it became."""

import json

import pytest
import torch
from safetensors.torch import load

from gensweep.errors import InputError
from gensweep.run import run
from gensweep.sweep.compose import composed
from gensweep.sweep.identity import run_id
from gensweep.table.shards import collect
from gensweep.table.store import Store

TINY = ("model=cnn", "model.width=2", "train_size=60", "budget.max_epochs=2", "measure=[error,norms]")


def made(outputs, *overrides):
    config = composed((*TINY, f"outputs='{outputs}'", *overrides))[0]
    assert run(config, say=lambda line: None) == "done"
    return Store(outputs).run(run_id(config))


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    outputs = tmp_path_factory.mktemp("runs")
    return {how: made(outputs, f"reparametrise={how}") for how in ("none", "layer", "batch_norm")}


def test_training_is_the_same_to_the_last_bit(runs):
    init = {how: run.read("init.safetensors") for how, run in runs.items()}
    assert init["layer"] == init["batch_norm"] == init["none"]
    plain, scaled = (load(runs[how].read("solution.safetensors")) for how in ("none", "batch_norm"))
    for name, tensor in plain.items():
        if name.endswith(("0.weight", "4.weight", "running_mean")):
            assert torch.equal(scaled[name], 4 * tensor)
        elif not name.endswith("running_var"):
            assert torch.equal(scaled[name], tensor)


def test_the_outcome_and_the_table_say_so(runs):
    table = collect(Store(runs["none"].folder.parents[1]))[0]
    once = table.drop_duplicates("run_id").set_index("reparametrise")
    assert set(once.index) == {"none", "layer", "batch_norm"}
    assert once.loc["none", "output_change"] == 0
    assert 0 <= once.loc["batch_norm", "output_change"] < 1e-5
    assert (
        json.loads(runs["layer"].read("outcome.json"))["output_change"] == once.loc["layer", "output_change"]
    )
    loss = table[(table["quantity"] == "loss") & (table["split"] == "test")].set_index("reparametrise")[
        "value"
    ]
    assert loss.tolist() == pytest.approx([loss["none"]] * 3, rel=1e-5)
    norm = table[table["quantity"] == "l2_norm"].set_index("reparametrise")["value"]
    assert min(norm["layer"], norm["batch_norm"]) > 1.1 * norm["none"]


def test_another_measure_finds_what_was_stored(runs):
    """The map is not applied a second time."""
    run = made(runs["layer"].folder.parents[1], "reparametrise=layer", "measure=[error,norms,path_norms]")
    assert run.run_id == runs["layer"].run_id
    table = collect(Store(run.folder.parents[1]))[0]
    paths = table[(table["run_id"] == run.run_id) & (table["quantity"] == "log10_l1_path_raw")]
    plain = made(run.folder.parents[1], "measure=[error,norms,path_norms]")
    other = collect(Store(plain.folder.parents[1]))[0]
    raw = other[(other["run_id"] == plain.run_id) & (other["quantity"] == "log10_l1_path_raw")]
    assert paths["value"].tolist() == pytest.approx(raw["value"].tolist(), abs=1e-6)


def test_a_network_without_a_place_says_so_before_it_is_trained(tmp_path, monkeypatch):
    monkeypatch.setattr("gensweep.run.fit", lambda *_: pytest.fail("it was trained"))
    monkeypatch.setattr("gensweep.models.cnn.nn.BatchNorm2d", lambda _: torch.nn.Identity())
    with pytest.raises(
        InputError, match="reparametrise=batch_norm needs batch norm after a layer, and CNN has"
    ):
        made(tmp_path, "reparametrise=batch_norm")
