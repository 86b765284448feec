"""The command line: `python -m inpaint`, then a task or another word that `--help` lists."""

from __future__ import annotations

import argparse
import io
import json
import os
import signal
import sys
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any

import inpaint
from inpaint import threads
from inpaint.settings import DEVICES, OPTIONS, SAMPLERS, SamplerDefaults, Settings
from inpaint.tasks import TASKS, Task, settled

COMMON = (
    "model",
    "sampler",
    "steps",
    "strength",
    "resample",
    "jump",
    "eta",
    "seed",
    "candidates",
    "grow",
    "feather",
    "prompt",
    "negative",
    "guidance",
    "scheduler",
)
"""The settings that every task takes."""
EXAMPLE = "example: python -m inpaint fill photo.jpg --mask mask.png -o filled.png"


def main(arguments: list[str] | None = None) -> int:
    """Run a command; bad input ends in one sentence on standard error and exit status 2.

    One whose reader is gone, as behind `| head`, ends silently with the status of other programs;
    one whose output has no room, in a sentence. Letters that the output lacks are spelled out.
    """
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")  # as standard error does by itself
    status = 0
    try:
        try:
            status = _run(arguments)
        finally:
            print(end="", flush=True)  # else Python does it, beyond this, and complains
        return status
    except OSError as error:
        gone = isinstance(error, BrokenPipeError)
        if not gone and status == 0:
            print(f"inpaint: {error}", file=sys.stderr, flush=True)
        nowhere = os.open(os.devnull, os.O_WRONLY)
        for stream in (1, 2) if gone else (1,):  # Python flushes them once more
            os.dup2(nowhere, stream)
        return 141 if gone else 2


def _run(arguments: list[str] | None) -> int:
    options = _parser().parse_args(arguments)
    threads.limit()
    # A closed terminal or `kill` ends the work as Ctrl+C does, through the same clean-up.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        return int(options.command(options))
    except BrokenPipeError:
        raise
    except (ValueError, OSError, MemoryError) as error:
        print(f"inpaint: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("inpaint: stopped", file=sys.stderr)
        return 130


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="inpaint", description="Repair and edit pictures by diffusion.", epilog=EXAMPLE
    )
    parser.add_argument("--version", action="version", version=inpaint.__version__)
    commands = parser.add_subparsers(required=True, metavar="command")

    for name, task in TASKS.items():
        _add_task(commands, name, task)
    _add_batch(commands)
    _add_video(commands)

    again = commands.add_parser("replay", help="make a result again from the recipe inside it")
    again.add_argument("result", type=Path, help="a picture that inpaint saved")
    for name, text in (("picture", "its original"), ("mask", "its mask"), ("guide", "its guide")):
        again.add_argument(f"--{name}", help=f"{text}; without it, looked for beside the result")
    again.add_argument("-o", "--output", type=Path, help="where to write it; nowhere without")
    again.add_argument("--device", default="auto", help="auto, cuda, xpu, mps or cpu")
    again.set_defaults(command=_replay)

    train = commands.add_parser("train", help="train a model on a folder of photographs")
    train.add_argument("--data", required=True, type=Path, help="a folder of photographs")
    train.add_argument("--preset", help="tiny, restore, narrow or base (tiny)")
    train.add_argument("--minutes", required=True, type=float, help="how long to train")
    train.add_argument("--out", required=True, type=Path, help="the folder to write the model to")
    train.add_argument("--init-from", type=Path, help="a model folder whose weights to start from")
    train.add_argument("--resume", action="store_true", help="go on where --out was stopped")
    train.add_argument("--batch-size", type=int, help="crops a step (GPU: 256, CPU: 32)")
    train.add_argument("--ema-images", type=float, help="half-life of the averages (500000)")
    train.add_argument("--noisiest", type=float, help="part of the noise to train on, up to 1 (1)")
    train.add_argument("--whole", type=float, help="share of crops of which nothing is known")
    train.set_defaults(command=_train)

    special = commands.add_parser("specialise", help="fine-tune a model on pictures of your own")
    special.add_argument("data", type=Path, metavar="FOLDER", help="a folder of pictures")
    special.add_argument("--name", required=True, help="what to call it; --model takes this name")
    special.add_argument("--minutes", type=float, default=30, help="how long (%(default)s)")
    special.add_argument(
        "--from",
        dest="start",
        default="photo",
        metavar="MODEL",
        help="photo, one of your own, or a folder that holds one (%(default)s)",
    )
    special.set_defaults(command=_specialise)

    evaluate = commands.add_parser("evaluate", help="measure fills on a folder of photographs")
    evaluate.add_argument("--pictures", required=True, type=Path, help="a folder of photographs")
    evaluate.add_argument("--size", type=int, default=128, help="side of the crops (%(default)s)")
    evaluate.add_argument("--count", type=int, default=200, help="number of crops (%(default)s)")
    evaluate.add_argument(
        "--crops", default="any", help="any, or texture: only busy crops that are alike throughout"
    )
    evaluate.add_argument(
        "--masks",
        type=_names,
        default=("thin", "wide", "box", "half"),
        metavar="NAME,...",
        help="families of masks: thin, wide, box, half (these four), line, narrow",
    )
    evaluate.add_argument(
        "--methods",
        type=_names,
        default=(),
        metavar="NAME,...",
        help="models, and telea, ns, biharmonic, patchmatch, repaint, repaint-short (all here)",
    )
    evaluate.add_argument("--model", help="one more model, a name or a folder; repaint uses it too")
    evaluate.add_argument("--seed", type=int, default=0, help="decides crops, holes and fills")
    evaluate.add_argument("--json", type=Path, help="a file to write the numbers to")
    evaluate.add_argument("--sheet", type=Path, help="a PNG to draw fills side by side in")
    evaluate.add_argument(
        "--train", type=Path, help="training pictures, to look for memorised ones"
    )
    evaluate.add_argument(
        "--tasks",
        type=_names,
        metavar="NAME,...",
        help="measure these instead: repair, enlarge, denoise, deblur, colourise",
    )
    evaluate.set_defaults(command=_evaluate)

    bench = commands.add_parser("bench", help="measure how fast this machine fills")
    bench.add_argument(
        "--section",
        type=_names,
        default=(),
        metavar="NAME,...",
        help="evaluation, overhead, picture, hole, candidates, cold, page, repaint, gpu (all)",
    )
    bench.add_argument("--brief", action="store_true", help="tiny pictures: only whether it runs")
    bench.add_argument("--json", type=Path, help="a file to write the numbers to")
    bench.add_argument("--plot", type=Path, help="a PNG to draw growth with the hole in")
    bench.set_defaults(command=_bench)

    doctor = commands.add_parser("doctor", help="say what this machine offers and what is used")
    doctor.add_argument("--device", default="auto", help="auto, cuda, xpu, mps or cpu")
    doctor.set_defaults(command=_doctor)
    return parser


