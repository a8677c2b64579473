"""The verbs. Heavy imports happen inside them, so that help and status answer at once."""

from __future__ import annotations

import argparse
import errno
import os
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

from gensweep.errors import Busy, Declined, InputError
from gensweep.table.places import check_confined, check_writable
from gensweep.verbs import parser

if TYPE_CHECKING:
    from gensweep.sweep.plan import Job, Plan

BAD_INPUT, BUSY, INTERRUPTED = 2, 75, 130

RUN_HELP = """\
usage: gensweep run [--yes] [OVERRIDES]

One run: train, measure, store the rows. A finished run returns at once, an interrupted one goes on.

  gensweep run poison_factor=0.3 poison_size=800 train_size=500
  gensweep run -m poison_factor=0,0.3,0.6 seed=range(3) poison_size=800 train_size=500
  gensweep run experiment=quickstart        the grid of an experiment; +scale=smoke|laptop|paper
  gensweep run --cfg job                    every setting with its value, nothing runs
  gensweep run --yes …                      start without being asked, however long it may take
  gensweep run --config-dir DIR             yaml files of your own beside the built-in ones

A network of your own: DIR/model/mynet.yaml names it, _target_: mypackage.nets.Net, beside its settings. It
is any torch.nn.Module that takes input_shape and num_classes. Its package is installed, or lies in the
current directory, and its code runs once the command line (no yaml file) trusts it:

  gensweep run --config-dir DIR model=mynet 'trusted_targets=[mypackage]'

Settings are Hydra overrides: KEY=VALUE, GROUP=NAME.
"""
PLAN_HELP = """\
usage: gensweep plan [--probe] [OVERRIDES]

What `gensweep run` would do with the same words: each run with its state and what there is to do about it,
what can be used again, how long it will take, and what it will fill. Touches nothing.

Times are those of like runs in the same folder of outputs; trainings of the same network, data and batch
size are scaled by their number of updates, twenty-fold at most. With --probe, what nobody has timed there is
tried in a process of its own: some seconds of the training, then each measure, for 20 s at most. A probe
writes nothing; its training leaves out the writing of checkpoints, and its network is hardly trained.
"""


def main(argv: Sequence[str] | None = None) -> None:
    """Run a verb and leave with its exit code; ``--debug`` before it shows where an input was refused."""
    words = list(sys.argv[1:] if argv is None else argv)
    debug = words[:1] == ["--debug"]
    # Else processes started from here look in the current folder first, and it may be somebody's results.
    os.environ["PYTHONSAFEPATH"] = "1"
    try:
        code = dispatch(words[debug:])
    except InputError as error:
        if debug:
            raise
        print(f"gensweep: {error}", file=sys.stderr)
        code = BAD_INPUT
    except Busy as error:
        print(f"gensweep: {error}", file=sys.stderr)
        code = BUSY
    except Declined as error:
        print(f"gensweep: {error}", file=sys.stderr)
        code = INTERRUPTED
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
    if words and words[0] in ("--yes", "--probe"):
        raise InputError(f"{words[0]} comes after the verb: `gensweep {' '.join(words[1:2])} {words[0]} …`")
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


def run(words: list[str], dry: bool) -> int:
    """``run`` and ``plan``."""
    from gensweep.preemption import listen
    from gensweep.sweep.words import hydra, hydra_words, ordered

    listen()

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
        from gensweep.sweep.outlook import show

        return show(planned, args.probe)
    if args.probe:
        raise InputError("--probe is for a plan; `gensweep plan --probe …` times what nobody has timed")
    if args.cfg or args.info:
        return hydra(ordered(args))
    prepare(planned, args)
    if planned.multirun:
        return hydra([*ordered(args), *([] if args.multirun else ["--multirun"])])
    return alone(planned.jobs[0])


def prepare(planned: Plan, args: argparse.Namespace) -> None:
    """Everything that can be refused, before anything is written."""
    from gensweep.sweep.engine import LOCAL
    from gensweep.sweep.launch import try_out

    todo = [job for job in planned.jobs if not job.finished()]
    for job in planned.jobs:
        check_confined(job.run.folder, planned.store.outputs)
    if todo:
        check_writable(planned.store.outputs)
    try_out(planned.jobs, planned.launcher)
    if not args.yes and planned.launcher == LOCAL:  # elsewhere other times hold and other people set limits
        from gensweep.sweep.ask import confirm

        confirm(planned, todo)


def alone(job: Job) -> int:
    """One run, unless it is finished."""
    from gensweep.sweep.launch import start

    if not job.finished():
        return start(job)
    print(f"{job.run_id} {'diverged' if job.run.diverged() else 'is done'}: {job.run.folder}")
    return int(job.run.diverged())
