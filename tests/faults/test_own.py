"""F27: networks of the user's own that break the contract; more of them in tests/own and test_trusted."""

import pytest

pytestmark = [pytest.mark.slow, pytest.mark.faults]
CODE = """
import torch
from torch import nn

class Net(nn.Module):
    def __init__(self, input_shape, num_classes, trick):
        super().__init__()
        self.linear, self.trick = nn.Linear(64, num_classes), trick

    def forward(self, x):
        logits = self.linear(x.flatten(1))
        if self.trick == "a dict":
            return {"logits": logits}
        if self.trick == "an error":
            return logits + self.head
        if self.trick == "random":
            return logits + torch.rand_like(logits)
        if self.trick == "late error" and not hasattr(self, "fine") and len(x) == 40 and self.training:
            raise KeyError("only when it is trained")
        return logits
"""
SENTENCES = {
    "a dict": "model returns a dict; wrap it",
    "an error": "model fails on float32 .*AttributeError: 'Net' object has no attribute 'head'",
    "random": "model is random in eval mode",
}


@pytest.fixture
def own(tmp_path):
    """Words that bring a network which does this."""
    (tmp_path / "ownnets").mkdir()
    (tmp_path / "ownnets" / "__init__.py").write_text(CODE)
    (tmp_path / "yaml" / "model").mkdir(parents=True)
    yaml = "_target_: ownnets.Net\\nname: own\\ntrick: none\\n".replace("\\n", "\n")
    (tmp_path / "yaml" / "model" / "own.yaml").write_text(yaml)
    return ["model=own", "trusted_targets=[ownnets]", "--config-dir", str(tmp_path / "yaml")]


@pytest.mark.fault("F27")
@pytest.mark.parametrize("trick", SENTENCES)
def test_a_network_that_breaks_the_contract_is_one_sentence(finished, fault, own, tmp_path, trick):
    before = {p: p.stat().st_mtime_ns for p in finished.outputs.rglob("*")}
    words = [w for w in finished.words if not w.startswith("model.")]
    command = finished.run(*own, f"model.trick='{trick}'", words=words, cwd=tmp_path)
    fault.ended(command, 2)
    fault.happened()
    fault.says(command.text, "^gensweep: ", SENTENCES[trick])
    assert before == {p: p.stat().st_mtime_ns for p in finished.outputs.rglob("*")}
    fault.recovers()


@pytest.mark.fault("F27")
def test_one_that_fails_in_training_alone_is_a_failed_run_and_its_log_says_where(study, fault, own, tmp_path):
    words = [w for w in study.words if not w.startswith("model.")]
    study.outputs = tmp_path / "own"
    command = study.run(*own, "model.trick='late error'", "seed=0", words=words, cwd=tmp_path)
    fault.ended(command, 1)
    (run,) = study.runs()
    fault.happened("only when it is trained" in (run.folder / "log.txt").read_text())
    fault.says(command.text, run.run_id, "KeyError: 'only when it is trained'", "log: .*log.txt")
    fault.leaves_nobody()
