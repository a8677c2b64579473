"""Writes the page of each measure from its docstring, its yaml file and the schema: `make docs`."""

from __future__ import annotations

import importlib
import inspect
import re
import textwrap
from pathlib import Path

from gensweep.rows import QUANTITIES

ROOT = Path(__file__).parents[1]
PAGES = ROOT / "docs" / "measures"
# Section of the docstring -> heading of the page, in the order of the page.
HEADINGS = {
    "Args": "Settings",
    "Cost": "Cost",
    "Error": "Error",
    "Invariance": "Invariance",
    "Trust": "When not to trust it",
    "Source": "Source",
}
SECTION = re.compile(rf"^({'|'.join(HEADINGS)}|Example):[ \n]", re.M)

EXAMPLE = """\
{extra}import torch
from sklearn.datasets import make_moons

import gensweep
from gensweep.measures import {name}

points, labels = make_moons(600, noise=0.2, random_state=0)
x, y = torch.tensor(points, dtype=torch.float32), torch.tensor(labels)
torch.manual_seed(0)
model = torch.nn.Sequential(torch.nn.Linear(2, 16), torch.nn.ReLU(), torch.nn.Linear(16, 2))
optimiser = torch.optim.Adam(model.parameters(), lr=0.05)
{loop}
    optimiser.zero_grad()
    torch.nn.functional.cross_entropy(model(x[:200]), y[:200]).backward()
    optimiser.step()

measures = [{call}]
table = gensweep.measure(model, train=(x[:200], y[:200]), test=(x[200:], y[200:]), measures=measures)
print(table[["quantity", "split", "x", "value", "stderr", "status"]].to_string(index=False))
"""

LOOP = "for _ in range(200):"
KEEPING = """\
earlier = []
for step in range(200):
    if step % 20 == 0:
        earlier.append(copy.deepcopy(model))"""


def names() -> list[str]:
    """All measures, by the name of their file."""
    return sorted(QUANTITIES)


def page(measure: str) -> str:
    """The page of one measure, as Markdown."""
    path = ROOT / "conf" / "measure" / f"{measure}.yaml"
    yaml = path.read_text()
    target = re.search(r"_target_: (\S+)\.(\w+)", yaml)
    assert target is not None, path
    kind = getattr(importlib.import_module(target[1]), target[2])
    about, parts = sections(inspect.getdoc(kind) or "")
    body = [f"# `{measure}`", about, quantities(measure)]
    for section, heading in HEADINGS.items():
        text = settings(parts[section], yaml) if section == "Args" and "Args" in parts else parts.get(section)
        if text:
            body += [f"## {heading}", text]
    body += [
        "## Example",
        f"```python\n{example(target[2], call(parts.get('Example', f'{target[2]}()')))}```",
    ]
    return "\n\n".join(body).rstrip() + "\n"


def example(name: str, call: str) -> str:
    """A script that trains a small network and measures it; it keeps earlier models where asked."""
    extra, loop = ("import copy\n\n", KEEPING) if "earlier" in call else ("", LOOP)
    return EXAMPLE.format(name=name, call=call, extra=extra, loop=loop)


def sections(doc: str) -> tuple[str, dict[str, str]]:
    """What stands before the first section, and each section's text, as Markdown."""
    about, *rest = SECTION.split(marked(doc))
    return about.strip(), {
        name: textwrap.dedent(text).strip() for name, text in zip(rest[::2], rest[1::2], strict=True)
    }


def marked(doc: str) -> str:
    """Double backticks as Markdown's single ones."""
    return doc.replace("``", "`")


def call(example: str) -> str:
    """The call that the docstring gives as its example."""
    return " ".join(example.strip("`").split())


def quantities(measure: str) -> str:
    """What it yields, with units."""
    lines = [f"| `{name}` | {unit} |" for name, unit in QUANTITIES[measure].items()]
    return "\n".join(["| quantity | unit |", "|---|---|", *lines])


def settings(arguments: str, yaml: str) -> str:
    """Each setting with its meaning, and the yaml file with the defaults."""
    listed = re.sub(r"^(\w+): ", r"- `\1`: ", arguments, flags=re.M)
    return f"{re.sub(r'^ +', '  ', listed, flags=re.M)}\n\n```yaml\n{yaml.rstrip()}\n```"


def index() -> str:
    """The list of all pages."""
    lines = [f"- [`{m}`]({m}.md): {first_line(m)}" for m in names()]
    head = "# Measures\n\nEach page is made from the docstring of the measure by `make docs`.\n"
    units = "F, G and HVP are a forward pass, a gradient and a Hessian-vector product over the training set."
    return "\n".join([head, units, "", *lines]) + "\n"


def first_line(measure: str) -> str:
    """What a measure's page says first."""
    return page(measure).split("\n\n")[1].splitlines()[0]


def pages() -> dict[Path, str]:
    """All pages, by path."""
    return {PAGES / "README.md": index()} | {PAGES / f"{m}.md": page(m) for m in names()}


if __name__ == "__main__":
    for path, text in pages().items():
        path.write_text(text)