def _add_task(commands: Any, name: str, task: Task) -> None:
    """Draw a task's command from its row."""
    mask = " --mask mask.png" if task.mask == "needed" else ""
    example = f"example: python -m inpaint {name} photo.jpg{mask} -o result.png"
    command = commands.add_parser(
        name, help=task.tip, description=f"{task.tip} {task.pretrained}", epilog=example
    )
    command.add_argument("picture", help="the picture: PNG, JPEG, WebP, TIFF, BMP or GIF")
    if task.mask != "unused":
        missing = "transparent pixels" if task.mask == "needed" else "what the task finds itself"
        text = f"a picture in which white = repaint; without it, {missing}"
        command.add_argument("--mask", help=text)
    if task.guide != "unused":
        command.add_argument("--guide", required=task.guide == "needed", help=task.guide_tip)
    command.add_argument("-o", "--output", required=True, type=Path, help="where to write")
    command.add_argument("--mask-out", type=Path, help="save the mask of invented pixels here")
    command.add_argument(
        "--diversity-out", type=Path, help="save where the candidates disagree here, a PNG or TIFF"
    )
    _add_settings(command, (*task.controls, *COMMON), task)
    command.set_defaults(command=_edit, task=name)


def _add_settings(command: argparse.ArgumentParser, names: tuple[str, ...], task: Task) -> None:
    """Add a flag for each setting; one that is left out does not appear among the options."""
    for setting in names:
        option = OPTIONS[setting]
        command.add_argument(
            f"--{setting}",
            type=option.kind,
            default=argparse.SUPPRESS,
            metavar=option.kind.__name__.upper(),
            help=f"{option.tip} ({_usual(setting, task)})".replace("%", "%%"),
        )
    command.add_argument(
        "--device", default="auto", help="auto, cuda, xpu, mps or cpu (%(default)s)"
    )
    command.add_argument("--json", action="store_true", help="print what was done as JSON")


