"""The verbs. Heavy imports happen inside them, so that help and status answer at once."""

from __future__ import annotations

import argparse
import errno
import json
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from gensweep.errors import Busy, InputError
from gensweep.table.places import check_writable, existing_table

BAD_INPUT, BUSY, INTERRUPTED = 2, 75, 130

RUN_HELP = """\
usage: gensweep run [OVERRIDES]

One run: train, measure, store the rows. A finished run returns at once, an interrupted one goes on.

  gensweep run poison_factor=0.3 poison_size=800 train_size=500
  gensweep run -m poison_factor=0,0.3,0.6 seed=range(3) poison_size=800 train_size=500
  gensweep run experiment=quickstart        the grid of an experiment; +scale=smoke|laptop|paper
  gensweep run --cfg job                    every setting with its value, nothing runs
  gensweep run --config-dir DIR             yaml files of your own beside the built-in ones

A network of your own: DIR/model/mynet.yaml names it, _target_: mypackage.nets.Net, beside its settings. It
is any torch.nn.Module that takes input_shape and num_classes. Its package is installed, or lies in the
current directory, and its code runs once the command line (no yaml file) trusts it:

  gensweep run --config-dir DIR model=mynet 'trusted_targets=[mypackage]'

Settings are Hydra overrides: KEY=VALUE, GROUP=NAME.
"""
PLAN_HELP = """\
usage: gensweep plan [OVERRIDES]

What `gensweep run` would do with the same words: each run with its state. Touches nothing.
"""


def main(argv: Sequence[str] | None = None) -> None:
    """Run a verb and leave with its exit code."""
    words = list(sys.argv[1:] if argv is None else argv)
    # Else processes started from here look in the current folder first, and it may be somebody's results.
    os.environ["PYTHONSAFEPATH"] = "1"
    try:
        code = dispatch(words)
    except InputError as error:
        print(f"gensweep: {error}", file=sys.stderr)
        code = BAD_INPUT
    except Busy as error:
        print(f"gensweep: {error}", file=sys.stderr)
        code = BUSY
    except KeyboardInterrupt:
        code = INTERRUPTED
    except BrokenPipeError:
        code = 1
    except OSError as error:
        where = error.filename or "a file"
        print(f"gensweep: {where}: {error.strerror}; choose another place or make room", file=sys.stderr)
        code = 1 if error.errno in (errno.ENOSPC, errno.EIO, errno.EDQUOT) else BAD_INPUT
    sys.exit(code)


def dispatch(words: list[str]) -> int:
    """Hand the words to their verb: ``run`` and ``plan`` take overrides, the others options."""
    if words and words[0] in ("run", "plan"):
        return run(words[1:], dry=words[0] == "plan")
    args, rest = parser().parse_known_args(words)
    if args.verb == "measure":  # words may stand on both sides of an option
        args.words += [w for w in rest if not w.startswith("-")]
        rest = [w for w in rest if w.startswith("-")]
    for word in rest:
        if word.startswith("outputs="):
            raise InputError(
                f"{word}: for `{args.verb}` it is an option; write --outputs {word[8:] or 'DIR'}"
            )
    if rest:
        parser().error(f"unrecognised arguments: {' '.join(rest)}")
    return args.do(args)


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
    verb = verbs.add_parser("status", help="every run: state, progress, reason of failure")
    verb.add_argument("--json", action="store_true", help="one JSON list")
    verb.set_defaults(do=status)
    verb = verbs.add_parser("collect", help="one tidy table, as Parquet and CSV")
    verb.add_argument("-o", dest="file", type=Path, help="default: OUTPUTS/table.parquet")
    verb.add_argument("--experiment", metavar="NAME-SCALE", help="only what this experiment asked for")
    verb.set_defaults(do=collect)
    verb = verbs.add_parser("figure", help="draw a figure from a table alone")
    verb.add_argument("name", metavar="NAME")
    verb.add_argument("--table", type=Path, help="default: OUTPUTS/table.parquet")
    verb.add_argument("-o", dest="folder", type=Path, help="default: OUTPUTS/figures")
    verb.set_defaults(do=figure)
    verb = verbs.add_parser("report", help="one HTML page with everything, no network")
    verb.add_argument("-o", dest="file", type=Path, help="default: OUTPUTS/report.html")
    verb.add_argument("--table", type=Path, help="default: OUTPUTS/table.parquet")
    verb.set_defaults(do=report)
    for verb in verbs.choices.values():  # those above work on the folder of runs
        verb.add_argument("--outputs", type=Path, default=Path("outputs"), help="the folder of runs")
    verb = verbs.add_parser("selftest", help="every estimator on cases with a known answer, as a table")
    verb.add_argument("--seeds", type=int, default=20, metavar="N", help="of each case; default 20")
    verb.set_defaults(do=selftest)
    return top


def run(words: list[str], dry: bool) -> int:
    """``run`` and ``plan``."""
    from gensweep.sweep.words import hydra, hydra_words, ordered

    args = hydra_words(words)
    if args.help:
        print(PLAN_HELP if dry else RUN_HELP)
        return 0
    if args.hydra_help or args.shell_completion:
        return hydra(words)
    if args.config_path or args.config_name or args.experimental_rerun:
        raise InputError("gensweep brings its own main config; --config-dir DIR adds yaml files of yours")
    from gensweep.sweep.plan import plan

    planned = plan(tuple(args.overrides), args.multirun, args.config_dir)
    if dry:
        return show(planned)
    if args.cfg or args.info:
        return hydra(ordered(args))
    check_writable(planned.store.outputs, [job.run.folder for job in planned.jobs])
    from gensweep.sweep.launch import start, try_out

    try_out(planned.jobs, planned.launcher)
    if planned.multirun:
        return hydra([*ordered(args), *([] if args.multirun else ["--multirun"])])
    job = planned.jobs[0]
    if job.finished():
        print(f"{job.run_id} {'diverged' if job.run.diverged() else 'is done'}: {job.run.folder}")
        return int(job.run.diverged())
    return start(job)


def show(planned) -> int:
    """``plan``: each job with its state."""
    from gensweep.sweep.launch import listing

    finished = [job.finished() for job in planned.jobs]
    for job, done in zip(planned.jobs, finished, strict=True):
        print(f"{job.run_id} {'done' if done else job.run.state()['state']:<12} {' '.join(job.overrides)}")
    print(listing(planned, finished.count(False)))
    return 0


def measure(args: argparse.Namespace) -> int:
    """``measure``."""
    from gensweep.sweep.remeasure import remeasure

    return remeasure(args.words, args.outputs)


def status(args: argparse.Namespace) -> int:
    """``status``."""
    from gensweep.table.store import Store

    runs = [{"run_id": run.run_id, **run.state()} for run in Store(args.outputs).runs()]
    if args.json:
        print(json.dumps(runs))
        return 0
    for run in runs:
        print(f"{run['run_id']}  {run['state']:<12} {run.get('reason') or run.get('progress', '')}".rstrip())
    states = [run["state"] for run in runs]
    print(", ".join(f"{states.count(s)} {s}" for s in sorted(set(states))) or f"no runs in {args.outputs}")
    return 0


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
