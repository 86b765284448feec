"""Models of the hub: what is needed of a repository, whether it is here, and how it gets here.

Safetensors only. What is here is used as it is and asks no network.
"""

from __future__ import annotations

import errno
import os
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor, wait
from dataclasses import dataclass
from pathlib import Path
from threading import Lock
from typing import Any

Progress = Callable[[int, int], None]
"""(bytes done, bytes in all), several times a second; what it raises ends the download."""

TEXT = ("*.json", "*.txt", "*.model", "*.jinja")
"""Configurations and tokenisers. No pickles, no code."""
VARIANTS = ("fp16", "bf16", "non_ema", "ema_only")
"""Other precisions and stages of the same weights, which a pipeline does without."""
WHERE = "INPAINT_DOWNLOADS"
"""The variable that forbids downloads if it is `none`."""
PATIENCE = 60.0
"""Seconds for which a hub that could not be reached is not asked again."""
POLL = 0.25


class HubError(OSError):
    """A download that did not come about, in one sentence."""


@dataclass(frozen=True, slots=True)
class Source:
    """A folder, or what is needed of a repository.

    Attributes
    ----------
    name : str
        A folder, or owner/name on the hub.
    variant : str
        Precision of the weights, where the repository holds several.
    files : tuple of str
        Names or patterns of what is needed, if not all that a model consists of.
    """

    name: str
    variant: str = ""
    files: tuple[str, ...] = ()

    def here(self) -> Path | None:
        """Return the folder if all of it is on this machine; asks no network."""
        if os.path.isdir(self.name):
            return Path(self.name)
        return None if os.path.isabs(self.name) else self._snapshot(local_files_only=True)

    def fetch(
        self,
        *,
        about: float = 0.0,
        gated: bool = False,
        progress: Progress = lambda done, total: None,
    ) -> Path:
        """Return the folder, after a download if need be.

        Parameters
        ----------
        about : float
            Size of the download in GB, for the message when it fails.
        gated : bool
            Whether the model asks for its licence to be accepted, for the same message.
        progress : callable
            Told of the bytes as they come. What it raises ends the download, which goes on from
            there the next time.

        Returns
        -------
        Path
            The folder, or a snapshot in the hub's cache; its name is the commit.

        Raises
        ------
        HubError
            If the hub cannot be reached, or refuses, or downloads are not allowed.
        """
        here = Path(self.name) if os.path.isabs(self.name) else self.here()
        if here is not None:
            return here
        size = f"about {about:g} GB" if about else "a download"
        if not allowed():
            raise HubError(
                f"{self.name} is not on this machine ({size}), and downloads are switched off here."
            )
        if _away.now():
            raise HubError(self._unreachable(size))
        try:
            return self._download(progress)
        except Exception as error:  # of the client, of HTTP, of the disk
            sentence = self._sentence(error, size, gated)
            if sentence is None:  # of `progress`
                raise
            raise HubError(sentence) from error

    def _snapshot(self, **options: Any) -> Path | None:
        from huggingface_hub import snapshot_download
        from huggingface_hub.errors import IncompleteSnapshotError, LocalEntryNotFoundError

        try:
            return Path(snapshot_download(self.name, **self._patterns(), **options))
        except (LocalEntryNotFoundError, IncompleteSnapshotError, ValueError):
            if "local_files_only" not in options:
                raise
            return None  # a ValueError: the name is none that a repository can have

    def _patterns(self) -> dict[str, Any]:
        # The weights of the parts, not the single-file copies that often lie at the top; old
        # networks over pixels have theirs there, under this name.
        weights = f"*/*.{self.variant}[.-]*safetensors" if self.variant else "*/*.safetensors"
        all_parts = [*TEXT, weights, "diffusion_pytorch_model.safetensors"]
        others = [] if self.variant else [f"*.{other}[.-]*" for other in VARIANTS]
        return {"allow_patterns": list(self.files) or all_parts, "ignore_patterns": others}

    def _download(self, progress: Progress) -> Path:
        """Download beside this thread, which reports, and may raise to end it."""
        from huggingface_hub import HfApi, constants
        from huggingface_hub.utils import filter_repo_objects  # type: ignore[attr-defined]

        # The client for its chunked storage cannot be stopped within a file.
        constants.HF_HUB_DISABLE_XET = True
        listed = HfApi().model_info(self.name, files_metadata=True).siblings or []
        sizes = {file.rfilename: file.size or 0 for file in listed}
        needed: list[str] = list(filter_repo_objects(list(sizes), **self._patterns()))
        count = _Count(sum(sizes[name] for name in needed))
        with ThreadPoolExecutor(1) as pool:
            coming = pool.submit(self._snapshot, tqdm_class=count.bars())
            try:
                while not wait([coming], POLL).done:
                    progress(count.done, count.total)
            except BaseException:
                count.left = True
                raise
        folder = coming.result()
        assert folder is not None
        progress(count.total, count.total)
        return folder

    def _sentence(self, error: Exception, size: str, gated: bool) -> str | None:
        from huggingface_hub.errors import (
            GatedRepoError,
            HfHubHTTPError,
            LocalEntryNotFoundError,
            RepositoryNotFoundError,
        )

        if isinstance(error, GatedRepoError):
            return self._gate()
        if isinstance(error, RepositoryNotFoundError):
            # The hub answers so for gated models too, if nobody is logged in.
            return self._gate() if gated else f"The hub has no model {self.name}, or hides it."
        if isinstance(error, OSError) and error.errno == errno.ENOSPC:
            return f"The disk is full: {self.name} takes {size}."
        network = type(error).__module__.partition(".")[0] in ("httpx", "httpx2", "httpcore")
        offline = isinstance(error, ConnectionError | LocalEntryNotFoundError | HfHubHTTPError)
        if network or offline:
            _away.note()
            return self._unreachable(size)
        if isinstance(error, OSError):
            return f"{self.name} cannot be stored on this machine: {error.strerror or error}."
        return None

    def _unreachable(self, size: str) -> str:
        return (
            f"{self.name} is not on this machine, and the hub could not be reached to download it "
            f"({size}); check the connection and try again in a minute."
        )

    def _gate(self) -> str:
        return (
            f"{self.name} asks for its licence to be accepted: do so on "
            f"https://huggingface.co/{self.name}, then log in here with `hf auth login`."
        )


