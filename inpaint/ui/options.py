"""What the operator can set: one table, from which flags, variables and the README are drawn."""

from __future__ import annotations

import argparse
import os
from collections.abc import Mapping, Sequence
from dataclasses import Field, dataclass, field, fields
from pathlib import Path
from typing import Any

from inpaint.pictures import MAX_PIXELS
from inpaint.settings import DEVICES, Settings

ALONE = ("127.0.0.1", "localhost", "::1")
"""Addresses that no other machine can reach."""
YES, NO = ("1", "true", "yes", "on"), ("", "0", "false", "no", "off")


def _row(
    default: Any, tip: str, low: int = 0, high: int = 2**53, choices: tuple[str, ...] = ()
) -> Any:
    metadata = {"tip": tip, "low": low, "high": high, "choices": choices}
    return field(default=default, metadata=metadata)


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """How the page is served: each field is a flag and a variable, as `table` shows them.

    Raises
    ------
    ValueError
        With one sentence.
    """

    host: str = _row("127.0.0.1", "address to listen on; `0.0.0.0` serves the network too")
    port: int = _row(7860, "port to listen on", low=1, high=65535)
    share: bool = _row(False, "a public link, through Gradio's servers")
    auth: str = _row("", "`USER:PASSWORD`, or a file with such a line for each user")
    device: str = _row("auto", f"what computes: {', '.join(DEVICES)}", choices=DEVICES)
    model: str = _row(
        Settings().model, "model that is chosen at first, a name of `python -m inpaint doctor`"
    )
    downloads: str = _row(
        "local",
        "models of the hub: `all`: whoever uses the page may download them, `none`: nobody, "
        "`local`: only where the page is for this machine alone",
        choices=("local", "all", "none"),
    )
    sam: str = _row(
        "", "weights of SAM or SAM 2 for the tool *snap*: a folder, or owner/name on the hub"
    )
    max_pixels: int = _row(MAX_PIXELS, "refuse pictures with more pixels", low=1)
    max_upload: int = _row(200, "refuse files of more megabytes", low=1)
    queue: int = _row(16, "people who may wait for their turn", high=1000)
    rate: int = _row(600, "requests a minute that a client may send; 0 for any number")
    specialise: bool = _row(
        False, "visitors may train models on pictures they bring, for everybody's list"
    )
    mcp: bool = _row(False, "serve the API as MCP tools too")

    def __post_init__(self) -> None:
        """Check what has a range."""
        for row in fields(self):
            value, low, high = getattr(self, row.name), row.metadata["low"], row.metadata["high"]
            choices = row.metadata["choices"]
            if choices and value not in choices:
                raise ValueError(f"{flag(row)} must be one of {', '.join(choices)}, got {value}")
            if type(value) is int and not low <= value <= high:
                raise ValueError(f"{flag(row)} must be from {low} to {high}, got {value}")
        if self.mcp and self.auth:
            raise ValueError("--mcp has no log-in; use it without --auth, on a network you trust")
        self.users()

    @classmethod
    def of(cls, arguments: Sequence[str], variables: Mapping[str, str]) -> Options:
        """Read flags, then variables, then the defaults of the table; --help and slips exit."""
        parser = argparse.ArgumentParser(
            prog="app.py",
            description="Serve the page for painting over a part of a picture and filling it in.",
            epilog="Each flag is a variable too: INPAINT_MAX_PIXELS for --max-pixels.",
        )
        for row in fields(cls):
            text = f"{row.metadata['tip']} (default: {_shown(row)})"
            how: dict[str, Any] = {"help": text.replace("`", ""), "default": None}
            if isinstance(row.default, bool):
                how["action"] = argparse.BooleanOptionalAction
            else:
                how |= {"type": type(row.default), "metavar": row.name.upper()}
            parser.add_argument(flag(row), **how)
        given = vars(parser.parse_args(arguments))
        try:
            for row in fields(cls):
                if given[row.name] is None:
                    given[row.name] = _read(row, variables.get(variable(row), ""))
            return cls(**given)
        except ValueError as error:
            parser.error(str(error))

    @property
    def may_download(self) -> bool:
        """Whether whoever uses the page may have models downloaded."""
        alone = self.host in ALONE and not self.share and "SPACE_ID" not in os.environ
        return self.downloads == "all" or (self.downloads == "local" and alone)

    def users(self) -> list[tuple[str, str]]:
        """Names and passwords of those who may log in; none if everybody may use the page."""
        if not self.auth:
            return []
        lines = [self.auth]
        if os.path.isfile(self.auth):
            lines = Path(self.auth).read_text("utf-8").splitlines()
        pairs = [line.strip().partition(":") for line in lines if line.strip()]
        if not pairs or not all(name and password for name, _, password in pairs):
            raise ValueError("--auth takes USER:PASSWORD, or a file with such a line for each user")
        return [(name, password) for name, _, password in pairs]


def flag(row: Field[Any]) -> str:
    """`--max-pixels` for the field `max_pixels`."""
    return "--" + row.name.replace("_", "-")


def variable(row: Field[Any]) -> str:
    """`INPAINT_MAX_PIXELS` for the field `max_pixels`."""
    return "INPAINT_" + row.name.upper()


def table() -> str:
    """Return the options as the README shows them."""
    head = "| flag | variable | default | what it does |\n| --- | --- | --- | --- |\n"
    return head + "".join(
        f"| `{flag(row)}` | `{variable(row)}` | {_shown(row)} | {row.metadata['tip']} |\n"
        for row in fields(Options)
    )


def _shown(row: Field[Any]) -> str:
    if isinstance(row.default, bool):
        return "on" if row.default else "off"
    return str(row.default) or "none"


def _read(row: Field[Any], text: str) -> Any:
    """Turn a variable's text into the option's type; an empty one leaves the default."""
    kind: type = type(row.default)
    text = text.strip()
    if not text:
        return row.default
    if kind is bool:
        if text.lower() not in YES + NO:
            raise ValueError(f"{variable(row)} must be 1 or 0, got {text!r}")
        return text.lower() in YES
    try:
        return kind(text)
    except ValueError:
        raise ValueError(f"{variable(row)} must be a whole number, got {text!r}") from None
