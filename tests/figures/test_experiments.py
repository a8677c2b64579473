"""The experiment of every figure, at every scale: composed, planned, and its networks tried."""

import re
from pathlib import Path

import pyarrow as pa
import pytest
import torch
from pyarrow import parquet

from gensweep.data.facts import IMAGES
from gensweep.figures import base
from gensweep.parts import part
from gensweep.sweep.compose import CONF_DIR, composed
from gensweep.sweep.grid import grid, typed
from gensweep.sweep.identity import fingerprint
from gensweep.sweep.plan import point
from gensweep.sweep.references import settled

ROOT = Path(__file__).parents[2]
SHAPES = {"digits": (1, 8, 8), "swissroll": (2,), "spirals": (2,)}
CHOICES = ("data", "model", "protocol", "measure", "optim", "schedule")
COLUMNS = {"cifar10": ("img", "label"), "cifar100": ("img", "fine_label")}


@pytest.fixture(scope="session")
def data_dir(tmp_path_factory):
    """Files that hold as many images as the real ones, none of which can be opened."""
    folder = tmp_path_factory.mktemp("data")
    for name in ("mnist", "cifar10", "cifar100", "svhn"):
        image, label = COLUMNS.get(name, ("image", "label"))
        kind = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
        for split, size in IMAGES[name].sizes.items():
            table = pa.table({image: pa.nulls(size, kind), label: pa.array([0] * size)})
            (folder / name).mkdir(exist_ok=True)
            parquet.write_table(table, folder / name / f"{split}-00000-of-00001.parquet")
    return folder


def figures():
    """The figures that the Makefile draws, in its order."""
    text = (ROOT / "Makefile").read_text().replace("\\\n", "")
    return re.search(r"^FIGURES := (.*)$", text, re.M)[1].split()


def kinds(name, scale, folder):
    """Of every kind of run of an experiment the first: another data set, network, protocol or measures."""
    words = (f"experiment={name}", f"+scale={scale}", f"data_dir='{folder}'", f"outputs='{folder}/none'")
    _, hydra_part = composed(words)
    found = {}
    for point_ in grid(hydra_part, typed(words)):
        kind = tuple(w for w in point_ if w.partition("=")[0].partition(".")[0] in CHOICES)
        found.setdefault(kind, tuple(point_))
    return list(found.values())


def shares(name):
    """Whether the experiment is another one under a name of its own."""
    text = (CONF_DIR / "experiment" / f"{name}.yaml").read_text()
    return any(f"defaults:\n  - {other}\n" in text for other in figures())


def job(words):
    """The job of a command line that may refer to others."""
    line, needs = settled(words, lambda other, needs: point(other, None, needs).run_id)
    return point(line, None, needs)


def test_every_figure_of_the_makefile_has_a_module_and_an_experiment_and_no_other_is_there():
    assert sorted(figures()) == base.names()
    assert len(figures()) == 24
    files = {path.stem for path in (CONF_DIR / "experiment").glob("*.yaml")}
    assert files == {*figures(), "quickstart"}


@pytest.mark.parametrize("name", figures())
def test_the_head_of_an_experiment_asks_its_question_and_names_figure_and_source(name):
    text = (CONF_DIR / "experiment" / f"{name}.yaml").read_text()
    head = " ".join(line.lstrip("# ") for line in text.splitlines() if line.startswith("#"))
    assert "Question: " in head
    assert "?" in head
    assert f"figures/{name.replace('-', '_')}.py" in head
    assert any(source in head for source in ("et al.", "Osmulski", "open"))


@pytest.mark.parametrize("name", figures())
def test_every_scale_of_an_experiment_can_be_planned(name, data_dir):
    for scale in ("smoke", "laptop", "paper"):
        for words in kinds(name, scale, data_dir)[: 1 if shares(name) else None]:
            found = job(words).config
            real = found["data"]["name"] in IMAGES
            assert not (scale == "smoke" and real), f"{name} at smoke scale needs files"


@pytest.mark.faults  # two minutes: `make test-faults` runs it
def test_every_network_of_the_papers_makes_one_step(data_dir):
    seen = {}
    for name in (name for name in figures() if not shares(name)):
        for words in kinds(name, "paper", data_dir):
            config = job(words).config
            seen[fingerprint([config["model"], config["data"]["name"]])] = config
    assert len(seen) > 15
    for config in seen.values():
        shape = SHAPES.get(config["data"]["name"]) or IMAGES[config["data"]["name"]].shape
        classes = 2 if len(shape) == 1 else 10
        torch.manual_seed(0)
        model = part(config["model"])(input_shape=shape, num_classes=classes)
        x, y = torch.randn(2, *shape), torch.arange(2) % classes
        optimiser = part(config["optim"])(model.parameters())
        before = torch.cat([p.detach().flatten() for p in model.parameters()])
        torch.nn.functional.cross_entropy(model(x), y).backward()
        optimiser.step()
        after = torch.cat([p.detach().flatten() for p in model.parameters()])
        assert torch.isfinite(after).all(), config["model"]
        assert not torch.equal(before, after), config["model"]