def _add_batch(commands: Any) -> None:
    command = commands.add_parser(
        "batch",
        help="do a task with every picture of a folder; goes on where it was ended",
        description="Do a task with every picture of a folder. photo.jpg has its mask beside it as "
        "photo-mask.png, and a second picture as photo-guide.png. What is done is skipped; a "
        "picture that fails is named, stops no other, and makes the exit status 1. With --mask-out "
        "the mask of the pixels that may be invented lies beside each result, as "
        "photo-invented.png; what has no such mask yet is made again.",
        epilog="example: python -m inpaint batch photos/ -o filled/",
    )
    command.add_argument("folder", type=Path, help="a folder of pictures, masks beside them")
    command.add_argument(
        "-o", "--output", required=True, type=Path, help="another folder, for the results"
    )
    command.add_argument(
        "--shard", type=_shard, default=(1, 1), metavar="I/N", help="this one of N equal parts"
    )
    command.add_argument(
        "--mask-out", action="store_true", help="save the masks of invented pixels too"
    )
    _add_settings(command, tuple(OPTIONS), TASKS["fill"])
    command.set_defaults(command=_batch)


def _shard(text: str) -> tuple[int, int]:
    number, _, count = text.partition("/")
    try:
        return int(number), int(count)
    except ValueError:
        raise argparse.ArgumentTypeError("must be like 1/4: this one of so many parts") from None


def _add_video(commands: Any) -> None:
    command = commands.add_parser(
        "video",
        help="Fill the masked part of every frame of a clip, from other frames where they show it.",
        epilog="example: python -m inpaint video clip.mp4 --mask mask.png -o result.mp4",
    )
    command.add_argument("clip", help="a video file, or a folder of numbered pictures")
    command.add_argument(
        "--mask",
        required=True,
        help="white = fill: a picture for all frames, or a folder or a video with one for each",
    )
    command.add_argument(
        "-o",
        "--output",
        required=True,
        type=Path,
        help=".mp4, .m4v, .mov, .mkv or .webm; a folder for a folder",
    )
    command.add_argument("--lossless", action="store_true", help="encode without loss; much larger")
    command.add_argument(
        "--reach", type=int, default=24, help="frames looked at on either side (%(default)s)"
    )
    command.add_argument(
        "--mask-out",
        type=Path,
        metavar="FOLDER",
        help="save a mask of what was filled in each frame in this new folder",
    )
    _add_settings(command, tuple(name for name in COMMON if name != "candidates"), TASKS["fill"])
    command.set_defaults(command=_video)


def _usual(setting: str, task: Task) -> str:
    """Say what a setting is where it is left out."""
    defaults = {item.name: item.default for item in fields(Settings)}
    value = task.defaults.get(setting, defaults[setting])
    if setting == "sampler":
        return f"one of {', '.join(SAMPLERS)}; {value}"
    if value is None:
        return "by sampler" if setting in SamplerDefaults.__slots__ else "by itself"
    return str(value) if value != "" else "none"


def _edit(options: argparse.Namespace) -> int:
    # Checked before the work: a wrong name must not cost a fill.
    settings = {name: value for name, value in vars(options).items() if name in OPTIONS}
    settled(settings)
    from inpaint import pictures

    for path in filter(None, (options.output, options.mask_out, options.diversity_out)):
        _check_path(path)
    _check_apart(options, settings.get("candidates", 1))
    if options.diversity_out and pictures.format_of(options.diversity_out) not in ("PNG", "TIFF"):
        raise ValueError("Where candidates disagree is saved in 16 bits: as PNG or TIFF.")
    if options.diversity_out and settings.get("candidates", 1) < 2:
        raise ValueError("One candidate has no spread: ask for more with --candidates.")
    picture = pictures.read(options.picture)
    if picture.bands and pictures.format_of(options.output) != "TIFF":
        count = picture.pixels.shape[2]
        raise ValueError(f"This picture has {count} bands, which only TIFF holds: name it .tif.")
    if picture.extras.get("more") and options.output.resolve() == Path(options.picture).resolve():
        raise ValueError(
            f"'{options.picture}' has more pages or frames than the one that would be left of it: "
            "give the result another name."
        )
    from inpaint.editing import Moment, edit
    from inpaint.results import numbered

    bar = _Bar()
    _say_download(settings)

    def show(moment: Moment) -> None:
        bar.show(moment.number, moment.total, moment.stage)

    result = edit(
        picture,
        getattr(options, "mask", None),
        guide=getattr(options, "guide", None),
        device=options.device,
        progress=show,
        format=pictures.format_of(options.output),
        **settings,
    )
    bar.clear()
    paths = numbered(options.output, len(result.candidates))
    files = [str(c.save(path)) for c, path in zip(result.candidates, paths, strict=True)]
    if options.mask_out:
        files.append(str(result.save_mask(options.mask_out)))
    if options.diversity_out:
        files.append(str(result.save_diversity(options.diversity_out)))
    notes = [*result.notes, *filter(None, [result.loss(options.output)])]
    report = {
        "files": files,
        "receipt": asdict(result.receipt),
        "seconds": round(result.seconds, 3),
        "evaluations": result.evaluations,
        "notes": notes,
        "recipes": [candidate.recipe for candidate in result.candidates],
    }
    if options.json:
        print(json.dumps(report, indent=2))
    else:
        names = ", ".join(files)
        print(f"{names}: {result.receipt}; {result.seconds:.1f} s", *notes, sep="\n")
    return 0


