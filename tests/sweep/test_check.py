"""Bad input is refused with a sentence that names key and value, before anything starts."""

import re

import pytest

from gensweep.errors import InputError
from gensweep.sweep.check import check, rule_for
from gensweep.sweep.compose import CONF_DIR, composed
from gensweep.sweep.identity import flatten

OUT_OF_RANGE = [
    *(f"poison_factor={v}" for v in ("nan", "inf", "-inf", "1.0", "1", "1.7", "-0.1", "1e9")),
    *(f"poison_factor={v}" for v in ("banana", "true", "null", "[]", "[0.1]", "''", "{}")),
    *(f"train_size={v}" for v in ("0", "-5", "60.0", "true", "many", "1e9", "9223372036854775808")),
    *(f"batch_size={v}" for v in ("0", "-1", "null", "1.5", "false")),
    *(f"seed={v}" for v in ("-1", "1.5", "true", "null", "10000000000000000000000")),
    *(f"confusion_size={v}" for v in ("-1", "0.5", "nan")),
    "poison_size=-1",
    "random_labels=1",
    "random_labels=maybe",
    "precision=float16",
    "reparametrise=scale",
    *(f"model.widths={v}" for v in ("[]", "[0]", "[-8]", "8", "[true]", "[8,null]", "[8.0]")),
    *(f"optim.lr={v}" for v in ("0", "-1", "nan", "inf", "1e400", "fast", "true")),
    *(f"optim.betas={v}" for v in ("[]", "[0.9]", "[0.9,0.9,0.9]", "[0.9,1.0]", "0.9")),
    "optim.weight_decay=-1",
    *(f"budget.max_epochs={v}" for v in ("0", "-1", "null", "1.5")),
    "budget.max_steps=0",
    *(f"budget.target_loss={v}" for v in ("0", "nan", "inf", "true")),
    "budget.check_every=0",
    "hardware.accelerator=tpu",
    "hardware.threads=0",
    "hardware.jobs=0",
    "measure.slice.points=1",
    *(f"measure.basin.cutoffs={v}" for v in ("[]", "[0]", "[null]", "0.1")),
    "measure.basin.directions=0",
    "measure.basin.metric=banana",
    "measure.basin.relative=1",
    "measure.margin.quantiles=[]",
    "measure.margin.quantiles=[1.1]",
    *(f"outputs={v}" for v in ("null", "3", "[a]", "''", "true")),
    "data_dir=null",
]
UNKNOWN = [
    ("posion_factor=0.3", "posion_factor: there is no such setting; did you mean poison_factor?"),
    ("+posion_factor=0.3", "posion_factor=0.3: there is no such setting; did you mean poison_factor?"),
    ("++posion_factor=0.3", "posion_factor=0.3: there is no such setting; did you mean poison_factor?"),
    ("+typo=1", "typo=1: there is no such setting"),
    ("+typo={}", "typo={}: there is no such setting"),
    ("model.width=[8]", "model.width: there is no such setting; did you mean model.widths"),
    ("+model.depth=3", "model.depth=3: there is no such setting"),
    ("+measure.error.x=1", "measure.error.x=1: there is no such setting"),
    ("+measure.error.x={}", "measure.error.x={}: there is no such setting"),
    ("poison_factor={a:1}", "poison_factor.a=1: there is no such setting; did you mean poison_factor?"),
    ("measure.basin=3", "measure.basin=3: there is no such setting"),
    ("model=mlp_wid", "model=mlp_wid: there is no such model; did you mean mlp_wide"),
    ("model=transformer", "model=transformer: there is no such model; known: cnn, keskar_c1, "),
    ("data=digit", "data=digit: there is no such data; did you mean digits?"),
    ("measure=[errr]", "measure=errr: there is no such measure; did you mean error?"),
    ("+scale=huge", "scale=huge: there is no such scale; known: laptop, paper, smoke"),
    ("experiment=quick", "experiment=quick: there is no such experiment; did you mean quickstart?"),
]
DELETED = [
    "~seed",
    "~poison_factor",
    "~model",
    "~model.widths",
    "~optim.lr",
    "~budget",
    "~logger",
    "~outputs",
]
TARGETS = [
    "model._target_=os.system",
    "data._target_=os.system",
    "optim._target_=os.system",
    "logger._target_=os.system",
    "measure.error._target_=os.system",
    "+_target_=os.system",
    "+optim.x._target_=os.system",
    "+optim.x={_target_:os.system}",
    "+data.x=[{_target_:os.system}]",
    "model.widths=[{_target_:os.system}]",
    "outputs={_target_:os.system}",
    "+measure.evil={_target_:os.system}",
    "++measure.error={_target_:os.system}",
    "+measure.error.x.y._target_=os.system",
    "+hydra.launcher.x={_target_:os.system}",
    "+hydra.launcher.x=[{_target_:os.system}]",
    "+hydra.launcher.x._target_=os.system",
    "hydra.launcher._target_=os.system",
    "+hydra.callbacks.x._target_=os.system",
    "+hydra.callbacks.x={_target_:os.system}",
]
FIXED = [
    "hydra.run.dir=/elsewhere",
    "hydra.sweep.dir=/elsewhere",
    "hydra.searchpath=[file:///elsewhere]",
    "hydra/sweeper=basic",
    "hydra/job_logging=default",
    "hydra.job.chdir=true",
    "hydra.output_subdir=x",
    "+hydra.job.env_set.LD_PRELOAD=x",
    "~hydra.callbacks",
    "hydra.sweeper.params={seed:1}",
]
CONTRADICTIONS = [
    (["poison_factor=0.3"], "poison_factor=0.3 needs a poison set, but poison_size=0"),
    (["model.single_logit=true"], "model.single_logit=true needs two classes, and digits has more"),
    (["model=vgg16"], "model=vgg16 halves images until nothing is left of 8 pixels (digits); it needs 32"),
    (["model=keskar_c2", "data=mnist"], "model=keskar_c2 halves images until nothing is left of 28 pixels"),
    (["model=cnn", "data=spirals"], "model=cnn takes images, and spirals has points; choose model=mlp"),
    (["reparametrise=batch_norm"], "reparametrise=batch_norm needs batch norm, and mlp has none"),
    (["reestimate_batch_norm=true"], "reestimate_batch_norm=true needs batch norm, and mlp has none; choose"),
    (
        ["model=vgg_neyshabur", "data=cifar10", "model.hidden_norm=false", "reestimate_batch_norm=true"],
        "reestimate_batch_norm=true needs batch norm, and vgg_neyshabur has none",
    ),
    (["measure.basin.min_radius=20"], "measure.basin.min_radius=20.0 must be below"),
    (["optim=sgd", "optim.nesterov=true", "optim.momentum=0"], "optim.nesterov=true needs a momentum"),
    (
        ["measure=[adaptive_sharpness]", "measure.adaptive_sharpness.rho=[0.1]"],
        "measure.adaptive_sharpness.rho=[0.1] needs one number for each of",
    ),
    (["measure=[]"], "measure=[] is empty; name at least one"),
]
GROUPS = ("budget", "data", "hardware", "logger", "measure", "model", "optim")


