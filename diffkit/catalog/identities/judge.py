"""The classes of identities, and the judge put before each of them."""

from dataclasses import dataclass

from diffkit.catalog.identities.inverses import DETERMINANTS, INVERSES
from diffkit.catalog.identities.learning import LIKELIHOODS, REGRESSION
from diffkit.catalog.identities.linear import LINEAR
from diffkit.catalog.identities.networks import NETWORKS
from diffkit.catalog.identities.row import Identity
from diffkit.catalog.identities.spectral import SPECTRAL
from diffkit.catalog.identities.traces import TRACES
from diffkit.core.verdict import Verdict
from diffkit.verify.check import check

#: Class of identities -> its rows.
CLASSES = {
    "linear and quadratic": LINEAR,
    "trace": TRACES,
    "determinant": DETERMINANTS,
    "inverse": INVERSES,
    "spectral": SPECTRAL,
    "regression and softmax": REGRESSION,
    "likelihood": LIKELIHOODS,
    "network": NETWORKS,
}
IDENTITIES: tuple[Identity, ...] = tuple(row for rows in CLASSES.values() for row in rows)


@dataclass(frozen=True)
class IdentityJudgement:
    """What the judge says of one identity.

    Args:
        row: The identity.
        claim: Verdict on the closed form.
        wrong: Verdict on the wrong claim; None where there is none.
        written: Verdict on the closed form as LaTeX; None where it uses other names.
    """

    row: Identity
    claim: Verdict
    wrong: Verdict | None = None
    written: Verdict | None = None

    @property
    def is_as_it_should_be(self) -> bool:
        """Whether the true claims hold and the wrong one is refuted."""
        true = self.claim.ok and (self.written is None or self.written.ok)
        return true and (self.wrong is None or self.wrong.status == "refuted")


def judge_identity(row: Identity, *, seed: int = 0) -> IdentityJudgement:
    """Judge the closed form of an identity, its LaTeX and its wrong claim.

    Args:
        row: The identity.
        seed: Seed of the example arguments.
    """

    def verdict(claim: object) -> Verdict:
        values = row.draw(seed).values()
        return check(row.f, claim, *values, wrt=row.wrt, kind=row.kind, domain=row.domains or None)

    return IdentityJudgement(
        row,
        verdict(row.claim),
        verdict(row.wrong) if row.wrong else None,
        verdict(row.latex_claim) if row.reads else None,
    )
