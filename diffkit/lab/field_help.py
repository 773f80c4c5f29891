"""The page of help of a configuration: every field with its type, default and description.

tyro finds the fields, their descriptions (from the docstrings) and the groups, and draws the page;
`overrides` reads the words.  The rules below make the page show the words as they are read.
"""

import contextlib
import dataclasses
import io
import re
from typing import Any, Literal, get_args, get_origin

from diffkit.core.errors import UsageError
from diffkit.lab.config import choice_name, choices, hints


def field_help(config: Any, program: str, about: str) -> str:
    """The page of help.

    Args:
        config: The configuration whose values are the defaults shown.
        program: The words before the fields, such as "diffkit run double_descent".
        about: Text above the fields.

    Raises:
        UsageError: tyro is not installed.
    """
    try:
        import tyro
    except ImportError as error:
        raise UsageError('help needs tyro; install it with pip install "diffkit[lab]"') from error
    page = io.StringIO()
    with contextlib.redirect_stdout(page), contextlib.suppress(SystemExit):
        tyro.cli(
            type(config),
            default=config,
            args=["--help"],
            prog=program,
            description="\n\n".join([about, *_choices_in_words(config, program)]),
            use_underscores=True,
            config=(tyro.conf.AvoidSubcommands, tyro.conf.FlagConversionOff),
            registry=_registry(tyro),
        )
    lines = "\n".join(line.rstrip() for line in page.getvalue().splitlines())
    return re.sub(r"\n{3,}", "\n\n", lines).rstrip()


def _registry(tyro: Any) -> Any:
    """A tuple is one word with commas."""
    registry = tyro.constructors.ConstructorRegistry()

    def tuples(info: Any) -> Any:
        if get_origin(info.type) is not tuple:
            return None
        parts = [_metavar(part) for part in get_args(info.type)]
        shown = [parts[0], parts[0], "..."] if get_args(info.type)[-1] is Ellipsis else parts
        return tyro.constructors.PrimitiveConstructorSpec(
            nargs=1,
            metavar=",".join(shown),
            instance_from_str=tuple,
            is_instance=lambda value: isinstance(value, tuple),
            str_from_instance=lambda value: [",".join(map(str, value))],
        )

    registry.primitive_rule(tuples)
    return registry


def _metavar(kind: Any) -> str:
    """What stands for a value of that type."""
    if get_origin(kind) is Literal:
        return "|".join(map(str, get_args(kind)))
    return getattr(kind, "__name__", str(kind)).upper()


def _choices_in_words(config: Any, program: str) -> list[str]:
    """What may be chosen for each field that is one of several dataclasses."""
    lines = []
    for name, hint in hints(type(config)).items():
        inner = getattr(config, name)
        if choices(hint):
            chosen = choice_name(type(inner)) if dataclasses.is_dataclass(inner) else "none"
            others = [other for other in choices(hint) if other != chosen]
            lines.append(
                f"--{name} is {chosen} (below) or {', '.join(others)}: "
                f"{program} --{name} {others[0]} --help"
            )
    return lines