def refusal(*overrides):
    with pytest.raises(InputError) as caught:
        composed(overrides)
    sentence = str(caught.value)
    assert "\n" not in sentence
    return sentence


@pytest.mark.parametrize("override", OUT_OF_RANGE)
def test_a_value_out_of_range_is_named_with_its_key(override):
    key, _, value = override.partition("=")
    sentence = refusal(override)
    assert sentence.startswith(f"{key}=")
    assert " is not " in sentence
    if re.fullmatch(r"-?[a-z]+|-?\d(\.\d+)?", value) and value not in ("true", "false", "null"):
        assert sentence.startswith(f"{key}={value} is not ")


@pytest.mark.parametrize(("override", "beginning"), UNKNOWN)
def test_an_unknown_name_is_refused_with_the_nearest(override, beginning):
    assert refusal(override).startswith(beginning)


@pytest.mark.parametrize("override", DELETED)
def test_a_setting_cannot_be_deleted(override):
    assert refusal(override).startswith(override)


@pytest.mark.parametrize("override", TARGETS)
def test_no_override_brings_a_foreign_target(override):
    assert refusal(override)


@pytest.mark.parametrize("override", FIXED)
def test_the_inner_parts_of_hydra_are_out_of_reach(override):
    assert "is fixed by gensweep" in refusal(override)


@pytest.mark.parametrize("override", ["outputs=${oc.env:HOME}", "data_dir=${seed}", "optim.lr=${oc.env:LR}"])
def test_an_override_reads_nothing_from_elsewhere(override):
    assert refusal(override).startswith(override)


@pytest.mark.parametrize(("overrides", "beginning"), CONTRADICTIONS)
def test_settings_that_contradict_each_other_are_refused_together(overrides, beginning):
    assert refusal(*overrides).startswith(beginning)


@pytest.mark.parametrize("override", [f"{group}=null" for group in GROUPS])
def test_a_group_cannot_be_null(override):
    assert override in refusal(override)


@pytest.mark.parametrize("override", ["=3", "a b=", "seed=[1", "seed"])
def test_what_is_no_override_is_refused(override):
    assert override in refusal(override)


# Every file of every group; experiments and scales only choose and set.
SHIPPED = [(group, path.stem) for group in GROUPS for path in sorted((CONF_DIR / group).glob("*.yaml"))]


@pytest.mark.parametrize(("group", "name"), SHIPPED)
def test_every_number_in_a_shipped_file_has_a_rule_and_obeys_it(group, name):
    choice = f"measure=[{name}]" if group == "measure" else f"{group}={name}"
    pair = {"mlp": [], "mlp_swissroll": ["data=swissroll"]}.get(name, ["data=cifar10"] * (group == "model"))
    config = composed((choice, *pair))[0]
    free = {p: v for p, v in flatten(config).items() if rule_for(p) is None and not isinstance(v, str)}
    assert free == {}


def test_a_deleted_leaf_of_a_plain_config_is_refused():
    with pytest.raises(InputError, match="~seed: a setting cannot be deleted"):
        check({}, {"seed": 0})


def test_user_files_beside_the_built_in_ones_are_checked_alike(tmp_path):
    (tmp_path / "model").mkdir()
    text = "_target_: gensweep.models.mlp.MLP\nname: tiny\nwidths: [{}]\nsingle_logit: false\n"
    (tmp_path / "model" / "tiny.yaml").write_text(text.format(4))
    (tmp_path / "model" / "bad.yaml").write_text(text.format(0))
    assert composed(("model=tiny",), str(tmp_path))[0]["model"]["widths"] == [4]
    with pytest.raises(InputError, match=r"model.widths=\[0\] is not a list, each of it a whole number"):
        composed(("model=bad",), str(tmp_path))


@pytest.mark.parametrize(
    "part", ["callbacks: {x: {_target_: os.getcwd}}", "sweeper: {params: {seed: {_target_: a.b}}}"]
)
def test_a_user_file_brings_no_code_through_hydra(tmp_path, part):
    (tmp_path / "experiment").mkdir()
    (tmp_path / "experiment" / "evil.yaml").write_text(f"# @package _global_\nhydra: {{{part}}}\n")
    with pytest.raises(InputError, match=r"hydra.(callbacks is fixed|sweeper may not name a _target_)"):
        composed(("experiment=evil",), str(tmp_path))
