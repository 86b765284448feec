"""The list of models: what each is, needs and may be used for. Loads nothing."""

from __future__ import annotations

import hashlib
import json
import os
import tomllib
from dataclasses import dataclass, fields
from functools import cache
from pathlib import Path
from typing import Any

from inpaint import hub, own
from inpaint.hub import Source
from inpaint.latent.families import FAMILIES

SHIPPED = Path(__file__).parent.parent / "assets" / "model"
HUB_ROWS = Path(__file__).with_name("models.toml")
LORA = ("pytorch_lora_weights.safetensors",)


class ModelError(ValueError):
    """A model that cannot be loaded, in one sentence."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelSpec:
    """One row of the list of models.

    Attributes
    ----------
    title, tip : str
        What it is called on the page, and a sentence on what it is good for.
    repository : str
        owner/name on the hub, or a folder; "" for `self`, which has no weights.
    prior, lora : str
        Further repositories or folders: Kandinsky's prior, low-rank weights that cut the steps.
    pipeline : str
        Class in diffusers that runs it; "" for a network over pixels.
    variant : str
        Precision of the weights, where the repository holds several.
    size : int
        Side of its window in pixels; 0 for what its files say.
    steps, guidance, sampler, scheduler :
        Settings that suit it; None and "" leave them to the sampler and the family.
    prompt, negative : bool
        Whether it reads a prompt, and a negative one.
    licence : str
        Of the weights, in its usual name.
    download, memory : float
        About how many GB are downloaded, and lie in a GPU's memory while it runs whole at 16 bit.
    gated : bool
        Whether the licence has to be accepted on the hub first.
    fills : bool
        Whether it can fill a hole from pure noise; if not, it only restores.
    """

    title: str
    tip: str
    repository: str = ""
    prior: str = ""
    lora: str = ""
    pipeline: str = ""
    variant: str = ""
    size: int = 0
    steps: int | None = None
    guidance: float | None = None
    sampler: str = ""
    scheduler: str = ""
    prompt: bool = False
    negative: bool = False
    licence: str = ""
    download: float = 0.0
    memory: float = 0.0
    gated: bool = False
    fills: bool = True

    def sources(self) -> dict[str, Source]:
        """Return where its files come from: `folder` and, where it has them, `prior`, `lora`."""
        found = {
            "folder": Source(self.repository, self.variant),
            "prior": Source(self.prior),  # these two come in one precision
            "lora": Source(self.lora, files=LORA),
        }
        return {key: source for key, source in found.items() if source.name}

    def here(self) -> bool:
        """Say whether it can be loaded on this machine without a download."""
        return all(source.here() for source in self.sources().values())

    def absence(self) -> str:
        """Say that it is not here, and what a download takes."""
        if not hub.allowed():
            return f"{self.title} is not on this machine, and downloads are switched off here."
        size = f"about {self.download:g} GB" if self.download else "it"
        licence = " Its licence has to be accepted on the hub first." if self.gated else ""
        return f"{self.title} is not on this machine; a first run downloads {size}.{licence}"


def listed() -> dict[str, ModelSpec]:
    """Return the list of models: these, the user's own, and those of the file INPAINT_MODELS names.

    The file, TOML or JSON, holds one table for each model, its keys the fields of `ModelSpec`::

        [my-model]
        repository = "/models/my-model"
        title = "Ours"

    Raises
    ------
    ModelError
        If the file cannot be read as such.
    """
    mine = {
        name: ModelSpec(title=name, tip="Your own, made on this machine.", repository=str(folder))
        for name, folder in own.own_models().items()
    }
    return {**MODELS, **mine, **_rows(os.environ.get("INPAINT_MODELS", ""))}


@cache
def _rows(path: str) -> dict[str, ModelSpec]:
    if not path:
        return {}
    try:
        text = Path(path).read_text("utf-8")
        tables = json.loads(text) if path.endswith(".json") else tomllib.loads(text)
        return {name: _row(name, table) for name, table in tables.items()}
    except (OSError, ValueError, TypeError, AttributeError) as error:
        raise ModelError(
            f"The list of models in {path} cannot be used: {first_line(error)}"
        ) from error


def _row(name: str, table: dict[str, Any]) -> ModelSpec:
    known = {f.name: type(f.default) for f in fields(ModelSpec)}
    for key, value in table.items():
        if key not in known:
            raise ValueError(f"[{name}] has no field {key!r}; there are {', '.join(known)}")
        if not isinstance(value, str | int | float):
            raise ValueError(f"[{name}] {key} must be a text, a number, true or false")
    if not table.get("repository"):
        raise ValueError(f"[{name}] names no repository, which is a folder or owner/name")
    if table.get("pipeline", "") not in ("", *FAMILIES):
        raise ValueError(f"[{name}] pipeline must be one of {', '.join(FAMILIES)}")
    return ModelSpec(**{"title": name, "tip": "Added by the operator.", **table})


def defaults(name: str) -> dict[str, Any]:
    """Return the settings that suit a model: those of its row that are set."""
    spec = listed().get(name)
    names = ("steps", "guidance", "sampler", "scheduler")
    values = {} if spec is None else {key: getattr(spec, key) for key in names}
    return {key: value for key, value in values.items() if value not in (None, "")}


SUMS = "SHA256SUMS"
"""Beside a model: a line for each file, as `sha256sum` writes and checks them. A safetensors file
has no checksum of its own, and a network with a flipped bit fills with noise, or nearly right."""


def check_sums(folder: Path) -> None:
    """Compare the files that are listed; a model without a list has nothing to compare.

    Raises
    ------
    ModelError
        If one is missing or another.
    """
    if not (folder / SUMS).is_file():
        return
    for line in (folder / SUMS).read_text("utf-8").splitlines():
        digest, _, name = line.partition("  ")
        file = folder / name
        if not file.is_file() or hashlib.sha256(file.read_bytes()).hexdigest() != digest:
            raise ModelError(
                f"The model's file {file} is missing or damaged: it is not the one that its "
                f"{SUMS} lists. Fetch it again."
            )


def first_line(error: Exception) -> str:
    """Return what an error says in one line of at most 300 characters."""
    lines = str(error).strip().splitlines()
    return lines[0][:300] if lines else type(error).__name__


MODELS: dict[str, ModelSpec] = {
    "self": ModelSpec(
        title="Self",
        tip="Learns from this picture alone: its own textures, in any kind of picture.",
    ),
    "blend": ModelSpec(
        title="Blend",
        tip="Self, and a small network that closes narrow holes: scratches, wires, text.",
        repository=str(SHIPPED.with_name("narrow")),
        licence="MIT",
    ),
    "photo": ModelSpec(
        title="Photo (experimental)",
        tip="A network trained for an hour on two CPU cores: for thin holes; wide ones turn noisy.",
        repository=str(SHIPPED),
        licence="MIT",
    ),
    "restore": ModelSpec(
        title="Restore",
        tip="A small network that knows noise from detail: to enlarge, denoise and deblur.",
        repository=str(SHIPPED.with_name("restore")),
        fills=False,
        licence="MIT",
    ),
    **_rows(str(HUB_ROWS)),
}
"""The models that everybody has; `listed` adds the operator's own."""
