"""What `make demo` runs, on fewer digits."""

import importlib.util
from pathlib import Path

import pytest

pytest.importorskip("matplotlib")
pytest.importorskip("sklearn")


def test_demo_ranks_the_generators_and_writes_its_report(tmp_path, capsys):
    path = Path(__file__).parents[1] / "examples" / "demo.py"
    spec = importlib.util.spec_from_file_location("demo", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    module.main(tmp_path, n=200)
    lines = capsys.readouterr().out.splitlines()
    rows = [line.split() for line in lines if line.startswith("W1  ")]
    assert [row[1] for row in rows] == ["mixture", "normal", "shuffled"]
    estimates = [float(row[-5]) for row in rows]
    assert estimates == sorted(estimates)
    assert all(float(row[-4]) <= float(row[-5]) <= float(row[-3]) for row in rows)
    for name in ("report.html", "drift.html"):
        assert "<svg" in (tmp_path / name).read_text(encoding="utf-8")
    generator, drift = lines[-6:-3], lines[-1]
    assert generator[0].split(":")[0] == "mixture"
    assert drift.startswith("2 columns of 9 differ from reference: mean texture (missing cells)")
    assert (tmp_path / "out" / "demo.png").stat().st_size > 5000
