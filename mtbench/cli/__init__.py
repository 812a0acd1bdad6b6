"""The command line `mtbench`: one file per command; a command's imports wait until it is chosen."""

from __future__ import annotations

import argparse
import sys
from importlib import import_module

COMMANDS = {
    "tasks": "list families, their factors, and suites",
    "check": "check a task file of your own, and whether its tasks can be done",
    "freeze": "write a suite of families of your choice",
    "fold": "hold out a suite's families in turn: one suite for each fold",
    "train": "train a policy on a suite; resumable",
    "plot": "draw learning curves of one run or several",
    "export": "write what a run has learnt, and nothing else, to a folder",
    "eval": "score a policy on held-out tasks, beside controls; goes on where it was interrupted",
    "score": "compute a scorecard anew from stored tables of episodes",
    "compare": "say which of several policies are distinct",
    "power": "plan how many seeds and tasks a comparison needs",
    "certify": "check that the certificates of a suite's tasks still hold",
    "render": "write a video of a policy or an expert on a grid of tasks",
    "bench": "measure environment steps per second on this machine",
}


def main(argv: list[str] | None = None) -> None:
    """Runs a command. Exit codes: 0 done, 1 the run failed, 2 bad use, 3 scored, but the policy failed in places."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    if not arguments or arguments[0] not in COMMANDS:
        _top_level().parse_args(arguments)
        _top_level().print_help()
        sys.exit(2)
    from ..errors import MtbenchError, UsageError

    name, rest = arguments[0], arguments[1:]
    try:
        sys.exit(import_module(f".{name}", __package__).run(rest))
    except UsageError as error:
        sys.exit(_fail(error, 2))
    except MtbenchError as error:
        sys.exit(_fail(error, 1))
    except OSError as error:
        if error.filename is None and error.errno is None:
            raise
        sys.exit(_fail(f"{error.filename or 'output'}: {error.strerror or error}", 1))
    except KeyboardInterrupt:
        sys.exit(_fail("interrupted", 1))


def _fail(error: object, code: int) -> int:
    print(f"mtbench: {error}", file=sys.stderr)
    return code


def _top_level() -> argparse.ArgumentParser:
    from .. import __version__

    width = max(map(len, COMMANDS))
    listing = "\n".join(f"  {name:<{width}}  {meaning}" for name, meaning in COMMANDS.items())
    parser = argparse.ArgumentParser(
        prog="mtbench",
        usage="mtbench COMMAND …",
        description="Multi-task and meta reinforcement learning on MuJoCo tasks, from training to held-out scores.",
        epilog=f"commands:\n{listing}\n\nmtbench COMMAND --help shows a command's options and their defaults.",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"mtbench {__version__}")
    parser.add_argument("command", choices=list(COMMANDS), metavar="COMMAND", help=argparse.SUPPRESS)
    return parser
