"""From a record to the PDF: figures, the file of numbers, LaTeX of tables and laws, the document.

What a file was made from is kept beside it as a digest; a file whose digest is unchanged is not
made again.  Same record, same sources, same bytes.
"""

import hashlib
import json
import re
from collections.abc import Callable
from importlib import metadata
from pathlib import Path
from typing import Any

from diffkit.cli.paper_data import numbers
from diffkit.cli.paper_record import PaperRecord, Say
from diffkit.core.errors import UsageError
from diffkit.core.verdict import write_atomically
from diffkit.lab import latex
from diffkit.lab.drawings import producers as producers_of
from diffkit.lab.experiment import Record
from diffkit.lab.provenance import code_version

_IMAGE = re.compile(r'image\(\s*"(?:\.\./)?build/([^"]+)"')
_STAMPS = "stamps.json"


def build(paper: Path, record: PaperRecord, output: Path, say: Say) -> int:
    """Make the figures, the numbers and the PDF; return its number of pages.

    Args:
        paper: Folder with main.typ; what is made lies in its subfolder build.
        record: What the paper reports.
        output: The PDF.
        say: Told of each stage.

    Raises:
        UsageError: main.typ shows a figure that no experiment draws, or is no Typst.
    """
    folder = paper / "build"
    record.save(folder / "record")
    draw(record, folder, say)
    of_paper = numbers(record)
    write_atomically(folder / "data.json", _json(of_paper))
    results = {name: run.results for name, run in record.runs.items()}
    latex.write(folder / "latex", latex.files(of_paper, results))
    found = [problem for problem in problems(paper, record) if "no producer" in problem]
    if found:
        raise UsageError("; ".join(found))
    return compile_document(paper, output, say)


def draw(record: PaperRecord, folder: Path, say: Say) -> None:
    """Draw every figure of every run whose record or whose code changed."""
    stamps = _read_stamps(folder)
    for (name, figure), producer in producers(record).items():
        run, path = record.runs[name], folder / figure_file(name, figure)
        digest = _figure_digest(run)
        if path.is_file() and stamps.get(path.name) == digest:
            continue
        producer(run, path)
        stamps[path.name] = digest
        write_atomically(folder / _STAMPS, _json(stamps))
        say(f"figure   {path.name}")


def compile_document(paper: Path, output: Path, say: Say) -> int:
    """Compile main.typ, without network, system fonts or the time of day."""
    import typst

    from diffkit.lab.config import canonical_json

    folder = paper / "build"
    parts = [*sources(paper), *sorted(paper.glob("*.bib")), folder / "data.json"]
    parts += [folder / image for image in images(paper)]
    texts = {
        path.relative_to(paper).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in parts
    }
    digest = hashlib.sha256(
        f"{canonical_json(texts)} typst {metadata.version('typst')}".encode()
    ).hexdigest()
    stamps = _read_stamps(folder)
    kept = stamps.get(str(output))
    if not (output.is_file() and isinstance(kept, list) and kept[0] == digest):
        try:
            content = typst.compile(
                str(paper / "main.typ"),
                root=str(paper),
                font_paths=[],
                ignore_system_fonts=True,
                timestamp=0,
            )
        except (typst.TypstError, RuntimeError) as error:
            raise UsageError(f"{paper}/main.typ does not compile: {error}") from error
        output.parent.mkdir(parents=True, exist_ok=True)
        partial = output.with_name(f".{output.name}.part")
        partial.write_bytes(content)
        partial.replace(output)
        kept = [digest, len(re.findall(rb"/Type\s*/Page\b", content))]
        write_atomically(folder / _STAMPS, _json({**stamps, str(output): kept}))
        say(f"document {output}")
    return int(kept[1])


def figure_file(experiment: str, figure: str) -> str:
    """Place of a figure below the build folder."""
    return f"figures/{experiment}-{figure}.svg"


def producers(record: PaperRecord) -> dict[tuple[str, str], Callable[[Record, Path], Path]]:
    """(experiment, figure) -> the function that draws it from the record."""
    found = {}
    for name in record.runs:
        found.update({(name, figure): draw for figure, draw in producers_of(name).items()})
    return found


def images(paper: Path) -> list[str]:
    """The files below build/ that the document shows."""
    return [
        image
        for path in sources(paper)
        for image in _IMAGE.findall(path.read_text(encoding="utf-8"))
    ]


def sources(paper: Path) -> list[Path]:
    """main.typ and what it includes: the style and one file for each section."""
    return [paper / "main.typ", paper / "style.typ", *sorted((paper / "sections").glob("*.typ"))]


def problems(paper: Path, record: PaperRecord) -> list[str]:
    """Figures of main.typ that no experiment draws, or that show another run than the record."""
    made = {figure_file(*key): record.runs[key[0]] for key in producers(record)}
    stamps, found = _read_stamps(paper / "build"), []
    for image in images(paper):
        path = paper / "build" / image
        if image not in made:
            found.append(f"{image} has no producer; an entry of FIGURES in an experiment draws it")
        elif not path.is_file():
            found.append(f"{image} is not drawn; `diffkit paper` draws it")
        elif stamps.get(path.name) != _figure_digest(made[image]):
            found.append(f"{image} is older than its record; `diffkit paper` draws it again")
    return found


def _figure_digest(run: Record) -> str:
    code = code_version(f"experiments.{run.experiment}.figures")
    text = f"{_json(run.to_dict())} {code} matplotlib {metadata.version('matplotlib')}"
    return hashlib.sha256(text.encode()).hexdigest()


def _read_stamps(folder: Path) -> dict[str, Any]:
    try:
        stamps = json.loads((folder / _STAMPS).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return stamps if isinstance(stamps, dict) else {}


def _json(data: Any) -> str:
    return json.dumps(data, indent=1, ensure_ascii=False, allow_nan=False) + "\n"
