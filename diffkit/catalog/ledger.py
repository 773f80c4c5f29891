"""The formulas of the five lecture texts as rows of data: what is printed, what is claimed of what.

A row states the question; nothing here answers it.  `load` refuses a damaged file with the file,
the row and the remedy; it does not import SymPy.  `check_formulas` also reads every formula with
the grammar of `diffkit check`.

Growth: a row of a lecture is one `[[row]]` table in `lectures/NNN.toml`, never code.
"""

import re
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import MISSING, dataclass, field, fields, replace
from functools import cache
from pathlib import Path
from typing import Any, Literal, NoReturn, get_args

from diffkit.core.domain import Domain
from diffkit.core.errors import UsageError

Kind = Literal["d", "id", "val", "ineq", "step", "def", "stmt"]
Truth = Literal["correct", "definition", "wrong", "ambiguous"]
Relation = Literal["gradient", "value", "holds", "rounds"]
KINDS: tuple[str, ...] = get_args(Kind)
TRUTHS: tuple[str, ...] = get_args(Truth)
RELATIONS: tuple[str, ...] = get_args(Relation)
#: The one edit that repairs a wrong formula; a row that needs more has none.
EDITS = (
    "sign",
    "sign of term",
    "operator",
    "complement",
    "factor",
    "chain factor",
    "power",
    "inverse",
    "number",
    "index",
    "exchange",
    "term",
    "function",
    "direction",
)
FOLDER = Path(__file__).parent / "lectures"
LECTURES = ("000", "001", "002", "003", "004")

_LINES = re.compile(r"\d+(-\d+)?([ ,]\d+(-\d+)?)*")
_DECIMAL = re.compile(r"[+-]?\d+(\.\d+)?")


@dataclass(frozen=True)
class Reading:
    """One way to understand an ambiguous row; a field left out of the file is the row's own.

    Args:
        name: The reading in a few words ("mean over the samples").
        holds: Whether the row is true when read so.
        relation: One of `RELATIONS`.
        target: Formula text, "" for the relation "holds".
        claim: Formula text of the claimed side.
        wrt: Variable of a gradient, else "".
        order: Order of the derivative, >= 1.
        domain: Name -> text of a `Domain`; names the reading does not use are left out.
        conventions: Name -> value, for example {"relu0": 1}.
    """

    name: str
    holds: bool
    relation: str
    target: str
    claim: str
    wrt: str = ""
    order: int = 1
    domain: Mapping[str, str] = field(default_factory=dict)
    conventions: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class LedgerRow:
    r"""One formula of a lecture.

    Args:
        id: "F2-17": lecture and number, unique.
        source: Name of the lecture's text.
        lines: Its lines, "90", "131-133" or "123 770-772".
        label: The formula in a few words.
        printed: As printed, LaTeX or text.
        kind: d derivative, id identity, val number, ineq inequality, step update rule,
            def definition, stmt sentence.
        truth: What was established about it by hand.
        judged: Whether it is put as a question; only sentences are not.
        reason: Why it is not judged, "" if it is.
        relation: "gradient" (the claim is the derivative of the target), "value" (it equals the
            target), "holds" (it is true by itself), "rounds" (it is the target, rounded to the
            digits it prints).
        target: Formula text, "" for the relation "holds".
        claim: Formula text of the claimed side.
        wrt: Variable of a gradient, else "".
        order: Order of the derivative, >= 1.
        domain: Name -> text of a `Domain`; the reals where a name is missing.
        conventions: Name -> value, for example {"relu0": 1}.
        meant_reason: Why the target is what is meant, where the text prints only the claim.
        correction: What the text should say, in words; of every wrong row.
        corrected: The claim it should print, as formula text, "" if there is none.
        edit: One of `EDITS`, "" if no single edit repairs it.
        remark: What a reader must know besides.
        readings: At least two of a judged ambiguous row.
    """

    id: str
    source: str
    lines: str
    label: str
    printed: str
    kind: str
    truth: str
    judged: bool = True
    reason: str = ""
    relation: str = ""
    target: str = ""
    claim: str = ""
    wrt: str = ""
    order: int = 1
    domain: Mapping[str, str] = field(default_factory=dict)
    conventions: Mapping[str, float] = field(default_factory=dict)
    meant_reason: str = ""
    correction: str = ""
    corrected: str = ""
    edit: str = ""
    remark: str = ""
    readings: tuple[Reading, ...] = ()


@cache
def load(folder: Path = FOLDER) -> tuple[LedgerRow, ...]:
    """Return the rows of all lectures, in the order of the texts.

    Raises:
        UsageError: a file is missing or damaged, or two rows have one id.

    >>> next(row.claim for row in load() if row.id == "F0-01")
    '7940'
    """
    rows: dict[str, LedgerRow] = {}
    for path in (folder / f"{lecture}.toml" for lecture in LECTURES):
        for row in load_file(path):
            if row.id in rows:
                _refuse(path.name, f"the id {row.id} occurs twice", "number one of them anew")
            rows[row.id] = row
    return tuple(rows.values())


