"""Which launchers a command may name, and what they learn of the runs; all of it before anything is made."""

import importlib.util

import pytest
from hydra import compose
from hydra.core.hydra_config import HydraConfig
from omegaconf import OmegaConf

from gensweep.cli import main
from gensweep.errors import InputError
from gensweep.place import Place, given, others_started
from gensweep.sweep import engine
from gensweep.sweep.compose import composer
from gensweep.sweep.plan import plan

WORDS = ["train_size=40", "seed=0,1", "measure=[error]"]
BY = "hydra/launcher="


@pytest.fixture(autouse=True)
def installed(monkeypatch):
    """Whether the launchers are there, whatever is; a list with one answer, which a test may change."""
    found, answer = importlib.util.find_spec, [object()]

    def find(name, *rest):
        return answer[0] if name.startswith("hydra_plugins.hydra_") else found(name, *rest)

    monkeypatch.setattr(importlib.util, "find_spec", find)
    return answer


def refused(*words, multirun=True, config_dir=None):
    with pytest.raises(InputError) as caught:
        plan([*WORDS, *words], multirun, config_dir)
    return str(caught.value)


@pytest.mark.parametrize(
    ("launcher", "extra"),
    [("joblib", "joblib"), ("ray", "ray"), ("submitit_local", "submitit"), ("submitit_slurm", "submitit")],
)
def test_a_missing_launcher_says_what_to_install(launcher, extra, installed, monkeypatch, tmp_path, capsys):
    installed[0] = None
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit) as ended:
        main(["run", "-m", "train_size=41", f"{BY}{launcher}", "hardware.accelerator=cpu"])
    assert ended.value.code == 2
    assert f"hydra/launcher={launcher} needs a package that is not installed" in capsys.readouterr().err
    assert refused(f"{BY}{launcher}", "train_size=42").endswith(f"pip install 'gensweep[{extra}]'")
    assert not list(tmp_path.iterdir())


def test_an_unknown_launcher_is_refused():
    assert "there is no such" in refused(f"{BY}slurm")


@pytest.mark.parametrize("launcher", engine.PLUGINS)
def test_a_launcher_needs_a_sweep(launcher):
    with pytest.raises(InputError, match=f"{BY}{launcher} takes the runs of a sweep; add -m"):
        plan(["train_size=40", f"{BY}{launcher}"])


REFUSED = {
    "hydra/launcher=joblib starts none; write hardware=ddp": ["joblib", "hardware=slurm"],
    "hydra/launcher=ray starts none; write hardware=ddp": [
        "ray",
        "hardware=slurm",
        "hardware.accelerator=cpu",
    ],
    "starts 2 tasks for each run": ["submitit_local", "hydra.launcher.tasks_per_node=2"],
    "starts 6 tasks for each run": [
        *("submitit_slurm", "hydra.launcher.tasks_per_node=3", "hydra.launcher.nodes=2", "hardware=ddp"),
        "hardware.accelerator=cpu",
    ],
    "must know whether a run needs a GPU; add hardware.accelerator=cuda or cpu": ["ray", "hardware=ddp"],
    "hydra/launcher=submitit_slurm must know": ["submitit_slurm", "hardware=slurm"],
    "hardware.stack=4 stacks runs in the local pool": ["joblib", "hardware.stack=4"],
    "hydra.launcher.submitit_folder is fixed": ["submitit_local", "hydra.launcher.submitit_folder=/tmp/x"],
    "hydra.launcher._target_ is fixed": ["joblib", "hydra.launcher._target_=os.system"],
    "hydra.launcher may not name a _target_": ["ray", "+hydra.launcher.ray.init.x={_target_: os.system}"],
    "hydra.launcher.partitoin": ["submitit_slurm", "hydra.launcher.partitoin=gpu"],
}


@pytest.mark.parametrize("sentence", REFUSED)
def test_what_a_launcher_cannot_do_is_refused(sentence):
    launcher, *words = REFUSED[sentence]
    assert sentence in refused(f"{BY}{launcher}", *words)


def test_several_tasks_are_taken_when_they_share_the_run():
    words = ["hydra.launcher.tasks_per_node=2", "hardware=slurm", "hardware.accelerator=cpu"]
    planned = plan([*WORDS, f"{BY}submitit_local", *words], True)
    assert planned.launcher == "submitit_local"
    assert len(planned.jobs) == 2


@pytest.mark.parametrize(
    "started",
    [
        {"TORCHELASTIC_RUN_ID": "x", "WORLD_SIZE": "2"},
        {"SLURM_STEP_ID": "0", "SLURM_NTASKS": "2"},
    ],
)
def test_a_command_that_was_started_several_times_has_no_launcher(started, monkeypatch):
    for name, value in started.items():
        monkeypatch.setenv(name, value)
    assert "2 processes were started with this command" in refused(f"{BY}joblib")


def test_one_that_was_started_once_has():
    assert others_started({"SLURM_STEP_ID": "0", "SLURM_NTASKS": "1"}) == 0
    assert others_started({"SLURM_JOB_ID": "4", "SLURM_NTASKS": "8"}) == 0  # a batch script, no srun
    assert others_started({}) == 0