def _check_path(path: Path) -> None:
    """Refuse a name that no picture can be written under."""
    from inpaint import pictures

    pictures.format_of(path)
    if not path.parent.is_dir():
        raise ValueError(f"There is no folder '{path.parent}' to write to; make it first.")


def _check_apart(options: argparse.Namespace, candidates: int) -> None:
    """Refuse names under which a result would overwrite another, or what it is made of.

    Only the picture itself may be overwritten, by its one result.
    """
    from inpaint.results import numbered

    given = (options.picture, getattr(options, "mask", None), getattr(options, "guide", None))
    taken = {Path(path).resolve() for path in given if path}
    written = [*numbered(options.output, candidates), options.mask_out, options.diversity_out]
    if candidates == 1 and options.output.resolve() == Path(options.picture).resolve():
        del written[0]
    for path in filter(None, written):
        if path.resolve() in taken:
            raise ValueError(f"'{path}' is the name of another file of this edit; choose another.")
        taken.add(path.resolve())


def _say_download(settings: dict[str, Any]) -> None:
    """Say what the model's first run downloads, before it does."""
    from inpaint.models import listed

    spec = listed().get(settings.get("model", Settings().model))
    if spec is not None and spec.download and not spec.here():
        print(f"inpaint: {spec.absence()}", file=sys.stderr, flush=True)


def _replay(options: argparse.Namespace) -> int:
    from inpaint import pictures
    from inpaint.replaying import replay, source_of

    if out := options.output:  # checked before the work
        _check_path(out)
        other = out.is_file() and out.resolve() != options.result.resolve()
        if other and (what := source_of(options.result, out)):
            name = options.result.name
            raise ValueError(f"'{out}' is the {what} that {name} was made of; choose another name.")
    before = options.result.read_bytes() if options.result.is_file() else b""
    bar = _Bar()
    result = replay(
        options.result,
        options.picture,
        options.mask,
        guide=options.guide,
        device=options.device,
        progress=lambda moment: bar.show(moment.number, moment.total, moment.stage),
        format=pictures.format_of(out) if out else None,
    )
    bar.clear()
    if out:
        result.save(out)
    made = result.candidates[0].encode(pictures.format_of(options.result))
    if same := made == before:
        print(f"{options.result}: made again, the same to the byte")
    else:
        print(f"{options.result}: made again, with other bytes", file=sys.stderr)
    return 0 if same or out else 1


def _batch(options: argparse.Namespace) -> int:
    settings = {name: value for name, value in vars(options).items() if name in OPTIONS}
    settled(settings)
    from inpaint.batch import batch, plan

    items = plan(
        options.folder, options.output, shard=options.shard, masks=options.mask_out, **settings
    )
    bar, states = _Bar(), {"done": 0, "skipped": 0, "failed": 0}

    def show(moment: Any) -> None:
        bar.show(sum(states.values()), len(items), f"{moment.stage} {moment.number}/{moment.total}")

    for outcome in batch(items, device=options.device, progress=show, **settings):
        states[outcome.state] += 1
        bar.clear()
        name, files = outcome.item.picture.name, [str(path) for path in outcome.item.files]
        if options.json:
            told = {"picture": name, "state": outcome.state, "said": outcome.said, "files": files}
            print(json.dumps(told), flush=True)
        elif outcome.state == "failed":
            print(f"inpaint: {name}: {outcome.said}", file=sys.stderr, flush=True)
        elif outcome.state == "done":
            print(f"{', '.join(files)}: {outcome.said}", flush=True)
    if not options.json:
        print(", ".join(f"{count} {state}" for state, count in states.items()))
    return 1 if states["failed"] else 0


def _specialise(options: argparse.Namespace) -> int:
    from inpaint.training import specialise

    folder = specialise(options.data, options.name, minutes=options.minutes, start=options.start)
    print(f"{folder}: use it with --model {options.name}")
    return 0


