import json

import numpy as np
import pytest
from PIL import Image

from inpaint.cli import main
from inpaint.tools import bench_edits, bench_rows
from inpaint.tools.bench import SECTIONS, Bench, bench
from inpaint.tools.bench_case import box, texture
from inpaint.tools.bench_rows import Row, apart, in_turns

QUICK = [name for name in SECTIONS if name not in ("page", "hole")]


@pytest.mark.parametrize("name", QUICK)
def test_a_section_measures(name):
    rows = SECTIONS[name](True)
    assert all(np.isfinite(row.value) and row.value >= 0 for row in rows)
    assert rows or name == "gpu"
    if name == "overhead":  # the whole takes at least as long as its parts
        assert all(row.value >= 1 for row in rows if row.unit == "×")


def test_the_command_writes_tables_numbers_and_a_drawing(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(
        bench_edits, "apart", lambda case, side, **more: {"seconds": side**2, "megabytes": 1}
    )
    files = [tmp_path / "bench.json", tmp_path / "bench.png"]
    command = ["bench", "--section", "hole", "--brief", "--json", files[0], "--plot", files[1]]
    assert main([str(part) for part in command]) == 0
    printed = capsys.readouterr().out
    assert "| hole of 32 × 32 | 1024 s |  |" in printed
    assert "| power of the masked area that time grows with | 1.00 | ≤ 1.1: met |" in printed
    rows = json.loads(files[0].read_text())["sections"]["hole"]
    assert [row["value"] for row in rows] == [256, 1, 1024, 1, 1, 1, 0]
    assert Image.open(files[1]).convert("L").getextrema() == (0, 255)


def test_a_case_runs_in_a_process_of_its_own():
    answer = apart("edit", width=60, height=50, side=8, steps=1)
    assert answer["seconds"] > 0 and answer["megabytes"] >= 0
    with pytest.raises(RuntimeError, match="^The case nothing failed: KeyError"):
        apart("nothing")


def test_works_are_done_in_turns_and_their_median_counts(monkeypatch):
    order, now = [], iter(range(100))
    monkeypatch.setattr(bench_rows.time, "perf_counter", lambda: next(now))
    works = {"a": lambda: order.append("a"), "b": lambda: order.append("b")}
    assert in_turns(works, 2) == {"a": 1, "b": 1}
    assert order == ["a", "b"] * 3


@pytest.mark.parametrize(
    "row, verdict",
    [
        (Row("", 1.3, "×", least=1.3), "≥ 1.3: met"),
        (Row("", 1.2, "×", least=1.3), "≥ 1.3: not met"),
        (Row("", 3.0, "s", most=3), "≤ 3: met"),
        (Row("", 3.1, "s", most=3), "≤ 3: not met"),
        (Row("", 3.1), ""),
    ],
)
def test_a_row_says_whether_the_bar_is_met(row, verdict):
    assert row.verdict() == verdict


def test_an_unknown_section_is_told_the_known(tmp_path):
    with pytest.raises(ValueError, match="^sections are some of evaluation, .*got 'speed'$"):
        bench(Bench(("speed",)))
    with pytest.raises(ValueError, match="does not exist"):
        Bench(json=tmp_path / "none" / "x.json")


def test_the_case_is_what_it_says():
    assert texture(300, 290).shape == (290, 300, 3) and box(9, 8, 4).sum() == 16
