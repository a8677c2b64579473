"""Writes docs/figures.md and its pictures from the tables in docs/tables: `make docs`."""

from __future__ import annotations

import json
import re
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from PIL import Image

from gensweep.claims.claim import NOT_REPRODUCED, Verdict, judge
from gensweep.claims.sheet import tally
from gensweep.claims.written import claims
from gensweep.figures import base
from gensweep.table.read import load

ROOT = Path(__file__).parents[1]
TABLES, PICTURES, PAGE = (ROOT / "docs" / name for name in ("tables", "figures", "figures.md"))

HEAD = """\
# Figures

Each figure of the four documents, drawn from a real run of this code at laptop scale, and what the run says
of the papers' claims. Made by `make docs` from the tables in `docs/tables`; nothing here is typed by hand.

```sh
make figures SCALE=laptop                          # draws all of them anew from the tables, no training
make fig-volume-gap SCALE=laptop                   # trains, measures and draws one
gensweep claims --table docs/tables                # the verdicts below
```

A verdict is that of an interval: *reproduced* when the 95 % interval of our statistic lies where the claim
says, *not reproduced* when it lies elsewhere, *inconclusive* when it lies across the border or the rows do
not suffice. Sets, networks and epochs are smaller than the papers' (each `conf/experiment/NAME.yaml` says by
how much): a claim that does not hold here may hold at full size, and the other way round.
"""


def figures() -> list[str]:
    """All of them, as the Makefile has them."""
    text = (ROOT / "Makefile").read_text().replace("\\\n", "")
    (names,) = re.findall(r"^FIGURES := (.*)$", text, re.M)
    return names.split()


def page(verdicts: Sequence[Verdict], about: dict[str, dict[str, Any]]) -> str:
    """The whole page.

    Args:
        verdicts: Of every claim.
        about: Figure → what its JSON file says of it.
    """
    lost = [v for v in verdicts if v.verdict == NOT_REPRODUCED]
    parts = [HEAD, f"**{tally(verdicts)}.**\n", "Not reproduced here:\n"]
    parts += [f"- [{v.claim.statement}](#{v.claim.figure}) ({v.claim.source})" for v in lost]
    parts += ["" if lost else "- none\n"]
    for name in figures():
        parts += section(name, about[name], [v for v in verdicts if v.claim.figure == name])
    return "\n".join(parts)


def section(name: str, about: dict[str, Any], verdicts: Sequence[Verdict]) -> Iterator[str]:
    """One figure: question, picture, message, how it was made, verdicts."""
    picture = next(p for p in (f"{name}.gif", f"{name}.png") if (PICTURES / p).exists())
    yield f"\n## {name}\n\n{question(name)}\n\n![{about['alt']}](figures/{picture})\n"
    yield f"{about['message']}\n"
    yield f"`make fig-{name} SCALE=laptop`: {cost(about)}.\n"
    if verdicts:
        yield "| claim | theirs | ours | verdict |\n|---|---|---|---|"
        yield from map(line, verdicts)
    else:
        yield "No claim of a paper is tested by it."


def line(verdict: Verdict) -> str:
    """One claim in a row."""
    claim, word, why = verdict.claim, verdict.verdict, verdict.why
    bold = word if word == "reproduced" else f"**{word}**"
    cells = [
        f"{claim.statement} <br>*{claim.source}*",
        claim.theirs,
        f"{verdict.statistic} {verdict.ours}; claimed {claim.claimed}",
        f"{bold}{f': {why}' * bool(why)}",
    ]
    return "| " + " | ".join(cell.replace("|", "\\|").replace("\n", " ") for cell in cells) + " |"


def question(name: str) -> str:
    """What the head of its experiment's file asks."""
    text = (ROOT / "conf" / "experiment" / f"{name}.yaml").read_text()
    head = " ".join(line.lstrip("# ") for line in text.splitlines() if line.startswith("#"))
    asked = re.search(r"Question: (.*?\?)", head)[1].strip()
    return asked[0].upper() + asked[1:]


def cost(about: dict[str, Any]) -> str:
    """How many runs, how long they took, and where."""
    rows = load(TABLES, base.drawn_from(about["figure"]))
    rows = rows[rows["run_id"].isin(about["run_ids"])]
    training = rows.drop_duplicates("run_id")["train_seconds"].sum()
    measuring = rows.drop_duplicates(["run_id", "measure", "settings"])["seconds"].sum()
    data = ", ".join(sorted(rows["data.name"].unique()))
    commits = ", ".join(sorted(sha[:7] for sha in rows["git_sha"].unique()))
    return (
        f"{rows['run_id'].nunique()} runs on {data}, {spoken(training)} of training and {spoken(measuring)} "
        f"of measuring, one core each, beside other work; code of {commits}"
    )


def spoken(seconds: float) -> str:
    """A time as people say it."""
    return f"{seconds / 60:.0f} min" if seconds >= 90 else f"{seconds:.0f} s"


def draw_all(folder: Path) -> dict[str, dict[str, Any]]:
    """Every figure from the kept tables; figure → what its JSON says."""
    about = {}
    for name in figures():
        base.draw(name, TABLES, folder)
        about[name] = json.loads((folder / f"{name}.json").read_text())
    return about


def main() -> None:
    """Draw, judge and write."""
    PICTURES.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as temporary:
        about = draw_all(Path(temporary))
        for name in about:
            image = Image.open(Path(temporary, f"{name}.png")).convert("RGB")
            image.quantize(256).save(PICTURES / f"{name}.png", optimize=True)  # a third of the bytes
            if (moving := Path(temporary, f"{name}.gif")).exists():
                shutil.copy(moving, PICTURES / moving.name)
    table = load(TABLES)
    verdicts = [judge(claim, table) for claim in claims()]
    PAGE.write_text(page(verdicts, about))
    print(PAGE, tally(verdicts))


if __name__ == "__main__":
    main()
