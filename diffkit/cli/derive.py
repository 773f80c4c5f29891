"""`diffkit derive TARGET`: a closed form, with the steps that lead to it."""

import argparse

from diffkit.cli import output, targets


def run(options: argparse.Namespace) -> int:
    """Derive and print; a failing certificate raises."""
    from diffkit.bridge.derive import derive

    target = options.target.strip()
    derivation = derive(
        targets.load(target) if targets.is_reference(target) else target,
        wrt=options.wrt,
        order=options.order,
        domain=targets.domains(options.domain),
        conventions=targets.conventions(options.convention),
        **targets.arguments(options.arg),
    )
    data = derivation.to_dict()
    formats = {
        "text": derivation.text if options.steps else derivation.__str__,
        "latex": lambda: derivation.latex(steps=options.steps),
        "markdown": derivation.markdown,
        "html": derivation.to_html,
    }
    output.emit(options, data, formats)
    return 0
