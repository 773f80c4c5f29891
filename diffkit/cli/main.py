"""The command `diffkit`: an argparse front that imports nothing heavy before it must.

Results go to stdout, progress and complaints to stderr.  Exit status: 0 all good,
1 something refuted or failed, 2 wrong usage, 3 undecided.
"""

import argparse
import os
import sys
from collections.abc import Sequence
from importlib import import_module, metadata
from pathlib import Path
from typing import Any, NoReturn

from diffkit.core.errors import DEFECTS, DiffkitError, UsageError
from diffkit.core.scheduler import guard_scheduler

DERIVATION_FORMATS = ("text", "latex", "markdown", "html", "json")
VERDICT_FORMATS = ("text", "latex", "html", "json")
TABLE_FORMATS = ("text", "markdown", "json")
PLAIN_FORMATS = ("text", "json")

EXAMPLES = """\
examples:
  diffkit derive "log(1 + exp(-x))" --steps
  diffkit check "softplus(x)" "sigmoid(x)"
  diffkit check "x**2*sin(y)" "2*x*cos(y)" --wrt x --domain "x=positive"
  diffkit verify mypackage.losses:focal --arg p=0.3
  diffkit atlas jax.nn --report atlas.html
  diffkit run vanishing_gradients --preset quick
"""


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and return its exit status."""
    words = [_as_positional(word) for word in (sys.argv[1:] if argv is None else argv)]
    parser = build_parser()
    options, rest = parser.parse_known_args(words)
    if rest and not getattr(options, "takes_fields", False):
        parser.error(f"unrecognized arguments: {' '.join(rest)}")
    options.rest = rest
    guard_scheduler()
    try:
        _require_folder(getattr(options, "json", None))
        command = import_module(f"diffkit.cli.{options.module}")
        return command.run(options)
    except DiffkitError as error:
        print(f"diffkit: {error}", file=sys.stderr)
        return error.exit_status
    except BrokenPipeError:
        # The reader of stdout left (`| head`); nothing more can be said to it.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except SystemExit as error:
        print(f"diffkit: the code that is judged ended the program ({error})", file=sys.stderr)
        return 2
    except RecursionError:
        print("diffkit: the input is nested too deeply; write it flatter", file=sys.stderr)
        return 2
    except OSError as error:
        print(f"diffkit: {error}; free or choose another place", file=sys.stderr)
        return 2
    except DEFECTS as error:
        # the outermost boundary: a defect of diffkit must not look like a refutation (status 1)
        if os.environ.get("DIFFKIT_TRACEBACK"):
            raise
        print(
            f"diffkit: internal error ({type(error).__name__}: {error}); please report this "
            "command, with the traceback that DIFFKIT_TRACEBACK=1 shows",
            file=sys.stderr,
        )
        return 2
    except KeyboardInterrupt:
        print("diffkit: interrupted; finished work is kept", file=sys.stderr)
        return 130


def command_line() -> NoReturn:
    """The console script: end with the status of `main`."""
    if Path("experiments", "__init__.py").is_file():
        # the checkout one stands in counts, as it does with `python -m diffkit`
        sys.path.append(str(Path.cwd()))
    status = main()
    batch = sys.modules.get("diffkit.bridge.batch")  # not imported by what compiles nothing
    if batch is not None and batch.is_overdue():
        # a thread that comes back from XLA while Python shuts down would abort the process
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)
    sys.exit(status)


def build_parser() -> argparse.ArgumentParser:
    """The whole command line; the sub-parsers name the module that runs each command."""
    parser = argparse.ArgumentParser(
        prog="diffkit",
        description="A derivative is a claim: derive it, prove or refute it, measure what it does.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("--version", action="version", version=f"diffkit {_version()}")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    _add_derive(commands)
    _add_check(commands)
    _add_verify(commands)
    _add_replay(commands)
    _add_atlas(commands)
    _add_lab(commands)
    _add_doctor(commands)
    return parser


def _add_derive(commands: argparse._SubParsersAction) -> None:
    parser = _command(commands, "derive", "derive", "derive a closed form, with its steps")
    parser.add_argument("target", metavar="TARGET", help="formula, or package.module:function")
    parser.add_argument("--wrt", metavar="NAME", help="variable to differentiate with respect to")
    parser.add_argument("--order", type=_positive, default=1, metavar="N", help="order (default 1)")
    parser.add_argument("--steps", action="store_true", help="show every step of the derivation")
    _add_problem_options(parser)
    _add_format(parser, DERIVATION_FORMATS)


def _add_check(commands: argparse._SubParsersAction) -> None:
    parser = _command(commands, "check", "check", "is the claimed derivative right?")
    parser.add_argument("target", metavar="TARGET", help="formula, or package.module:function")
    parser.add_argument("claim", metavar="CLAIM", help='formula, or a relation such as ">= 0"')
    parser.add_argument("--wrt", metavar="NAME", help="variable to differentiate with respect to")
    parser.add_argument("--order", type=_positive, default=1, metavar="N", help="order (default 1)")
    parser.add_argument(
        "--kind",
        choices=("gradient", "jacobian", "hessian", "value", "function"),
        default="gradient",
        help="what is claimed of TARGET (default gradient)",
    )
    _add_problem_options(parser)
    _add_judging_options(parser)
    _add_format(parser, VERDICT_FORMATS)


def _add_verify(commands: argparse._SubParsersAction) -> None:
    parser = _command(commands, "verify", "verify", "does AD compute the derivative of TARGET?")
    parser.add_argument(
        "target",
        nargs="+",
        metavar="TARGET",
        help="package.module:function, module, FILE.py or formula; several are judged in turn",
    )
    parser.add_argument("--wrt", metavar="NAME", help="variable to differentiate with respect to")
    parser.add_argument("--order", type=_positive, default=1, metavar="N", help="order (default 1)")
    parser.add_argument("--fail-on", choices=("findings",), help="exit 1 on findings too")
    parser.add_argument(
        "--skip-unclaimed",
        action="store_true",
        help="pass over files and modules without a claim (for hooks)",
    )
    _add_problem_options(parser)
    _add_judging_options(parser)
    _add_format(parser, VERDICT_FORMATS)


def _add_replay(commands: argparse._SubParsersAction) -> None:
    parser = _command(commands, "replay", "replay", "judge a saved claim again")
    parser.add_argument("file", type=_place, metavar="FILE", help="what `v.save` or --save wrote")
    _add_format(parser, VERDICT_FORMATS)


def _add_atlas(commands: argparse._SubParsersAction) -> None:
    parser = _command(
        commands, "atlas", "atlas", "survey the derivatives of JAX and Optax; resumes when killed"
    )
    parser.add_argument(
        "target",
        nargs="*",
        metavar="MODULE",
        help="module (jax.nn), package (jax.scipy) or function (jax.numpy.sinc); default all",
    )
    parser.add_argument(
        "--jobs",
        type=int,
        metavar="N",
        help="processes (default: as many as cores and memory allow)",
    )
    parser.add_argument(
        "--seconds", type=float, default=60.0, metavar="S", help="limit of a derivative (60)"
    )
    parser.add_argument(
        "--ledger", type=_place, metavar="FILE", help="run ledger (default runs/atlas.sqlite)"
    )
    parser.add_argument(
        "--report", type=_place, metavar="FILE", help="write a searchable HTML page"
    )
    parser.add_argument(
        "--record",
        type=_place,
        metavar="FILE",
        help="write the counts the paper reports (paper/record)",
    )
    _add_format(parser, TABLE_FORMATS)


def _add_lab(commands: argparse._SubParsersAction) -> None:
    listing = _command(commands, "list", "experiments", "list the experiments")
    _add_format(listing)
    runner = _command(
        commands,
        "run",
        "experiments",
        "run an experiment; resumes where it stopped",
        add_help=False,
    )
    _add_experiment(runner)
    runner.add_argument(
        "--ledger", type=_place, metavar="FILE", help="run ledger (default runs/ledger.sqlite)"
    )
    runner.add_argument(
        "--figures", type=_place, metavar="DIR", help="draw the figures of the run (SVG and PDF)"
    )
    _add_format(runner)
    _add_sweep(commands)
    exporter = _command(commands, "export", "export", "write the cells of a run as a netCDF file")
    exporter.add_argument(
        "run",
        metavar="RUN",
        help="8 digits or more of its address, or an experiment (its newest finished run)",
    )
    exporter.add_argument("--to", type=_place, required=True, metavar="FILE", help="ends in .nc")
    exporter.add_argument(
        "--ledger", type=_place, metavar="FILE", help="run ledger (default runs/ledger.sqlite)"
    )
    maker = _command(commands, "new", "new", "write a small experiment that works, to be changed")
    maker.add_argument("name", metavar="NAME", help="its folder in experiments/")
    paper = _command(commands, "paper", "paper", "judge the ledger, run, render, compile the PDF")
    paper.add_argument(
        "--from-record", type=_place, metavar="DIR", help="build from a recorded run only"
    )
    paper.add_argument("--output", type=_place, metavar="FILE", default="paper/build/paper.pdf")
    paper.add_argument(
        "--update-record", action="store_true", help="write what was judged and run to paper/record"
    )
    paper.add_argument(
        "--update-full",
        action="store_true",
        help="run the full presets first (half an hour) and write them to paper/record/full",
    )
    paper.add_argument(
        "--check",
        action="store_true",
        help="build nothing; fail if a figure has no producer or is older than its record",
    )


def _add_sweep(commands: argparse._SubParsersAction) -> None:
    summary = "run an experiment at many configurations; resumes"
    parser = _command(commands, "sweep", "sweep", summary, add_help=False)
    _add_experiment(parser)
    parser.add_argument(
        "--over",
        action="append",
        default=[],
        metavar="AXIS",
        help="field=v1,v2,... or field=start:stop:count[:log]; several: every combination",
    )
    parser.add_argument("--zip", action="store_true", help="take the values of the axes in step")
    parser.add_argument(
        "--executor", default="processes", help="serial, processes (default) or dask"
    )
    parser.add_argument(
        "--workers", type=int, metavar="N", help="processes (default: one for each core)"
    )
    parser.add_argument(
        "--scheduler", default="", metavar="ADDRESS", help="a running Dask scheduler"
    )
    parser.add_argument(
        "--ledger", type=_place, metavar="FILE", help="run ledger (default runs/ledger.sqlite)"
    )
    _add_format(parser)


def _add_doctor(commands: argparse._SubParsersAction) -> None:
    parser = _command(commands, "doctor", "doctor", "what is installed, found and slow")
    _add_format(parser)


def _command(
    commands: argparse._SubParsersAction,
    name: str,
    module: str,
    summary: str,
    *,
    add_help: bool = True,
) -> argparse.ArgumentParser:
    parser = commands.add_parser(
        name, help=summary, description=summary, allow_abbrev=False, add_help=add_help
    )
    parser.set_defaults(module=module)
    return parser


class _Help(argparse.Action):
    """Help of a command; of the fields of an experiment where one is named before it."""

    def __call__(
        self, parser: Any, namespace: Any, values: Any, option_string: str | None = None
    ) -> None:
        if namespace.experiment is None:
            parser.print_help()
            parser.exit()
        namespace.wants_help = True


def _add_experiment(parser: argparse.ArgumentParser) -> None:
    """An experiment and its fields, which its own configuration reads."""
    parser.add_argument("experiment", metavar="EXPERIMENT")
    parser.add_argument(
        "-h",
        "--help",
        action=_Help,
        nargs=0,
        help="this page; after EXPERIMENT its fields with their types and defaults",
    )
    parser.add_argument("--preset", default="quick", help="quick (default), full or gpu")
    parser.set_defaults(takes_fields=True, wants_help=False)


def _add_problem_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--arg",
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help="argument of a function: x=1.5, x=[1,2,3] or X=f64[100,5]",
    )
    parser.add_argument(
        "--domain",
        action="append",
        default=[],
        metavar="NAME=SET",
        help='where it is claimed: x=positive, p="(0, 1)", n=integer',
    )
    parser.add_argument(
        "--convention",
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help="a convention people mix: relu0=1",
    )


def _add_judging_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--seed", type=int, default=0, help="seed of the sampled points (default 0)"
    )
    parser.add_argument("--budget", choices=("fast", "full"), default="fast")
    parser.add_argument(
        "--save", type=_place, metavar="FILE", help="save the verdict for `diffkit replay`"
    )
    parser.add_argument("--explain", action="store_true", help="print the evidence table as well")
    parser.add_argument(
        "--report", type=_place, metavar="FILE", help="write a self-contained HTML page"
    )
    parser.add_argument("--github", action="store_true", help="annotations for a GitHub workflow")


def _add_format(parser: argparse.ArgumentParser, formats: Sequence[str] = PLAIN_FORMATS) -> None:
    parser.add_argument("--format", choices=formats, default="text")
    parser.add_argument(
        "--json",
        nargs="?",
        const="-",
        type=_place,
        metavar="FILE",
        help="JSON to stdout, or to FILE beside the text (write --json=FILE)",
    )


def _as_positional(word: str) -> str:
    """Keep a formula such as "-(a+b)" from being read as an option: only "--x" and -h are."""
    is_formula = word.startswith("-") and not word.startswith("--") and word not in ("-h", "-")
    return f" {word}" if is_formula else word


def _place(text: str) -> str:
    if not text.strip():
        raise argparse.ArgumentTypeError("an empty text names no place; write the path of a file")
    return text


def _require_folder(place: str | None) -> None:
    """Refuse a result file without a folder, which is more often a slip than a wish, at once."""
    folder = Path(place or "").parent
    if not folder.is_dir():
        raise UsageError(f"--json={place}: there is no folder {folder}; make it first")


def _positive(text: str) -> int:
    if not text.isdecimal() or not 1 <= int(text) <= 64:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number from 1 to 64")
    return int(text)


def _version() -> str:
    try:
        return metadata.version("diffkit")
    except metadata.PackageNotFoundError:
        return "(not installed)"


if __name__ == "__main__":
    command_line()