def timed(tell: Callable[[int, int, float], None]) -> Progress:
    """Tell of a download in megabytes, (done, in all, seconds left)."""
    began = time.perf_counter()

    def report(done: int, total: int) -> None:
        left = (time.perf_counter() - began) / max(done, 1) * (total - done)
        tell(done // 10**6, total // 10**6, left)

    return report


def revision(folder: Path) -> str:
    """Return the commit of a snapshot in the hub's cache; "" for any other folder."""
    name = folder.name
    return name if folder.parent.name == "snapshots" and len(name) == 40 else ""


def allowed() -> bool:
    """Whether the operator lets models be downloaded."""
    return os.environ.get(WHERE, "").strip().lower() != "none"


class _Absence:
    """Remembers for a while that the hub was out of reach, so that nobody waits for it again."""

    def __init__(self) -> None:
        self.until = 0.0

    def note(self) -> None:
        self.until = time.monotonic() + PATIENCE

    def now(self) -> bool:
        return time.monotonic() < self.until


_away = _Absence()


class _Left(Exception):
    """Ends a worker of the client at its next block of bytes."""


class _Count:
    """Bytes that have come, counted in the client's own threads."""

    def __init__(self, total: int) -> None:
        self.total, self.done, self.left = total, 0, False
        self._lock = Lock()

    def bars(self) -> Any:
        """Make the progress bar class that the client wants; it shows nothing and counts."""
        from tqdm.auto import tqdm

        count = self

        class Counting(tqdm):  # type: ignore[type-arg]
            def __init__(self, *args: Any, **options: Any) -> None:
                self.bytes = options.get("unit") == "B" and "Reconstr" in str(options.get("desc"))
                options.pop("name", None)
                super().__init__(*args, **{**options, "disable": True})

            def update(self, n: float | None = 1) -> None:
                if count.left:
                    raise _Left
                if self.bytes:
                    with count._lock:
                        count.done = min(count.done + int(n or 0), count.total)

        return Counting
