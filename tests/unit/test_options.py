"""The operator's table of options: flags, variables, defaults and the README."""

import re
from dataclasses import fields
from pathlib import Path

import pytest

from inpaint.ui.options import Options, flag, table, variable

README = Path(__file__).parents[2] / "README.md"


def test_the_readme_shows_the_table():
    assert table() in README.read_text("utf-8")


@pytest.mark.parametrize("row", fields(Options), ids=lambda row: row.name)
def test_a_flag_counts_more_than_a_variable_and_that_more_than_the_default(row):
    values = {str: ("a:b", "c:d"), int: ("3", "4"), bool: ("0", "1")}[type(row.default)]
    values = row.metadata["choices"][-2:] or values
    kind = type(row.default)
    first, second = (value == "1" if kind is bool else kind(value) for value in values)
    given = [flag(row)] * second if kind is bool else [flag(row), values[1]]
    assert getattr(Options.of([], {}), row.name) == row.default
    assert getattr(Options.of([], {variable(row): values[0]}), row.name) == first
    assert getattr(Options.of(given, {variable(row): values[0]}), row.name) == second
    assert getattr(Options.of([], {variable(row): " "}), row.name) == row.default


@pytest.mark.parametrize(
    "given, variables, sentence",
    [
        (["--port", "0"], {}, "--port must be from 1 to 65535, got 0"),
        (["--queue", "-1"], {}, "--queue must be from 0 to 1000, got -1"),
        (["--max-pixels", "many"], {}, "invalid int value"),
        (["--device", "abacus"], {}, "--device must be one of auto, cuda, xpu, mps, cpu"),
        (["--auth", "ada"], {}, "--auth takes USER:PASSWORD"),
        (["--auth", "ada:"], {}, "--auth takes USER:PASSWORD"),
        (["--auth", "ada:x", "--mcp"], {}, "--mcp has no log-in"),
        ([], {"INPAINT_PORT": "x"}, "INPAINT_PORT must be a whole number, got 'x'"),
        ([], {"INPAINT_MCP": "maybe"}, "INPAINT_MCP must be 1 or 0, got 'maybe'"),
    ],
)
def test_slips_end_in_one_sentence(given, variables, sentence, capsys):
    with pytest.raises(SystemExit, match="2"):
        Options.of(given, variables)
    assert sentence in capsys.readouterr().err.strip().splitlines()[-1]


def test_users_are_one_or_a_file_of_them(tmp_path):
    assert Options().users() == []
    assert Options(auth="ada:se:cret").users() == [("ada", "se:cret")]
    (tmp_path / "users").write_text("ada:secret\n\nbob:word\n")
    assert Options(auth=str(tmp_path / "users")).users() == [("ada", "secret"), ("bob", "word")]


def test_the_help_names_every_flag(capsys):
    with pytest.raises(SystemExit, match="0"):
        Options.of(["--help"], {})
    text = capsys.readouterr().out
    assert all(re.search(rf"{flag(row)}\b", text) for row in fields(Options))