def load_file(path: Path) -> tuple[LedgerRow, ...]:
    """Return the rows of one lecture, in order.

    Raises:
        UsageError: the file cannot be read, or a row is damaged; says which and the remedy.
    """
    try:
        document = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"{path.name}: cannot be read ({error}); install diffkit anew") from error
    except tomllib.TOMLDecodeError as error:
        raise UsageError(f"{path.name}: not TOML: {error}; mend that line") from error
    tables = document.get("row")
    if set(document) != {"row"} or not isinstance(tables, list):
        raise UsageError(f"{path.name}: holds {sorted(document)}; a lecture is [[row]] tables only")
    rows = []
    for number, table in enumerate(tables, 1):
        place = f"{path.name}: row {number} ({table.get('id', 'without id')})"
        row = _row(table, place)
        _check_row(row, place)
        if not row.source.startswith(f"{path.stem}_") or row.id[1:2] != path.stem[-1]:
            _refuse(place, f"{row.source!r} is another lecture", "move the row to that file")
        if any(row.id == other.id for other in rows):
            _refuse(place, "the id occurs twice", "number one of them anew")
        rows.append(row)
    return tuple(rows)


def check_formulas(rows: Iterable[LedgerRow]) -> None:
    """Read every formula of `rows`.

    Raises:
        UsageError: a text is no formula, a claim has symbols its target has not, or a relation
            stands where an expression must (or the reverse).
    """
    for row in rows:
        if row.judged:
            for question in row.readings or (row,):
                name = f", reading {question.name!r}" if isinstance(question, Reading) else ""
                _check_formula(question, f"{row.source}: row {row.id}{name}")
            if row.corrected:
                _expression(row.corrected, row.domain, f"{row.source}: row {row.id}, corrected")


def _refuse(place: str, problem: str, remedy: str) -> NoReturn:
    raise UsageError(f"{place}: {problem}; {remedy}")


def _row(table: Mapping[str, Any], place: str) -> LedgerRow:
    given = _typed(table, LedgerRow, place, renamed={"reading": "readings"})
    tables = given.pop("readings", [])
    row = LedgerRow(**given)
    return replace(row, readings=tuple(_reading(reading, row, place) for reading in tables))


def _reading(table: Mapping[str, Any], row: LedgerRow, place: str) -> Reading:
    """The reading, with what it leaves out taken from its row."""
    place = f"{place}, reading {table.get('name', 'without name')!r}"
    shared = {name: getattr(row, name) for name in ("relation", "target", "claim", "wrt", "order")}
    given = _typed({**shared, **table}, Reading, place)
    if given["relation"] == "holds" and "target" not in table:
        given["target"] = ""
    if given["relation"] != "gradient" and "wrt" not in table:
        given["wrt"] = ""
    words = _words(given["target"], given["claim"])
    inherited = {name: text for name, text in row.domain.items() if name in words}
    given["domain"] = {**inherited, **given.get("domain", {})}
    given["conventions"] = {**row.conventions, **given.get("conventions", {})}
    return Reading(**given)


#: What TOML must give for a field annotated so.
_TYPES: Mapping[Any, tuple[type, ...]] = {
    str: (str,),
    bool: (bool,),
    int: (int,),
    Mapping[str, str]: (dict,),
    Mapping[str, float]: (dict,),
    tuple[Reading, ...]: (list,),
}


def _typed(
    table: Mapping[str, Any],
    form: type[LedgerRow] | type[Reading],
    place: str,
    renamed: Mapping[str, str] | None = None,
) -> dict[str, Any]:
    """The entries of `table` by field of `form`, each of the right type, none missing."""
    given = {(renamed or {}).get(name, name): value for name, value in table.items()}
    known = {entry.name: entry for entry in fields(form)}
    unknown = sorted(set(given) - set(known))
    if unknown:
        _refuse(place, f"unknown field {unknown[0]!r}", f"known fields: {', '.join(known)}")
    for name, entry in known.items():
        if name not in given:
            if entry.default is MISSING and entry.default_factory is MISSING:
                _refuse(place, f"the field {name!r} is missing", "add it")
            continue
        value, wanted = given[name], _TYPES[entry.type]
        is_number_for_flag = isinstance(value, bool) and bool not in wanted
        if not isinstance(value, wanted) or is_number_for_flag:
            remedy = f"write a {wanted[0].__name__}"
            _refuse(place, f"{name} = {value!r} has the wrong type", remedy)
    return given


