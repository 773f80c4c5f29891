"""`diffkit check TARGET CLAIM`: is the claimed derivative right?"""

import argparse

from diffkit.cli import annotations, output, targets


def run(options: argparse.Namespace) -> int:
    """Judge one claim and return the exit status of its verdict."""
    from diffkit.verify.check import check

    target = _side(options.target)
    claim = _side(options.claim)
    arguments = targets.arguments(options.arg)
    points = []
    if isinstance(target, str) and arguments:
        points, arguments = [arguments], {}  # of a formula they are the point judged first
    verdict = check(
        target,
        claim,
        wrt=options.wrt,
        kind=options.kind,
        order=options.order,
        domain=targets.domains(options.domain),
        conventions=targets.conventions(options.convention),
        points=points,
        seed=options.seed,
        budget=options.budget,
        **arguments,
    )
    if options.github:
        from diffkit.verify.collect import place_of

        place = annotations.Place(*place_of(target))
        annotations.show([*annotations.of_verdict(verdict, place)])
    if options.report:
        output.save_report(options.report, [verdict], f"check {options.target.strip()}")
    return output.emit_verdict(options, verdict)


def _side(text: str) -> object:
    return targets.load(text) if targets.is_reference(text) else text.strip()
