"""A run as labelled arrays: what was put into the ledger is read back from the file by netCDF."""

import importlib.util
import json
import sys
from pathlib import Path

import numpy as np
import pytest

from diffkit.cli.main import main
from diffkit.core.errors import UsageError
from diffkit.lab import export
from diffkit.lab.ledger import Ledger, Run

needs_xarray = pytest.mark.skipif(
    any(importlib.util.find_spec(name) is None for name in ("xarray", "h5netcdf", "h5py")),
    reason='xarray, h5netcdf or h5py is not installed; pip install "diffkit[xarray]"',
)
DEPTHS, WIDTHS = (5, 10, 20), (64, 128)


@pytest.fixture
def run(tmp_path: Path):
    with Ledger(tmp_path / "ledger.sqlite") as ledger:
        yield ledger.open_run("e", {"draws": 3}, "c")


def value(depth: int, width: int) -> np.ndarray:
    return depth * 1000.0 + width + np.arange(4)


def fill(run: Run, *, leave_out: tuple = ()) -> None:
    for width in WIDTHS:
        for depth in DEPTHS:
            if (depth, width) not in leave_out:
                arrays = {"norm": value(depth, width), "name": np.array(f"{depth}x{width}")}
                run.put({"depth": depth, "width": width}, arrays)


def read(run: Run, path: Path):
    import xarray

    return xarray.open_datatree(export.to_netcdf(run, path), engine="h5netcdf")


@needs_xarray
def test_the_fields_of_the_keys_are_the_dimensions(run, tmp_path):
    fill(run)
    run.set_state("done", record={"status": "supported", "statement": "it is so"})
    with read(run, tmp_path / "run.nc") as tree:
        norm = tree["norm"]
        assert set(norm.dims) == {"depth", "width", "norm_0"}
        for depth in DEPTHS:
            for width in WIDTHS:
                chosen = norm.sel(depth=depth, width=width)
                np.testing.assert_array_equal(chosen, value(depth, width))
                assert tree["name"].sel(depth=depth, width=width).item() == f"{depth}x{width}"
        assert tree.attrs["experiment"] == "e"
        assert tree.attrs["run"] == run.id
        assert json.loads(tree.attrs["config"]) == {"draws": 3}
        assert (tree.attrs["status"], tree.attrs["statement"]) == ("supported", "it is so")


@needs_xarray
def test_a_grid_with_a_gap_is_a_list_of_cells_and_nothing_is_filled(run, tmp_path):
    fill(run, leave_out=((10, 64),))
    with read(run, tmp_path / "run.nc") as tree:
        assert tree["norm"].dims == ("cell", "norm_0")
        assert tree["norm"].shape == (5, 4)
        places = zip(tree["depth"].values, tree["width"].values, tree["norm"].values, strict=True)
        for depth, width, norm in places:
            np.testing.assert_array_equal(norm, value(int(depth), int(width)))


@needs_xarray
def test_cells_of_several_kinds_are_groups(run, tmp_path):
    for length in (1, 2):
        run.put({"part": "recurrent", "length": length}, {"norm": np.full(length * 0 + 3, length)})
        run.put({"part": "wide", "length": length}, {"norm": np.full((2, 2), length)})
    run.put({"i": 1}, {"norm": 5.0})
    with read(run, tmp_path / "run.nc") as tree:
        assert set(tree.children) == {"recurrent", "wide", "cells_2"}
        assert tree["recurrent/norm"].sel(part="recurrent", length=2).values.tolist() == [2, 2, 2]
        assert tree["wide/norm"].sel(part="wide", length=1).values.tolist() == [[1, 1], [1, 1]]
        assert tree["cells_2/norm"].sel(i=1).item() == 5.0


@needs_xarray
@pytest.mark.parametrize(
    "array",
    [
        np.array([True, False]),
        np.array([1, 2], np.int8),
        np.array([np.nan, np.inf, -0.0]),
        np.float32(0.1),
        np.array([], float),
    ],
    ids=str,
)
def test_an_array_keeps_its_type_and_its_values(run, tmp_path, array):
    run.put({"i": 0, "flag": True, "span": [1, 2]}, {"x": array})
    with read(run, tmp_path / "run.nc") as tree:
        found = tree["x"].sel(i=0, flag="true", span="[1, 2]").values
        assert found.dtype == array.dtype
        np.testing.assert_array_equal(found, array)


@needs_xarray
def test_keys_of_several_types_are_told_apart_by_their_json(run, tmp_path):
    for label in (1, "1", None):
        run.put({"clip": label}, {"x": repr(label)})
    with read(run, tmp_path / "run.nc") as tree:
        for label in (1, "1", None):
            assert tree["x"].sel(clip=json.dumps(label)).item() == repr(label)


