"""A run whose batch norms take their statistics anew at the end: those of the clean examples."""

import pytest
import torch
from safetensors.torch import load
from torch import nn

from gensweep.data.resident import resident
from gensweep.errors import InputError
from gensweep.parts import build
from gensweep.parts import load as loaded_data
from gensweep.run import run
from gensweep.solutions import loaded
from gensweep.sweep.plan import plan
from gensweep.table.shards import collect
from gensweep.table.store import Store

TINY = (
    *("model=cnn", "model.width=2", "precision=float64", "budget.max_epochs=3", "measure=[error]"),
    *("train_size=50", "confusion_size=10", "poison_size=20", "poison_factor=0.3", "augment=true"),
)


def made(outputs, *overrides):
    (job,) = plan((*TINY, f"outputs='{outputs}'", *overrides)).jobs
    assert run(job.config, say=lambda line: None) == "done"
    return job


@pytest.fixture(scope="module")
def jobs(tmp_path_factory):
    outputs = tmp_path_factory.mktemp("runs")
    return made(outputs), made(outputs, "reestimate_batch_norm=true")


def solution(job):
    return load(job.run.read("solution.safetensors"))


def test_every_batch_norm_normalises_the_clean_examples_exactly(jobs):
    """Known answer: what enters a batch norm has its stored mean and variance, un-augmented, in eval mode."""
    job = jobs[1]
    data = loaded_data(job.config)
    model = build(job.config["model"], data).double()
    network = loaded(job.run, model, None).model
    seen = {}
    norms = [m for m in network.modules() if isinstance(m, nn.BatchNorm2d)]
    for norm in norms:
        norm.register_forward_pre_hook(lambda m, given: seen.update({m: given[0]}))
    x, _ = resident(data.clean, data, torch.device("cpu"), torch.float64)
    assert len(x) == 60
    with torch.no_grad():
        network(x)
    assert len(seen) == len(norms) > 1
    for norm, values in seen.items():
        variance, mean = torch.var_mean(values.transpose(0, 1).flatten(1), 1, correction=0)
        assert torch.allclose(norm.running_mean, mean, rtol=1e-10, atol=1e-12)
        assert torch.allclose(norm.running_var, variance, rtol=1e-10, atol=1e-12)


def test_the_weights_stay_and_the_statistics_do_not(jobs):
    plain, anew = map(solution, jobs)
    moved = {name for name in plain if not torch.equal(plain[name], anew[name])}
    assert moved == {name for name in plain if name.rpartition(".")[2] in ("running_mean", "running_var")}


def test_what_is_measured_has_the_new_statistics(jobs):
    table = collect(Store(jobs[0].run.folder.parents[1]))[0]
    loss = table[(table["quantity"] == "loss") & (table["split"] == "train")].set_index("run_id")["value"]
    plain, anew = (loss[job.run_id] for job in jobs)
    assert abs(plain - anew) > 1e-3


def test_reparametrised_afterwards_the_function_is_that_of_the_new_statistics(jobs):
    moved = made(jobs[0].run.folder.parents[1], "reestimate_batch_norm=true", "reparametrise=batch_norm")
    table = collect(Store(moved.run.folder.parents[1]))[0]
    loss = table[(table["quantity"] == "loss") & (table["split"] == "test")].set_index("run_id")["value"]
    assert loss[moved.run_id] == pytest.approx(loss[jobs[1].run_id], rel=1e-9)


def test_a_network_without_statistics_says_so_before_it_is_trained(tmp_path, monkeypatch):
    monkeypatch.setattr("gensweep.run.fit", lambda *_: pytest.fail("it was trained"))
    norm = nn.BatchNorm2d
    monkeypatch.setattr("gensweep.models.cnn.nn.BatchNorm2d", lambda n: norm(n, track_running_stats=False))
    with pytest.raises(
        InputError, match=r"reestimate_batch_norm=true needs batch norm that keeps its stat.* CNN"
    ):
        made(tmp_path, "reestimate_batch_norm=true")
