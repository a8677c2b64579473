"""No file of ours can be led to run what it reads: the calls that could are not there, or are told not to."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
SOURCES = sorted(
    [*(ROOT / "src").rglob("*.py"), *(ROOT / "benchmarks").rglob("*.py"), *(ROOT / "docs").glob("*.py")]
)
# The one reader of pickles names what may be called; its test is tests/data/test_classic.py.
ALLOWED = {"src/gensweep/data/pickles.py"}
MODULES = {"pickle", "cPickle", "dill", "cloudpickle", "joblib", "shelve", "marshal", "jsonpickle"}
# A call, and the argument without which it may run what it reads.
GUARDED = {
    "torch.load": ("weights_only", True),
    "np.load": ("allow_pickle", False),
    "numpy.load": ("allow_pickle", False),
    "np.save": ("allow_pickle", False),
    "yaml.load": ("Loader", "yaml.CSafeLoader"),
    "yaml.parse": ("Loader", "yaml.CSafeLoader"),
}
NEVER = (
    *("pd.read_pickle", "pd.read_hdf", "torch.hub.load", "torch.package.PackageImporter", "torch.jit.load"),
    *("eval", "exec", "os.system", "os.popen", "yaml.unsafe_load", "yaml.full_load", "yaml.load_all"),
    *("extractall", "extract", "load_from_checkpoint", "shutil.unpack_archive", "pd.eval", "getoutput"),
)


def wrong(source: str) -> list[str]:
    """What a source says that it may not."""
    found = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import | ast.ImportFrom):
            names = (
                [alias.name for alias in node.names] if isinstance(node, ast.Import) else [node.module or ""]
            )
            found += [f"import {name}" for name in names if name.partition(".")[0] in MODULES]
        if isinstance(node, ast.Call):
            name = ast.unparse(node.func)
            given = {k.arg: ast.unparse(k.value) for k in node.keywords}
            argument, value = GUARDED.get(name, ("", ""))
            if argument and given.get(argument) != str(value):
                found.append(f"{name} without {argument}={value}")
            if name in NEVER or name.rpartition(".")[2] in (
                "extractall",
                "unpack_archive",
                "load_from_checkpoint",
            ):
                found.append(name)
            if given.get("shell") == "True":
                found.append(f"{name} with a shell")
    return found


@pytest.mark.parametrize("path", [p for p in SOURCES if str(p.relative_to(ROOT)) not in ALLOWED], ids=str)
def test_a_source_reads_plain_data_only(path):
    assert wrong(path.read_text()) == []


@pytest.mark.parametrize(
    "source",
    [
        "import pickle",
        "from joblib import load",
        "torch.load(f)",
        "torch.load(f, weights_only=False)",
        "np.load(f)",
        "np.load(f, allow_pickle=True)",
        "yaml.load(f, Loader=yaml.Loader)",
        "yaml.unsafe_load(f)",
        "archive.extractall(x)",
        "subprocess.run(x, shell=True)",
        "eval(x)",
    ],
)
def test_what_may_not_be_there_would_be_seen(source):
    assert wrong(source)