@needs_xarray
def test_a_single_cell_without_a_key_has_only_its_own_axes(run, tmp_path):
    run.put({}, {"x": np.arange(3)})
    with read(run, tmp_path / "run.nc") as tree:
        assert tree["x"].values.tolist() == [0, 1, 2]


@needs_xarray
def test_a_complex_array_is_its_two_parts(run, tmp_path):
    run.put({"i": 0}, {"x": np.array([1 + 2j])})
    with read(run, tmp_path / "run.nc") as tree:
        assert (tree["x_real"].values.item(), tree["x_imag"].values.item()) == (1.0, 2.0)


@needs_xarray
def test_an_array_named_like_a_field_or_a_dimension_is_renamed(run, tmp_path):
    arrays = {"falling": 2.0, "x": np.arange(3), "x_0": 5.0, "z": 1j, "z_real": 7.0}
    run.put({"part": "noise", "falling": True}, arrays)
    with read(run, tmp_path / "run.nc") as tree:
        assert tree["falling_value"].sel(falling="true", part="noise").item() == 2.0
        assert (tree["x"].dims[2:], tree["x_0_value"].item()) == (("x_0",), 5.0)
        assert (tree["z_real"].item(), tree["z_real_value"].item()) == (0.0, 7.0)


@needs_xarray
def test_the_same_quantity_of_several_has_the_same_dimensions(run, tmp_path):
    run.put({"i": 0}, {"relu log": np.ones((2, 3)), "tanh log": np.ones((2, 3))})
    run.put({"j": 0}, {"relu log": np.ones((2, 3)), "tanh log": np.ones((2, 4))})
    with read(run, tmp_path / "run.nc") as tree:
        alike, other = tree["cells_0"], tree["cells_1"]
        assert alike["relu log"].dims == alike["tanh log"].dims == ("i", "log_0", "log_1")
        assert other["tanh log"].dims == ("j", "tanh log_0", "tanh log_1")


@needs_xarray
def test_a_run_without_cells_and_another_ending_are_refused(run, tmp_path):
    with pytest.raises(UsageError, match="no finished cell"):
        export.labelled(run)
    fill(run)
    with pytest.raises(UsageError, match=r"a netCDF file ends in \.nc"):
        export.to_netcdf(run, tmp_path / "run.csv")
    (tmp_path / "taken.nc").mkdir()
    with pytest.raises(UsageError, match=r"cannot write .*taken\.nc"):
        export.to_netcdf(run, tmp_path / "taken.nc")
    assert sorted(path.name for path in tmp_path.glob("*.part")) == []


def test_without_xarray_the_remedy_is_named(run, monkeypatch):
    monkeypatch.setitem(sys.modules, "xarray", None)
    with pytest.raises(UsageError, match=r'pip install "diffkit\[xarray\]"'):
        export.labelled(run)


@needs_xarray
def test_the_command_takes_an_address_or_the_newest_finished_run(run, tmp_path, capsys):
    fill(run)
    with pytest.raises(UsageError, match=f"no run of e .* such as {run.id[:8]}"):
        export.find_run(run.ledger, "e")
    other = run.ledger.open_run("e", {"draws": 4}, "c")
    other.put({"i": 0}, {"x": 1.0})
    other.set_state("done", record={})
    run.ledger.open_run("e", {"draws": 5}, "c").set_state("done", record={})  # keeps no cells
    failed = run.ledger.open_run("e", {"draws": 6}, "c")
    failed.put({"i": 0}, {"x": 1.0})
    failed.set_state("failed")
    ledger = ["--ledger", str(run.ledger.path)]
    for name, address, cells in ((run.id[:8], run.id, 6), ("e", other.id, 1)):
        assert main(["export", name, "--to", str(tmp_path / "run.nc"), *ledger]) == 0
        assert capsys.readouterr().out.endswith(f"e {address[:12]}, {cells} cells\n")


def test_a_run_or_a_ledger_that_is_not_there_is_named(run, tmp_path, capsys):
    nowhere = str(tmp_path / "none.sqlite")
    assert main(["export", "e", "--to", "run.nc", "--ledger", nowhere]) == 2
    assert "no run ledger" in capsys.readouterr().err
    assert not Path(nowhere).exists()
    for name in ("f", "", run.id[:7], "0123456789"):
        assert main(["export", name, "--to", "run.nc", "--ledger", str(run.ledger.path)]) == 2
        assert "no run in ledger.sqlite" in capsys.readouterr().err


@needs_xarray
def test_a_cell_that_has_lost_its_arrays_is_an_error(run):
    fill(run)
    with run.ledger.transaction() as execute:
        execute("DELETE FROM arrays WHERE cell = 1")
    with pytest.raises(UsageError, match=r"'depth': 5.*has lost its arrays; move the ledger"):
        export.labelled(run)