def _video(options: argparse.Namespace) -> int:
    settings = {name: value for name, value in vars(options).items() if name in OPTIONS}
    settled(settings)
    from inpaint import video

    bar = _Bar()
    _say_download(settings)
    result = video.edit(
        options.clip,
        options.mask,
        options.output,
        device=options.device,
        lossless=options.lossless,
        reach=options.reach,
        mask_out=options.mask_out,
        progress=lambda moment: bar.show(moment.number, moment.total, moment.stage),
        **settings,
    )
    bar.clear()
    if options.json:
        print(json.dumps({**asdict(result), "path": str(result.path)}, indent=2))
    else:
        print(
            f"{result.path}: {result.frames} frames; {result.borrowed:.0%} of the hole from other "
            f"frames, {result.carried:.0%} carried on, {result.invented:.0%} invented; "
            f"flicker {result.flicker:.1f} of 255, around it {result.flicker_around:.1f}; "
            f"{result.seconds:.1f} s",
            *result.notes,
            sep="\n",
        )
    return 0


def _train(options: argparse.Namespace) -> int:
    from inpaint.training import TrainSettings, train

    given = {name: getattr(options, name, None) for name in TrainSettings.__dataclass_fields__}
    train(TrainSettings(**{name: value for name, value in given.items() if value is not None}))
    return 0


def _evaluate(options: argparse.Namespace) -> int:
    from inpaint.tools import damage_check
    from inpaint.tools.evaluate import Evaluation, evaluate
    from inpaint.tools.restoration import TRIALS, restoration

    values = {name: getattr(options, name) for name in Evaluation.__dataclass_fields__}
    bar, last = _Bar(), ""

    def show(done: int, total: int, stage: str) -> None:
        nonlocal last
        bar.show(done, total, stage)
        if not bar.on and stage != last:  # a log gets a line for each stage
            print(f"inpaint: {done} of {total} crops, {stage}", file=sys.stderr, flush=True)
        last = stage

    folder, count, seed = options.pictures, options.count, options.seed
    tasks = tuple(task for task in options.tasks or () if task != "repair")
    if unknown := [task for task in tasks if task not in TRIALS]:
        known = ", ".join(["repair", *TRIALS])
        raise ValueError(f"--tasks are some of {known}, got {unknown[0]!r}")
    if options.tasks and (options.json or options.sheet):
        raise ValueError("--json and --sheet are of fills; leave them or --tasks out.")
    tables = []
    if "repair" in (options.tasks or ()):
        rows = damage_check.measure(
            folder, count, seed, repairs=damage_check.REPAIRED, progress=show
        )
        tables.append(damage_check.table(rows))
    if tasks:
        model = options.model or "restore"
        tables.append(
            restoration(
                folder, count, seed, size=options.size, model=model, tasks=tasks, progress=show
            )
        )
    if not options.tasks:
        tables.append(evaluate(Evaluation(**values), show))
    bar.clear()
    print("\n\n".join(tables))
    return 0


def _bench(options: argparse.Namespace) -> int:
    from inpaint.tools.bench import Bench, bench

    wanted = Bench(options.section, options.brief, options.json, options.plot)
    bar = _Bar()
    tables = bench(wanted, bar.show)
    bar.clear()
    print(tables)
    return 0


def _names(text: str) -> tuple[str, ...]:
    return tuple(filter(None, text.split(",")))


def _doctor(options: argparse.Namespace) -> int:
    import platform

    import torch

    from inpaint import backends, devices, graph
    from inpaint.models import listed

    print(f"inpaint {inpaint.__version__}, Python {platform.python_version()}")
    print(f"torch {torch.__version__}, CPU instructions {torch.backends.cpu.get_cpu_capability()}")
    found = [name for name in DEVICES[1:] if devices.available(name)]
    print(f"devices here: {', '.join(found)}")
    used = devices.pick(options.device)
    print(f"used: {used.why}")
    if used.dtype is None:
        print(f"networks compute in {backends.choice()}")
    for name, spec in listed().items():
        print(f"model {name}: {'ready' if spec.here() else 'not here'}. {spec.tip}")
        folder = Path(spec.repository)
        if used.dtype is None and spec.here() and graph.suits(folder):
            print(f"  its network is computed {graph.trial(folder, backends.dtype_on(used))}")
    return 0


class _Bar:
    """One line on a terminal that says how far the work is; silent where nobody looks."""

    def __init__(self) -> None:
        self.on = sys.stderr.isatty()

    def show(self, number: int, total: int, stage: str) -> None:
        if self.on:
            filled = 30 * number // max(total, number, 1)
            bar = "█" * filled + "·" * (30 - filled)
            print(f"\r\x1b[K{bar} {number}/{total} {stage}", end="", file=sys.stderr, flush=True)

    def clear(self) -> None:
        if self.on:
            print("\r\x1b[K", end="", file=sys.stderr, flush=True)