def _check_row(row: LedgerRow, place: str) -> None:
    """Refuse a row that contradicts itself."""
    _check_words(row, place)
    if row.judged:
        if row.reason:
            _refuse(place, "it is judged and has a reason not to be", "delete the reason")
        for question in row.readings or (row,):
            _check_question(question, place)
    elif row.kind != "stmt" or not row.reason.startswith("not a formula: "):
        _refuse(
            place,
            "it is not judged",
            'judge it, or (a stmt) give reason = "not a formula: ..."',
        )
    if row.truth == "ambiguous" and row.judged and len(row.readings) < 2:
        _refuse(place, "an ambiguous row has fewer than two readings", "add [[row.reading]] tables")
    if row.truth != "ambiguous" and row.readings:
        _refuse(place, f"a row that is {row.truth} has readings", "delete them")
    if row.truth == "wrong" and not row.correction.strip():
        _refuse(place, "a wrong row has no correction", "say in words what the text should say")
    if row.truth != "wrong" and row.edit:
        _refuse(place, f"a row that is {row.truth} has an edit", "delete the edit")


def _check_words(row: LedgerRow, place: str) -> None:
    closed = (("kind", KINDS), ("truth", TRUTHS), ("edit", ("", *EDITS)))
    for name, allowed in closed:
        if getattr(row, name) not in allowed:
            listed = ", ".join(word for word in allowed if word)
            _refuse(place, f"{name} = {getattr(row, name)!r} is not one", f"known: {listed}")
    if not re.fullmatch(r"F\d-\d{2,3}[a-z]?", row.id):
        _refuse(place, "the id has another form", 'write it as "F2-17"')
    if not _LINES.fullmatch(row.lines):
        _refuse(place, f"lines = {row.lines!r} names no lines", 'write "90" or "90-93 95"')
    if not row.label.strip() or not row.printed.strip():
        _refuse(place, "label or printed is empty", "say what the lecture prints")


def _check_question(question: LedgerRow | Reading, place: str) -> None:
    """Refuse a question that lacks a side, or has one too many."""
    relation = question.relation
    if relation not in RELATIONS:
        _refuse(place, f"relation = {relation!r} is not one", f"known: {', '.join(RELATIONS)}")
    if not question.claim.strip():
        _refuse(place, "the claim is empty", "write the claimed side as formula text")
    if bool(question.target.strip()) == (relation == "holds"):
        remedy = "delete it" if relation == "holds" else "write what the claim is about"
        _refuse(place, f'target = {question.target!r} with relation "{relation}"', remedy)
    if bool(question.wrt) != (relation == "gradient") or question.order < 1:
        remedy = "a gradient has wrt and an order of at least 1, nothing else has"
        _refuse(place, f"wrt = {question.wrt!r}, order = {question.order}", remedy)
    if relation == "rounds" and not _DECIMAL.fullmatch(question.claim):
        _refuse(place, f"{question.claim!r} is no decimal", 'write its digits, as in "0.002"')
    for name, text in question.domain.items():
        try:
            Domain.parse(text)
        except (UsageError, AttributeError) as error:
            _refuse(place, f"domain of {name}: {error}", "write it so")
    for name, value in question.conventions.items():
        if isinstance(value, bool) or not isinstance(value, int | float):
            _refuse(place, f"convention {name} = {value!r} is no number", "write a number")


def _check_formula(question: LedgerRow | Reading, place: str) -> None:
    from sympy import Expr

    claim = _expression(question.claim, question.domain, f"{place}, claim")
    if isinstance(claim, Expr) == (question.relation == "holds"):
        problem = f'claim = {question.claim!r} with relation "{question.relation}"'
        _refuse(place, problem, 'only "holds" claims a relation such as a == b')
    sides = claim
    if question.target:
        sides = _expression(question.target, question.domain, f"{place}, target")
        if not isinstance(sides, Expr):
            _refuse(place, "the target is a relation", "write an expression")
        extra = claim.free_symbols - sides.free_symbols
        if extra:
            names = ", ".join(sorted(map(str, extra)))
            _refuse(place, f"the target lacks the symbols {names} of the claim", "write them in")
    if question.wrt and question.wrt not in {str(symbol) for symbol in sides.free_symbols}:
        _refuse(place, f"the target has no {question.wrt}", "differentiate by one of its symbols")
    unused = sorted(set(question.domain) - _words(question.target, question.claim))
    if unused:
        _refuse(place, f"the domain names {', '.join(unused)}, no side does", "delete or rename")


def _words(*texts: str) -> set[str]:
    """The names in formula texts; a symbol that cancels when read is still one of them."""
    return set(re.findall(r"[A-Za-z]\w*", " ".join(texts)))


def _expression(text: str, domain: Mapping[str, str], place: str) -> Any:
    from diffkit.symbolic.parse import parse

    integers = [name for name, spelled in domain.items() if Domain.parse(spelled).integer]
    try:
        return parse(text, integers=integers)
    except UsageError as error:
        _refuse(place, f"{text!r} is no formula: {error}", "write it in the grammar")
