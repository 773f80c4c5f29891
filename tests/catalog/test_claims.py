"""The claims of the lectures: every row can be read, a damaged file is refused."""

import pytest

from diffkit.catalog import claims
from diffkit.core.errors import UnknownNameError, UsageError

ROW = '[[claim]]\nid = "C001"\ntext = "x"\nplaces = ["000:70"]\n'


def test_the_claims_are_numbered_without_a_gap():
    rows = claims.load()
    assert list(rows) == [f"C{number:03d}" for number in range(1, len(rows) + 1)]
    assert len(rows) == 127


def test_a_claim_is_found_by_its_id_and_a_misspelt_one_is_not():
    assert claims.claim("C022").places[2] == "002:360-372"
    with pytest.raises(UnknownNameError, match="no claim 'C22'"):
        claims.claim("C22")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (ROW + ROW, "occurs twice"),
        (ROW.replace("000:70", "page 7"), "needs places"),
        (ROW.replace("text", "words"), "cannot be read"),
        ("[[claim", "cannot be read"),
    ],
)
def test_a_damaged_file_is_refused(tmp_path, text, said):
    path = tmp_path / "claims.toml"
    path.write_text(text)
    with pytest.raises(UsageError, match=said):
        claims.load(path)
