"""The rooms of the package and who may know whom (imports inside functions count too)."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import inpaint

PACKAGE = Path(inpaint.__file__).parent
ROOMS = [
    "ui",
    "cli",
    "tools",
    "video",
    "project",
    "visit",
    "reviewing",
    "replaying",
    "batch",
    "editing",
    "preparing",
    "tasks",
    "guides",
    "sources",
    "restoring",
    "damage",
    "sam",
    "snap",
    "training",
    "catalog",
    "holding",
    "models",
    "latent",
    "hub",
    "pipeline",
    "blend",
    "filling",
    "samplers",
    "backends",
    "selfpatch",
    "fitting",
    "melding",
    "patches",
    "graph",
    "unet",
    "layers",
    "denoiser",
    "schedule",
    "operators",
    "colouring",
    "scales",
    "results",
    "regions",
    "recipes",
    "masks",
    "scanlines",
    "strokes",
    "pictures",
    "devices",
    "settings",
    "machine",
    "own",
    "threads",
    "metrics",
    "rounding",
    "solving",
]
"""From top to bottom: a room imports only from rooms further down."""
FILES = sorted(
    file for file in PACKAGE.rglob("*.py") if file.parent != PACKAGE or file.stem[0] != "_"
)


def imported(file):
    """Names of all modules that a file imports anywhere, and the line of each."""
    for node in ast.walk(ast.parse(file.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            yield from ((alias.name, node.lineno) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{file}:{node.lineno} imports relatively"
            if node.module == "inpaint":
                names = [alias.name for alias in node.names if alias.name != "__version__"]
                yield from ((f"inpaint.{name}", node.lineno) for name in names)
            else:
                yield node.module, node.lineno


def room_of(file):
    return file.relative_to(PACKAGE).parts[0].removesuffix(".py")


def against_the_order(file):
    here = ROOMS.index(room_of(file))
    for name, line in imported(file):
        package, _, rest = name.partition(".")
        if package == "inpaint" and rest:
            room = rest.split(".")[0]
            if room != room_of(file) and ROOMS.index(room) <= here:
                yield f"line {line} imports {room}"


@pytest.mark.parametrize("file", FILES, ids=lambda file: str(file.relative_to(PACKAGE)))
def test_a_room_imports_only_rooms_below(file):
    assert not list(against_the_order(file))


@pytest.mark.parametrize("file", FILES, ids=lambda file: str(file.relative_to(PACKAGE)))
def test_only_the_page_knows_gradio(file):
    knows = any(name.split(".")[0] == "gradio" for name, _ in imported(file))
    assert not knows or room_of(file) == "ui"


def test_every_module_at_the_top_is_a_room():
    assert {room_of(file) for file in FILES} <= set(ROOMS)
    assert len(FILES) > 20, "the files were not found"


def test_an_import_inside_a_function_is_seen(tmp_path):
    file = tmp_path / "lazy.py"
    file.write_text(
        "def f():\n    import inpaint.cli as c\n    from inpaint import editing, masks\n"
    )
    names = {name for name, _ in imported(file)}
    assert names == {"inpaint.cli", "inpaint.editing", "inpaint.masks"}


HEAVY = {"torch", "numpy", "diffusers", "gradio", "cv2", "PIL"}


def modules_loaded_by(*arguments):
    done = subprocess.run(
        [sys.executable, "-X", "importtime", *arguments],
        capture_output=True,
        text=True,
        check=True,
        cwd=PACKAGE.parent,
    )
    loaded = {line.rsplit("|", 1)[-1].strip() for line in done.stderr.splitlines() if "|" in line}
    return loaded, done.stdout


def test_help_loads_nothing_heavy():
    loaded, out = modules_loaded_by("-m", "inpaint", "--help")
    assert "usage: inpaint" in out and "inpaint.cli" in loaded
    assert not {name.split(".")[0] for name in loaded} & HEAVY


def test_settings_load_nothing_heavy():
    loaded, _ = modules_loaded_by("-c", "import inpaint.settings")
    assert "inpaint.settings" in loaded
    assert not {name.split(".")[0] for name in loaded} & HEAVY


def test_the_page_opens_before_torch_is_there():
    done = subprocess.run(
        [sys.executable, "-c", "import sys, app; print(*sys.modules)"],
        capture_output=True,
        text=True,
        check=True,
        cwd=PACKAGE.parent,
    )
    loaded = set(done.stdout.split())
    assert {"gradio", "inpaint.ui.serving"} <= loaded
    assert not loaded & {"torch", "diffusers", "transformers", "inpaint.editing"}


STUBS = """
import sys
opened = set()
sys.addaudithook(lambda event, values: event == "open" and opened.add(str(values[0])))
import {0}
print(sum(name.endswith(".pyi") for name in opened), {0}.__name__)
"""


@pytest.mark.parametrize(
    "module, writes",
    [("gradio", True), ("inpaint.ui.serving", False), ("app", False)],
)
def test_gradio_writes_no_stubs_for_the_page_to_wait_for(module, writes):
    done = subprocess.run(
        [sys.executable, "-c", STUBS.format(module)],
        capture_output=True,
        text=True,
        check=True,
        cwd=PACKAGE.parent,
    )
    count, name = done.stdout.split()
    # Where it writes none by itself, `inpaint.ui` need not keep it from that.
    assert name == module and (int(count) > 0) == writes


def test_stubs_rest_where_gradio_was_imported_first():
    code = "import gradio.component_meta as m, inpaint.ui; print(m.create_or_modify_pyi())"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, cwd=PACKAGE.parent
    )
    assert done.stdout == "None\n", done.stderr


def test_the_package_offers_what_it_lists():
    for name in inpaint.__all__:
        assert getattr(inpaint, name).__name__ == name
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        inpaint.nothing  # noqa: B018