@pytest.mark.parametrize(
    ("launcher", "line", "setting"),
    [
        ("submitit_slurm", "setup: ['touch {marker}']", "hydra.launcher.setup"),
        ("submitit_slurm", 'comment: "x\\ntouch {marker}"', "hydra.launcher.comment"),
        ("submitit_slurm", "additional_parameters: {{wrap: 'touch {marker}'}}", "hydra.launcher.additional"),
        ("submitit_local", "submitit_folder: {marker}", "hydra.launcher.submitit_folder"),
        ("joblib", "temp_folder: {marker}", "hydra.launcher.temp_folder"),
        ("ray", "ray: {{init: {{address: 'evil:1'}}}}", "hydra.launcher.ray.init.address"),
    ],
)
def test_a_yaml_file_of_others_says_nothing_to_a_launcher(launcher, line, setting, tmp_path):
    (tmp_path / "experiment").mkdir()
    text = f"# @package _global_\nhydra:\n  launcher:\n    {line.format(marker=tmp_path / 'marker')}\n"
    (tmp_path / "experiment" / "theirs.yaml").write_text(text)
    said = refused(f"{BY}{launcher}", "experiment=theirs", config_dir=str(tmp_path))
    assert said.startswith(setting)
    assert "comes from a yaml file" in said or "is fixed by gensweep" in said
    assert not (tmp_path / "marker").exists()


SUBMITIT = "_target_: hydra_plugins.hydra_submitit_launcher.submitit_launcher.SlurmLauncher\n"
OTHERS = {"theirs": f"{SUBMITIT}setup: [id]\n", "gensweep": SUBMITIT, "basic": SUBMITIT, "joblib": SUBMITIT}


@pytest.mark.filterwarnings("ignore::UserWarning")
@pytest.mark.parametrize("name", OTHERS)
def test_no_yaml_file_of_others_is_a_launcher(name, tmp_path):
    (tmp_path / "hydra" / "launcher").mkdir(parents=True)
    (tmp_path / "hydra" / "launcher" / f"{name}.yaml").write_text(OTHERS[name])
    said = refused(f"{BY}{name}", config_dir=str(tmp_path))
    assert "there is no such launcher" in said or "comes from a yaml file" in said


def test_no_yaml_file_of_others_chooses_a_launcher(tmp_path):
    (tmp_path / "experiment").mkdir()
    text = "# @package _global_\ndefaults:\n  - override /hydra/launcher: submitit_slurm\n"
    (tmp_path / "experiment" / "theirs.yaml").write_text(text)
    planned = plan([*WORDS, "experiment=theirs"], True, str(tmp_path))
    assert planned.launcher == "gensweep"  # Hydra prefers what config.yaml chose


def test_the_command_line_says_what_it_likes_to_a_launcher():
    words = ["hydra.launcher.partition=gpu", "hydra.launcher.setup=[module load cuda]"]
    words += [
        "+hydra.launcher.additional_parameters={mail-user: me}",
        "+hydra.launcher.srun_args=['--mpi=none']",
    ]
    assert plan([*WORDS, f"{BY}submitit_slurm", *words], True).launcher == "submitit_slurm"


def launcher_settings(name, *words):
    with composer():
        config = compose("config", [f"{BY}{name}", *words], return_hydra_config=True)
    whole = engine.fitted(config)
    HydraConfig.instance().set_config(whole)
    return OmegaConf.to_container(whole.hydra.launcher, resolve=True)


def test_a_launcher_learns_what_a_run_takes():
    two = ["hardware=ddp", "hardware.processes=3", "hardware.threads=2", "hardware.accelerator=cpu"]
    assert launcher_settings("joblib", "hardware.jobs=5")["n_jobs"] == 5
    ray = launcher_settings("ray", *two, "hardware.jobs=4")["ray"]
    assert (ray["remote"]["num_cpus"], ray["init"]["num_cpus"]) == (6, 24)
    assert ray["remote"]["num_gpus"] == 0
    joined = launcher_settings("ray", *two, "hydra.launcher.ray.init.address=h:1")["ray"]
    assert joined["init"]["num_cpus"] is None  # Ray refuses one
    slurm = launcher_settings("submitit_slurm", *two)
    assert (slurm["cpus_per_task"], slurm["gpus_per_node"], slurm["tasks_per_node"]) == (6, None, 1)
    assert launcher_settings("submitit_slurm", "hydra.launcher.cpus_per_task=9")["cpus_per_task"] == 9


def test_a_launcher_learns_how_many_gpus_a_run_takes():
    cuda = "hardware.accelerator=cuda"
    assert launcher_settings("submitit_local", "hardware=ddp", cuda)["gpus_per_node"] == 2
    tasks = ["hardware=slurm", cuda, "hydra.launcher.tasks_per_node=4"]
    assert launcher_settings("submitit_slurm", *tasks)["gpus_per_node"] == 4
    assert launcher_settings("submitit_slurm", *tasks, "hydra.launcher.gres=gpu:a")["gpus_per_node"] is None
    assert launcher_settings("ray", "hardware=gpu")["ray"]["remote"]["num_gpus"] == 1


def test_submitits_files_lie_below_outputs_where_nobody_can_have_put_any():
    one, other = (launcher_settings("submitit_local", "outputs=o")["submitit_folder"] for _ in range(2))
    assert one.startswith("o/.submitit/")
    assert one.endswith("/%j")
    assert one != other


@pytest.mark.parametrize("rank", [0, 1])
def test_tasks_of_submitit_on_one_machine_have_places(rank):
    names = {"GLOBALID": rank, "LOCALID": rank, "NTASKS": 2, "JOB_ID": 77}
    environment = {f"SUBMITIT_LOCAL_{k}": str(v) for k, v in names.items()} | {"SUBMITIT_EXECUTOR": "local"}
    config = {"hardware": {"processes": None}, "sync_batch_norm": True}
    assert given(config, environment) == Place(rank, 2, rank, 2, "127.0.0.1:27469")
    alone = {"hardware": {"processes": 2}, "sync_batch_norm": True}
    assert given(alone, environment) is None  # one task that starts its processes itself
