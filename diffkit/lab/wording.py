"""Numbers as prose and tables want them: signs, small counts as words, powers of ten.

What these functions return is printed; nothing is computed from it again.
"""

from math import exp, floor, log, log10

MINUS = "\N{MINUS SIGN}"
LN10 = log(10.0)


def power_of_ten(natural: float) -> str:
    """exp(natural) as Typst mathematics, two digits: "0.98" or "6.0 dot 10^(-19)"."""
    if abs(natural) < log(100.0):
        return f"{exp(natural):.2g}"
    exponent = int(natural // LN10)
    mantissa = exp(natural - exponent * LN10)
    if f"{mantissa:.1f}" == "10.0":
        mantissa, exponent = 1.0, exponent + 1
    return f"{mantissa:.1f} dot 10^({exponent})"


def signed(value: float, digits: int) -> str:
    """A number with its sign, a real minus: "+1.5", "\N{MINUS SIGN}0.3"."""
    text = f"{value:+.{digits}f}"
    return text.replace("-", MINUS)


def count(value: int) -> str:
    """A small number as a word, 0 as "none"."""
    return "none" if value == 0 else word(value)


def word(value: int) -> str:
    """Small numbers as words, as prose wants them."""
    words = ("no", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
    return words[value] if value < len(words) else str(value)


def all_or(value: int, total: int) -> str:
    """The word all with the number, or how many of how many."""
    return f"all {total}" if value == total else f"{value} of {total}"


def with_error(value: float, error: float) -> str:
    """A value and its standard error, both to two digits of the error: "0.7312 ± 0.0015"."""
    if not error > 0:
        return f"{value:.4g}"
    digits = max(0, 1 - floor(log10(error)))
    return f"{value:.{digits}f} ± {error:.{digits}f}"
