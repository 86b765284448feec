"""How many threads a program may start, from the files of control groups."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from inpaint import threads

TOP = "sys/fs/cgroup"
V1 = {"cpu.cfs_quota_us": "150000\n", "cpu.cfs_period_us": "100000\n"}


def files(root, said, groups, siblings=()):
    """Write what a process reads of its groups, and which hardware threads share a core."""
    texts = {"proc/self/cgroup": said, **groups}
    for core, text in enumerate(siblings):
        texts[f"sys/devices/system/cpu/cpu{core}/topology/thread_siblings_list"] = text
    for name, text in texts.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    return root


@pytest.mark.parametrize(
    "said, groups, wanted",
    [
        ("0::/\n", {f"{TOP}/cpu.max": "200000 100000\n"}, 2),
        ("0::/\n", {f"{TOP}/cpu.max": "110000 100000\n"}, 2),
        ("0::/\n", {f"{TOP}/cpu.max": "5000 100000\n"}, 1),
        ("0::/\n", {f"{TOP}/cpu.max": "max 100000\n"}, None),
        ("0::/\n", {f"{TOP}/cpu.max": "what"}, None),
        ("0::/a/b\n", {f"{TOP}/a/cpu.max": "200000 100000", f"{TOP}/a/b/cpu.max": "max 100000"}, 2),
        ("0::/a/b\n", {f"{TOP}/a/cpu.max": "900000 100000", f"{TOP}/a/b/cpu.max": "3 1"}, 3),
        ("0::/../..\n", {f"{TOP}/cpu.max": "4 1"}, 4),
        ("5:cpu,cpuacct:/\n", {f"{TOP}/cpu/{name}": text for name, text in V1.items()}, 2),
        ("5:cpuacct,cpu:/a\n0::/\n", {f"{TOP}/cpu/a/{name}": text for name, text in V1.items()}, 2),
        ("5:cpu:/docker/1\n", {f"{TOP}/cpu/{name}": text for name, text in V1.items()}, 2),
        ("5:cpu:/\n", {f"{TOP}/cpu/{name}": "-1" for name in V1}, None),
        ("5:cpuset:/a\n", {f"{TOP}/cpuset/a/{name}": text for name, text in V1.items()}, None),
    ],
)
def test_a_quota_is_read(said, groups, wanted, tmp_path):
    assert threads.quota(files(tmp_path, said, groups)) == wanted


def test_without_control_groups_there_is_no_quota(tmp_path):
    assert threads.quota(tmp_path) is None


@pytest.fixture
def eight(monkeypatch):
    """A process that may run on eight of ten hardware threads, before torch is imported."""
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: set(range(8)), raising=False)
    monkeypatch.delitem(sys.modules, "torch", raising=False)
    monkeypatch.setenv(threads.VARIABLE, "")  # so that what is set meanwhile is taken back
    monkeypatch.delenv(threads.VARIABLE)


@pytest.mark.parametrize("allowed, wanted", [(2, "2"), (3, "3"), (4, None), (6, None)])
def test_the_quota_holds_where_it_is_less_than_the_cores(allowed, wanted, eight, tmp_path):
    pairs = [f"{core // 2 * 2}-{core // 2 * 2 + 1}" for core in range(10)]
    files(tmp_path, "0::/", {f"{TOP}/cpu.max": f"{allowed} 1"}, pairs)
    assert threads.cores(tmp_path) == 4
    threads.limit(tmp_path)
    assert os.environ.get(threads.VARIABLE) == wanted


def test_a_machine_that_does_not_tell_has_a_core_for_each_thread(eight, tmp_path):
    assert threads.cores(tmp_path) == 8


def test_who_has_set_a_number_has_decided(eight, monkeypatch, tmp_path):
    files(tmp_path, "0::/", {f"{TOP}/cpu.max": "2 1"})
    monkeypatch.setenv(threads.VARIABLE, "5")
    threads.limit(tmp_path)
    assert os.environ[threads.VARIABLE] == "5"
    monkeypatch.delenv(threads.VARIABLE)
    monkeypatch.setitem(sys.modules, "torch", sys)
    threads.limit(tmp_path)
    assert threads.VARIABLE not in os.environ


def test_both_programs_ask_before_torch_is_there():
    script = """if True:
        import sys
        from inpaint import threads
        threads.limit = lambda: print("numpy" in sys.modules, "torch" in sys.modules)
        import app
        from inpaint.cli import main
        main(["train", "--data", "nowhere", "--minutes", "-1", "--out", "nowhere"])"""
    root = Path(__file__).parents[2]
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, cwd=root)
    assert done.stdout == "False False\nTrue False\n"
