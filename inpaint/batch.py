"""A folder of pictures, one after another: `python -m inpaint batch`.

`photo.jpg` has its mask beside it as `photo-mask.png`, and a second picture, for the tasks that
take one, as `photo-guide.png`, each in any format that is read. Results have the picture's name, in
another folder, and masks of what may be invented in them, if wanted, lie there as
`photo-invented.png`. What is there under its final name is whole, and is not made again.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from inpaint import pictures
from inpaint.editing import Moment, edit
from inpaint.pictures import EXTENSIONS, PictureError
from inpaint.results import numbered
from inpaint.settings import short
from inpaint.tasks import TASKS, settled

BESIDE = ("-mask", "-guide")
"""How the names of a picture's companions end, before their suffix."""
INVENTED = "-invented"
"""How the name of a mask of invented pixels ends, before its suffix."""


@dataclass(frozen=True, slots=True)
class Item:
    """One picture, what lies beside it, and where its candidates go, and their mask if wanted."""

    picture: Path
    mask: Path | None
    guide: Path | None
    results: tuple[Path, ...]
    invented: Path | None = None

    @property
    def files(self) -> tuple[Path, ...]:
        """All that is written."""
        return (*self.results, self.invented) if self.invented else self.results

    @property
    def done(self) -> bool:
        """Whether there is nothing left to do."""
        return all(path.exists() for path in self.files)


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a picture: "done", "skipped" or "failed", and a sentence about it."""

    item: Item
    state: str
    said: str


def plan(
    folder: Path,
    out: Path,
    *,
    shard: tuple[int, int] = (1, 1),
    masks: bool = False,
    **settings: Any,
) -> list[Item]:
    """List the pictures of a folder, by name, with what belongs to each.

    Parameters
    ----------
    folder, out : Path
        Where the pictures lie, and another folder for the results; it is made if it is not there.
    shard : tuple of int
        (2, 3) takes the second third of the pictures, for three machines with one folder.
    masks : bool
        Put the mask of the pixels that may have been invented beside each result.
    **settings
        As for `inpaint.edit`: the same for every picture.

    Raises
    ------
    ValueError
        With one sentence: no pictures, wrong settings, or results that would have the same name.
    """
    wanted = settled(settings)
    number, count = shard
    if not 1 <= number <= count:
        raise ValueError(f"A shard is from 1/{count} to {count}/{count}, not {number}/{count}.")
    if not folder.is_dir():
        raise ValueError(f"There is no folder {short(str(folder), 300)}.")
    if out.exists() and not out.is_dir():
        raise ValueError(f"'{out}' is a file; name a folder for the results.")
    if out.exists() and out.samefile(folder):
        raise ValueError("Choose another folder for the results than the one of the pictures.")
    files = sorted(
        path
        for path in folder.iterdir()
        if path.suffix.lower() in EXTENSIONS and path.name[0] != "." and path.is_file()
    )
    stems = {path.stem for path in files}
    files = [path for path in files if not _is_invented(path.stem, stems)]
    beside = {path.stem: path for path in files if _owner(path.stem) in stems}
    task = TASKS[wanted.task]
    items = []
    for path in files:
        if path.stem in beside:
            continue
        found = {end: beside.get(path.stem + end) for end in BESIDE}
        items.append(
            Item(
                path,
                found["-mask"] if task.mask != "unused" else None,
                found["-guide"] if task.guide != "unused" else None,
                _results(path, out, wanted.candidates),
                out / f"{path.stem}{INVENTED}.png" if masks else None,
            )
        )
    if not items:
        raise ValueError(f"There are no pictures in {short(str(folder), 300)}.")
    names = Counter(path.name for item in items for path in item.files)
    if twice := sorted(name for name, count in names.items() if count > 1):
        raise ValueError(f"Two pictures would both become '{twice[0]}'; rename one of them.")
    out.mkdir(parents=True, exist_ok=True)
    return items[number - 1 :: count]


def batch(
    items: list[Item],
    *,
    device: str = "auto",
    progress: Callable[[Moment], None] = lambda moment: None,
    **settings: Any,
) -> Iterator[Outcome]:
    """Edit what is planned and not done yet, and tell of each; one that fails stops no other."""
    for item in items:
        if item.done:
            yield Outcome(item, "skipped", "it was done before")
            continue
        try:
            yield Outcome(item, "done", _made(item, device, progress, settings))
        except (ValueError, OSError, MemoryError) as error:
            yield Outcome(item, "failed", str(error))
        except Exception as error:  # a fault of ours with one picture must not cost the others
            yield Outcome(item, "failed", f"{type(error).__name__}: {short(str(error), 300)}")


def _made(
    item: Item, device: str, progress: Callable[[Moment], None], settings: dict[str, Any]
) -> str:
    result = edit(
        item.picture,
        item.mask,
        guide=item.guide,
        device=device,
        progress=progress,
        format=pictures.format_of(item.results[0]),
        **settings,
    )
    for path in item.files:
        pictures.tidy(path)
    for path, candidate in zip(item.results, result.candidates, strict=True):
        candidate.save(path)
    if item.invented:
        result.save_mask(item.invented)
    lost = result.loss(item.results[0])
    return " ".join([f"{result.receipt}; {result.seconds:.1f} s", *result.notes, lost]).rstrip()


def _results(picture: Path, out: Path, candidates: int) -> tuple[Path, ...]:
    """Name the results: as the picture, but for GIF, which is not written."""
    path = out / picture.name
    with suppress(PictureError):
        pictures.format_of(path)
        return numbered(path, candidates)
    return numbered(path.with_suffix(".png"), candidates)


def _owner(stem: str) -> str | None:
    """Return the stem of the picture that a file is the mask or the guide of by its name."""
    return next((stem.removesuffix(end) for end in BESIDE if stem.endswith(end)), None)


def _is_invented(stem: str, stems: set[str]) -> bool:
    """Whether a file is the mask that an earlier batch wrote beside one of the others."""
    owner = stem.removesuffix(INVENTED)
    return owner != stem and not stems.isdisjoint((owner, f"{owner}-1"))  # -1: of candidates
