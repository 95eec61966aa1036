"""The package itself: its types, its README, its benchmark."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import Cluster

HERE = Path(__file__).parent


def test_the_types_are_right() -> None:
    """As a user's checker sees them, and inside."""
    project = HERE.parent
    done = subprocess.run(
        [sys.executable, "-m", "mypy", "--config-file", project / "pyproject.toml"],
        cwd=project,
        capture_output=True,
        text=True,
        env=os.environ | {"MYPY_CACHE_DIR": os.environ.get("MYPY_CACHE_DIR", os.devnull)},
    )
    assert done.returncode == 0, done.stdout + done.stderr


def examples() -> list[str]:
    """The Python blocks of the README, in order."""
    text = (HERE.parent / "README.md").read_text()
    return re.findall(r"```python\n(.*?)```", text, re.DOTALL)


def test_the_readme_is_true(cluster: Cluster, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its examples run one after the other, as they stand, on a cluster."""
    monkeypatch.setenv("ALLUXIO_CONF_DIR", str(cluster.conf_dir))
    blocks = examples()
    assert len(blocks) >= 4
    names: dict[str, object] = {}
    for block in blocks:
        exec(compile(block.replace("localhost:19998", f"127.0.0.1:{cluster.port}"), "README", "exec"), names)


def test_the_benchmark_compares_the_same_bytes(cluster: Cluster) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "alluxio.bench", "--conf-dir", cluster.conf_dir, "--size", str(64 << 20)],
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    print(done.stdout)
    assert found["bytes"] == 64 << 20
    # The goal is 0.9 and reached when the machine is quiet; this says that nothing is copied.
    assert found["ratio"] > 0.5, found
