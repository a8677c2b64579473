"""The verbs that take options, and their options. Heavy imports happen inside them."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

from gensweep.errors import InputError
from gensweep.table.places import existing_table

STATUS: dict[str, Any] = {
    "formatter_class": argparse.RawDescriptionHelpFormatter,
    "epilog": """\
--json prints a list with one object per run, by name, whose keys never change:

  run_id    text    name of the run
  state     text    planned, training, measuring, trained, done, diverged, failed, oom, timeout, preempted,
                    or interrupted: its process is gone
  progress  text    how far it is, or was; empty where nothing is known
  reason    text    why it did not end well; empty otherwise
  swept     object  the settings in which the runs of this folder differ, with the values of this one
  host      text    where it was last at work; null before
  pid       number  of the process; null before
  time      number  when its state last changed, seconds since 1970; null before
  log       text    where its own words are
  advice    text    what to do about it; empty where there is nothing to do
""",
}


def parser() -> argparse.ArgumentParser:
    """All verbs and their options."""
    top = argparse.ArgumentParser(prog="gensweep", description="Train, measure, tabulate and draw minima.")
    verbs = top.add_subparsers(dest="verb", required=True, metavar="VERB")
    verbs.add_parser("run", help="train and measure: `gensweep run --help`", add_help=False)
    verbs.add_parser("plan", help="what `run` would do with the same words; touches nothing", add_help=False)
    verb = verbs.add_parser("measure", help="more measures on stored solutions, no training")
    verb.add_argument(
        "words", nargs="+", metavar="RUN|measure=…", help="runs by the start of their name, overrides"
    )
    verb.set_defaults(do=measure)
    verb = verbs.add_parser("status", help="every run: state, progress, reason of failure", **STATUS)
    verb.add_argument("--json", action="store_true", help="one JSON list, see below")
    verb.add_argument("--failed", action="store_true", help="only runs that did not end well")
    verb.add_argument("--watch", action="store_true", help="again and again, until nothing is under way")
    verb.set_defaults(do=status)
    verb = verbs.add_parser("verify", help="re-hash all that is stored; each problem with what to do")
    verb.set_defaults(do=verify)
    _of_tables(verbs)
    for verb in verbs.choices.values():  # those above work on the folder of runs
        verb.add_argument("--outputs", type=Path, default=Path("outputs"), help="the folder of runs")
    verb = verbs.add_parser("selftest", help="every estimator on cases with a known answer, as a table")
    verb.add_argument("--seeds", type=int, default=20, metavar="N", help="of each case; default 20")
    verb.set_defaults(do=selftest)
    return top


def _of_tables(verbs: Any) -> None:
    """The verbs that make a table or read one, and their options."""
    verb = verbs.add_parser("collect", help="one tidy table, as Parquet and CSV")
    verb.add_argument("-o", dest="file", type=Path, help="default: OUTPUTS/table.parquet")
    verb.add_argument("--experiment", metavar="NAME-SCALE", help="only what this experiment asked for")
    verb.set_defaults(do=collect)
    verb = verbs.add_parser("figure", help="draw a figure from a table alone")
    verb.add_argument("name", metavar="NAME")
    verb.add_argument(
        "--table", type=Path, help="a table or a folder of them; default: OUTPUTS/table.parquet"
    )
    verb.add_argument("-o", dest="folder", type=Path, help="default: OUTPUTS/figures")
    verb.set_defaults(do=figure)
    verb = verbs.add_parser("claims", help="each published claim: ours, theirs, reproduced or not")
    verb.add_argument(
        "--table", type=Path, help="a table or a folder of them; default: OUTPUTS/table.parquet"
    )
    verb.add_argument("-o", dest="file", type=Path, metavar="FILE.csv", help="the verdicts as a table too")
    verb.set_defaults(do=claims)
    verb = verbs.add_parser("report", help="one HTML page with everything, no network")
    verb.add_argument("-o", dest="file", type=Path, help="default: OUTPUTS/report.html")
    verb.add_argument("--table", type=Path, help="default: OUTPUTS/table.parquet")
    verb.set_defaults(do=report)


def measure(args: argparse.Namespace) -> int:
    """``measure``."""
    from gensweep.sweep.remeasure import remeasure

    return remeasure(args.words, args.outputs)


def status(args: argparse.Namespace) -> int:
    """``status``."""
    from gensweep.table.status import show

    return show(args.outputs, failed=args.failed, watch=args.watch, as_json=args.json)


def verify(args: argparse.Namespace) -> int:
    """``verify``."""
    from gensweep.table.verify import show

    return show(args.outputs)


def collect(args: argparse.Namespace) -> int:
    """``collect``."""
    from gensweep.table import shards
    from gensweep.table.store import Store

    table, complaints = shards.collect(Store(args.outputs), args.experiment)
    files = shards.write(table, args.file or args.outputs / "table.parquet")
    for line in complaints:
        print(line, file=sys.stderr)
    print(f"{len(table)} rows of {table.run_id.nunique()} runs: {', '.join(map(str, files))}")
    return 1 if complaints else 0


def figure(args: argparse.Namespace) -> int:
    """``figure``."""
    table = existing_table(args.table or args.outputs / "table.parquet")
    from gensweep.figures import base

    print(*base.draw(args.name, table, args.folder or args.outputs / "figures"), sep="\n")
    return 0


def claims(args: argparse.Namespace) -> int:
    """``claims``."""
    source = existing_table(args.table or args.outputs / "table.parquet")
    from gensweep.claims.claim import judge
    from gensweep.claims.sheet import check_place, lines, sheet
    from gensweep.claims.written import claims as published
    from gensweep.table.read import load
    from gensweep.table.shards import spreadsheet
    from gensweep.table.store import write_atomically

    if args.file:
        check_place(args.file)
    table = load(source)
    verdicts = [judge(claim, table) for claim in published()]
    print(*lines(verdicts), sep="\n")
    if args.file:
        args.file.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(args.file, spreadsheet(sheet(verdicts)).encode())
    return 0


def report(args: argparse.Namespace) -> int:
    """``report``."""
    source = existing_table(args.table or args.outputs / "table.parquet")
    from gensweep import report as page
    from gensweep.figures import base
    from gensweep.headline import headline

    table = base.load(source)
    written = page.report(table, base.names(), args.file or args.outputs / "report.html")
    print(*headline(table), sep="\n")
    print(written)
    return 0


def selftest(args: argparse.Namespace) -> int:
    """``selftest``."""
    if args.seeds < 5:
        raise InputError(f"selftest: --seeds {args.seeds} says nothing about an error bar; ask for 5 or more")
    from gensweep.selftest import table

    return table.selftest(args.seeds)
