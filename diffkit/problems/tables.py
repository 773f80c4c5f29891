"""The small real data sets that scikit-learn carries: no download, the same in every version.

What is read is held against a checksum, so that a copy that was changed is noticed and not used.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from diffkit.core.errors import UsageError
from diffkit.problems.dataset import Dataset


@dataclass(frozen=True)
class _Table:
    """One data set of scikit-learn.

    Args:
        loader: Function of `sklearn.datasets`.
        scale: What the inputs are divided by.
        source: Who published it.
        checksum: Of the arrays as they are used.
        options: Passed to the loader.
    """

    loader: str
    scale: float
    source: str
    checksum: str
    options: Mapping[str, bool] = field(default_factory=dict)


#: Name -> data set.
TABLES: Mapping[str, _Table] = {
    "digits": _Table(
        "load_digits",
        16.0,
        "8x8 handwritten digits, UCI test set, by scikit-learn",
        "e0a77bd414f7648e1b8a44ab6005b9f6cb40474991f9cc75e76c01ea61f6d2c5",
    ),
    "iris": _Table(
        "load_iris",
        1.0,
        "Fisher's irises, by scikit-learn",
        "89737a0da750c05685a7272f2f2066995774130e812701489fdb2fac17aed604",
    ),
    "wine": _Table(
        "load_wine",
        1.0,
        "UCI wine recognition, by scikit-learn",
        "3ffbc250b5b023a48630acca5b93313a5c41db518d104d1c833d54a8575dacfd",
    ),
    "breast_cancer": _Table(
        "load_breast_cancer",
        1.0,
        "UCI breast cancer Wisconsin (diagnostic), by scikit-learn",
        "6f232c1443473061656aeda486f3a1fff87de3053c49cee0b3964fda077f7b41",
    ),
    "diabetes": _Table(
        "load_diabetes",
        1.0,
        "diabetes of Efron et al. (2004), by scikit-learn",
        "36214d5e26bac919c84d0e9c77d11551025c1e9af441829d7b007ebe06a0673e",
        {"scaled": False},  # as measured: scaling rounds
    ),
}


def table(name: str) -> Dataset:
    """A data set of scikit-learn.

    Raises:
        UsageError: scikit-learn is not installed, or its copy is not the known one.
    """
    row = TABLES[name]
    try:
        from sklearn import datasets
    except ModuleNotFoundError:
        raise UsageError(
            f'{name} is read from scikit-learn; install it with pip install "diffkit[lab]"'
        ) from None
    found = getattr(datasets, row.loader)(**row.options)
    is_real = np.issubdtype(found.target.dtype, np.floating)
    dataset = Dataset(
        name,
        (found.data / row.scale).astype(np.float32),
        found.target.astype(np.float32 if is_real else np.int32),
        () if is_real else tuple(map(str, found.target_names)),
        row.source,
    )
    if dataset.checksum != row.checksum:
        raise UsageError(
            f"scikit-learn's copy of {name} has the checksum {dataset.checksum[:12]}, not "
            f"{row.checksum[:12]}; it is another data set than the one diffkit knows"
        )
    return dataset
