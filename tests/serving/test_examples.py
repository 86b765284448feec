"""The README's examples for programs, run as they stand against a server, and the MCP tools."""

import base64
import importlib.util
import io
import re
import shutil
import subprocess
import sys
from contextlib import redirect_stdout
from pathlib import Path

import pytest
from anyio.from_thread import start_blocking_portal

from inpaint import pictures
from inpaint.ui import serving
from inpaint.ui.options import Options

ROOT = Path(__file__).parents[2]
SECTION = (ROOT / "README.md").read_text("utf-8").split("\n## API\n")[1].split("\n## ")[0]
USUAL = "http://127.0.0.1:7860"


def example(language):
    (code,) = re.findall(rf"```{language}\n(.*?)```", SECTION, re.S)
    assert USUAL in code
    return code


@pytest.fixture(scope="module")
def address(serve):
    return serve(mcp=importlib.util.find_spec("mcp") is not None)


@pytest.fixture
def folder(files, tmp_path, monkeypatch):
    for name in ("photo.jpg", "mask.png"):
        shutil.copy(files / name, tmp_path)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def is_filled(path, folder):
    before, after = (pictures.read(Path(file)) for file in (folder / "photo.jpg", path))
    differ = (before.pixels != after.pixels).any(axis=2)
    assert after.format == "JPEG" and differ[18:24, 22:32].any()
    assert not differ[:, 52:].any(), "more than 16 pixels from the edit a JPEG keeps its data"


def test_the_example_for_python(address, folder):
    told = io.StringIO()
    found = {}
    with redirect_stdout(told):
        exec(example("python").replace(USUAL, address), found)
    assert re.search(r"^\w[\w ]+: step \d+ of 18$", told.getvalue(), re.M)
    assert "0 of 2" in told.getvalue() and "pixels outside the mask changed" in told.getvalue()
    is_filled(found["picture"], folder)


@pytest.mark.skipif(not shutil.which("curl"), reason="needs curl")
def test_the_example_for_curl(address, folder):
    code = example("bash").replace(USUAL, address)
    done = subprocess.run(["bash", "-euc", code], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    assert '"steps": 18' in done.stdout and "event: complete" in done.stdout
    is_filled(folder / "filled.jpg", folder)


def test_the_tools_of_the_mcp_server(address, files):
    pytest.importorskip("mcp", reason=f"MCP needs {serving.MCP}")
    from mcp import ClientSession
    from mcp.client.streamable_http import streamable_http_client

    def link(name):
        data = base64.b64encode((files / name).read_bytes()).decode()
        return f"data:image/{name[-3:].replace('jpg', 'jpeg')};base64,{data}"

    async def work():
        url = f"{address}/gradio_api/mcp/"
        async with (
            streamable_http_client(url) as (reading, writing, *_),
            ClientSession(reading, writing) as session,
        ):
            await session.initialize()
            tools = {tool.name: tool for tool in (await session.list_tools()).tools}
            given = {"picture": link("photo.jpg"), "mask": link("mask.png"), "steps": 2}
            cost = await session.call_tool("estimate", given)
            made = await session.call_tool("fill", given)
            wrong = await session.call_tool("fill", {**given, "steps": 0})
            foreign = await session.call_tool("fill", {**given, "picture": f"{address}/config"})
            return tools, cost, made, wrong, foreign

    with start_blocking_portal() as apart:  # the browser tests' thread already has a loop
        tools, cost, made, wrong, foreign = apart.call(work)
    assert set(tools) == {"fill", "estimate", "tasks", "models"}
    assert tools["fill"].inputSchema["properties"]["steps"]["description"]
    assert tools["fill"].inputSchema["required"] == ["picture"]
    assert not cost.isError and "'regions': 1" in cost.content[0].text
    text = made.content[-1].text
    assert not made.isError and "0 of 2" in text and "-fill-1.jpg" in text
    assert wrong.isError and "steps must be a whole number" in wrong.content[0].text
    assert foreign.isError and "not uploaded here" in foreign.content[0].text


def test_without_the_package_a_sentence_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "mcp", None)
    with pytest.raises(ValueError, match=f"--mcp needs one .*: pip install {serving.MCP}"):
        serving.fitted(Options(mcp=True))


def test_a_model_that_is_not_here_is_refused(monkeypatch):
    for name in ("INPAINT_DOWNLOADS", "INPAINT_SAM"):
        monkeypatch.setenv(name, "")  # `fitted` leaves word in them
    with pytest.raises(ValueError, match="^--model must be one of self, .*, got sd15$"):
        serving.fitted(Options(model="sd15", downloads="none"))
    assert serving.fitted(Options(model="photo")).device == "auto"


@pytest.mark.parametrize("file", ["pyproject.toml", "tests/requirements.txt", "README.md"])
def test_the_package_is_the_same_everywhere(file):
    assert serving.MCP in (ROOT / file).read_text("utf-8")
