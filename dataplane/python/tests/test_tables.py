"""pandas and pyarrow."""

from __future__ import annotations

import gc

import numpy
import pandas
import pyarrow
import pyarrow.dataset
import pyarrow.fs
import pyarrow.parquet
import pytest
from conftest import Cluster

import alluxio.fsspec


@pytest.fixture
def frame() -> pandas.DataFrame:
    """Some rows of each kind."""
    random = numpy.random.default_rng(1)
    return pandas.DataFrame(
        {
            "id": numpy.arange(100_000),
            "kind": random.choice(["a", "b", "c"], 100_000),
            "value": random.random(100_000),
        }
    )


def test_pandas_reads_and_writes_urls(
    cluster: Cluster, folder: str, frame: pandas.DataFrame, monkeypatch: pytest.MonkeyPatch
) -> None:
    frame.to_parquet(f"{cluster.url}{folder}/f.parquet")
    frame.head(1000).to_csv(f"{cluster.url}{folder}/f.csv", index=False)
    pandas.testing.assert_frame_equal(pandas.read_parquet(f"{cluster.url}{folder}/f.parquet"), frame)
    pandas.testing.assert_frame_equal(pandas.read_csv(f"{cluster.url}{folder}/f.csv"), frame.head(1000))
    monkeypatch.setenv("ALLUXIO_CONF_DIR", str(cluster.conf_dir))
    read = pandas.read_parquet(f"alluxio://{folder}/f.parquet", columns=["id"])
    assert read["id"].sum() == frame["id"].sum()
    with_options = pandas.read_csv(
        f"alluxio://{folder}/f.csv", storage_options={"conf_dir": str(cluster.conf_dir)}
    )
    assert len(with_options) == 1000


def test_a_dataset_of_pyarrow(cluster: Cluster, folder: str, frame: pandas.DataFrame) -> None:
    fs = alluxio.fsspec.AlluxioFileSystem(conf_dir=str(cluster.conf_dir))
    pyarrow.parquet.write_to_dataset(
        pyarrow.Table.from_pandas(frame), f"{folder}/set", partition_cols=["kind"], filesystem=fs
    )
    found = pyarrow.dataset.dataset(f"{folder}/set", filesystem=fs, partitioning="hive")
    assert found.count_rows() == len(frame)
    wanted = found.to_table(filter=pyarrow.dataset.field("kind") == "b")
    assert wanted["value"].to_numpy().sum() == pytest.approx(frame[frame["kind"] == "b"]["value"].sum())
    selector = pyarrow.fs.FileSelector(f"{folder}/set", recursive=True)
    listed = pyarrow.fs.PyFileSystem(pyarrow.fs.FSSpecHandler(fs)).get_file_info(selector)
    assert sum(info.is_file for info in listed) == 3


def test_arrow_uses_the_bytes_where_they_are(cluster: Cluster, folder: str) -> None:
    fs = alluxio.fsspec.AlluxioFileSystem(conf_dir=str(cluster.conf_dir))
    numbers = pyarrow.table({"n": pyarrow.array(range(50_000), pyarrow.int64())})
    with fs.open(f"{folder}/t.arrow", "wb") as file:
        with pyarrow.ipc.new_file(file, numbers.schema) as writer:
            writer.write_table(numbers)
    file = fs.open(f"{folder}/t.arrow")
    table = pyarrow.ipc.open_file(pyarrow.PythonFile(file, mode="r")).read_all()
    assert table.equals(numbers)
    address = table["n"].chunk(0).buffers()[1].address
    block = numpy.frombuffer(file.view(), dtype=numpy.uint8).ctypes.data
    assert block <= address < block + file.size, "the column lies in the worker's block"
    file.close()
    del file
    gc.collect()
    # The table keeps what it needs.
    assert table["n"].to_numpy().sum() == sum(range(50_000))
