"""`gensweep measure RUN measure.interpolation.other=RUN2`, on runs that are stored without training."""

import json

import pytest
import torch

from gensweep.cli import main
from gensweep.geometry.risk import Risk
from gensweep.geometry.solution import Layout, Solution
from gensweep.models.build import drawn
from gensweep.parts import build, load
from gensweep.rng import Stream
from gensweep.solutions import saved, state
from gensweep.sweep.identity import science
from gensweep.sweep.plan import plan
from gensweep.table.shards import decoded
from gensweep.table.store import Store

TINY = ("train_size=40", "model.widths=[6]", "precision=float64", "measure=[error]")
OTHERS = {
    "here": (),
    "fellow": ("batch_size=7",),
    "wide": ("model.widths=[7]",),
    "single": ("precision=float32",),
    "seed": ("seed=1",),
    "labels": ("random_labels=true",),
    "points": ("data=swissroll",),
}


def stored(words):
    """Commit the run of these words with weights that nobody trained."""
    (job,) = plan((*TINY, *words)).jobs
    rng = Stream(job.config["seed"])
    data = load(job.config)
    model = drawn(lambda: build(job.config["model"], data), rng.child("model"))
    model.to(getattr(torch, job.config["precision"])).eval()
    init_P = Layout.of(model).pack(dict(model.named_parameters()))
    draw = torch.from_numpy(Stream(len(str(words))).normal(len(init_P)))
    solution = Solution(model, init_P + 0.1 * draw.to(init_P), init_P)
    facts = {"state": "trained", "epochs": 1, "updates": 1, "train_seconds": 0.0, "data_note": ""}
    job.run.folder.mkdir(parents=True)
    job.run.commit(saved(solution, data, science(job.config), facts, {0: state(model)}))
    job.run.set_state("done")
    return job.run_id, solution, data


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("store")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        made = {name: stored(words) for name, words in OTHERS.items()}
        empty = Store(folder / "outputs").run("0" * 12)
        empty.folder.mkdir()
    return folder, made


@pytest.fixture
def runs(folder, monkeypatch):
    monkeypatch.chdir(folder[0])
    return folder[1]


def measure(run_id, other, *words):
    with pytest.raises(SystemExit) as left:
        main(["measure", run_id, "measure=interpolation", f"measure.interpolation.other={other}", *words])
    return left.value.code


def shards(run_id):
    run = Store(plan(TINY).store.outputs).run(run_id)
    return [decoded(run.read(n)) for n in run.manifest() if n.startswith("rows/interpolation")]


def test_the_line_ends_at_the_other_run_and_is_stored_under_its_full_name(runs, capsys):
    (here, solution, data), (fellow, other, _) = runs["here"], runs["fellow"]
    assert measure(here, fellow[:7]) == 0
    ((rows, provenance),) = shards(here)
    assert json.loads(provenance["settings"])["other"] == fellow
    table = rows.to_pandas()
    for split in ("train", "test"):
        for x, end in ((0.0, solution), (1.0, other)):
            row = table[(table.quantity == "loss") & (table.split == split) & (table.x == x)]
            expected = Risk(end, data.splits()[split], data)(end.theta_P)
            assert row.value.item() == pytest.approx(expected, rel=1e-12)
    assert measure(here, fellow) == 0  # the same settings, however much of the name was typed
    assert len(shards(here)) == 1
    assert capsys.readouterr().out.count("measured interpolation") == 1


def test_the_beginning_needs_no_other_run(runs):
    assert measure(runs["seed"][0], "init") == 0
    ((_, provenance),) = shards(runs["seed"][0])
    assert json.loads(provenance["settings"])["other"] == "init"


@pytest.mark.parametrize(
    ("other", "sentence"),
    [
        ("zzz", "measure.interpolation.other=zzz: zzz names 0 runs"),
        ("123456789", "measure.interpolation.other=123456789: 123456789 names 0 runs"),
        ("12e4", "measure.interpolation.other=12e4: 12e4 names 0 runs"),
        ("000000", "run 000000000000 has no undamaged solution; it is planned"),
        ("fellow", "is run FELLOW itself; name another one, or init"),
        ("wide", "run WIDE has another network than run FELLOW; model and precision must be the same"),
        ("single", "run SINGLE has another network than run FELLOW"),
        ("points", "run POINTS has other training or test examples than run FELLOW"),
        (
            "seed",
            "run SEED has other training or test examples than run FELLOW; data, sizes, labels and the seed",
        ),
        ("labels", "run LABELS has other training or test examples than run FELLOW"),
    ],
)
def test_what_no_line_leads_to_is_one_sentence_and_leaves_nothing(runs, capsys, other, sentence):
    fellow = runs["fellow"][0]
    for name, (run_id, *_) in runs.items():
        sentence = sentence.replace(name.upper(), run_id)
    before = Store(plan(TINY).store.outputs).run(fellow).manifest()
    assert measure(fellow, runs[other][0] if other in runs else other) == 2
    said = capsys.readouterr().err
    assert sentence in said
    assert said.count("\n") == 1
    assert Store(plan(TINY).store.outputs).run(fellow).manifest() == before


def test_of_several_runs_none_is_measured_when_one_does_not_fit(runs, capsys):
    here, labels, seed = (runs[n][0] for n in ("fellow", "labels", "seed"))
    assert measure(here, seed, labels) == 2
    assert shards(here) == shards(labels) == []


def test_another_seed_fits_when_the_examples_are_the_same(runs, capsys):
    """All digits, in another order: the seed moves no example from train to test."""
    whole = [stored(("train_size=null", f"seed={seed}"))[0] for seed in (3, 4)]
    assert measure(*whole, "measure.interpolation.steps=1", "measure.interpolation.beyond=0") == 0


def test_points_that_are_made_under_another_seed_are_other_points(runs, capsys):
    rolls = [stored(("data=swissroll", "train_size=null", f"seed={seed}"))[0] for seed in (3, 4)]
    assert measure(*rolls) == 2
    assert "other training or test examples" in capsys.readouterr().err


@pytest.mark.parametrize("verb", ["run", "plan"])
def test_a_run_that_is_yet_to_be_trained_names_no_other(runs, capsys, verb):
    with pytest.raises(SystemExit) as left:
        main([verb, *TINY[:3], "measure=[interpolation]", "measure.interpolation.other=abc"])
    assert left.value.code == 2
    said = capsys.readouterr().err
    assert "measure.interpolation: abc is no run that is trained; in a sweep say how it differs" in said
    assert "`gensweep measure RUN measure=interpolation`" in said
