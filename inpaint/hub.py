"""Downloads of models from the hub: safetensors only, with their size, progress and revision."""

from __future__ import annotations

import errno
from collections.abc import Callable
from pathlib import Path
from typing import Any

Progress = Callable[[int, int], None]
"""(bytes done, bytes in all), called as they come; the sum grows as files are looked up."""

TEXT = ("*.json", "*.txt", "*.model", "*.jinja")
"""Configurations and tokenisers. No pickles, no code."""
VARIANTS = ("fp16", "bf16", "non_ema", "ema_only")
"""Other precisions and stages of the same weights, which a pipeline does without."""


class HubError(OSError):
    """A download that did not come about, in one sentence."""


def fetch(
    repository: str,
    *,
    variant: str = "",
    about: float = 0.0,
    gated: bool = False,
    files: tuple[str, ...] = (),
    progress: Progress = lambda done, total: None,
) -> Path:
    """Download what a pipeline needs, or find it in the cache, and return its folder.

    Parameters
    ----------
    repository : str
        owner/name on the hub.
    variant : str
        Precision of the weights, where the repository holds several.
    about : float
        Size of the download in GB, for the message when it fails.
    gated : bool
        Whether the model asks for its licence to be accepted, for the same message.
    files : tuple of str
        Names to download, if not those that a whole pipeline needs.
    progress : callable
        Told of the bytes as they come.

    Returns
    -------
    Path
        A snapshot in the cache; its name is the commit.

    Raises
    ------
    HubError
        If the hub cannot be reached or refuses, and the cache holds no copy.
    """
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import GatedRepoError, RepositoryNotFoundError

    # The weights of the parts, not the single-file copies that often lie at the top.
    weights = f"*/*.{variant}[.-]*safetensors" if variant else "*/*.safetensors"
    patterns = list(files) or [*TEXT, weights]
    others = [] if variant else [f"*.{other}[.-]*" for other in VARIANTS]
    size = f"about {about:g} GB" if about else "a download"
    try:
        return Path(
            snapshot_download(
                repository,
                allow_patterns=patterns,
                ignore_patterns=others,
                tqdm_class=_reporting(progress),
            )
        )
    except GatedRepoError as error:
        raise HubError(_gate(repository)) from error
    except RepositoryNotFoundError as error:
        # The hub answers so for gated models too, if nobody is logged in.
        why = _gate(repository) if gated else f"The hub has no model {repository}, or hides it."
        raise HubError(why) from error
    except Exception as error:  # of the client, of HTTP, of the disk
        if isinstance(error, OSError) and error.errno == errno.ENOSPC:
            raise HubError(f"The disk is full: {repository} takes {size}.") from error
        raise HubError(
            f"{repository} is not on this machine, and the hub could not be reached to download it "
            f"({size}); check the connection and try again."
        ) from error


def revision(folder: Path) -> str:
    """Return the commit of a snapshot in the hub's cache; "" for any other folder."""
    name = folder.name
    return name if folder.parent.name == "snapshots" and len(name) == 40 else ""


def cached(repository: str) -> bool:
    """Say whether the hub's cache holds the model, by its index; asks no network."""
    from huggingface_hub import try_to_load_from_cache

    return isinstance(try_to_load_from_cache(repository, "model_index.json"), str)


def _gate(repository: str) -> str:
    return (
        f"{repository} asks for its licence to be accepted: do so on "
        f"https://huggingface.co/{repository}, then log in here with `hf auth login`."
    )


def _reporting(progress: Progress) -> Any:
    """Make the progress bar class that the hub's client wants; it shows nothing and reports."""
    from tqdm.auto import tqdm

    class Reporting(tqdm):  # type: ignore[type-arg]
        def __init__(self, *args: Any, **options: Any) -> None:
            self.bytes = options.get("unit") == "B" and "Reconstr" in str(options.get("desc"))
            options.pop("name", None)
            super().__init__(*args, **{**options, "disable": True})
            self.got = 0

        def update(self, n: float | None = 1) -> None:
            if self.bytes:
                self.got += int(n or 0)
                progress(self.got, int(self.total or 0))

    return Reporting
