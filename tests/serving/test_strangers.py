"""What strangers may not do: open paths and addresses, read others' files, send too much."""

import json
import os
import time
from pathlib import Path

import httpx
import pytest
from anyio.from_thread import start_blocking_portal
from gradio.utils import get_upload_folder
from gradio_client import Client

from inpaint.ui.gate import Gate
from inpaint.ui.uploads import sweep

HERE = Path(__file__).resolve()
NOT_UPLOADED = "This file was not uploaded here; addresses and paths are not opened."
ELSEWHERE = [
    "",
    "/etc/passwd",
    str(HERE),
    "../../etc/passwd",
    "{folder}/../../etc/passwd",
    "file:///etc/passwd",
    "http://127.0.0.1/",
    "http://169.254.169.254/latest/meta-data/",
    "https://example.com/a.png",
    "http://example.com/gradio_api/file=/etc/passwd",
    "http://example.com/gradio_api/file=http://example.com/a.png",
    "\0",
    "x" * 5000,
]


@pytest.fixture(scope="module")
def address(serve):
    return serve(max_upload=1, rate=0)


@pytest.fixture(scope="module")
def raw(address, plain):
    return plain(address)


def event_of(address, session, event, data):
    """Send an event of the page by its number, as only the page is meant to."""
    body = {"fn_index": event, "data": data, "session_hash": session}
    joined = httpx.post(f"{address}/gradio_api/queue/join", json=body)
    joined.raise_for_status()
    url = f"{address}/gradio_api/queue/data?session_hash={session}"
    with httpx.stream("GET", url, timeout=20) as stream:
        for line in stream.iter_lines():
            told = json.loads(line.removeprefix("data: ")) if line else {}
            if told.get("msg") == "process_completed":
                return told


@pytest.mark.parametrize("path", ELSEWHERE, ids=lambda path: path[:40])
@pytest.mark.parametrize("meta", [True, False], ids=["as file", "as words"])
def test_no_path_or_address_of_a_request_is_opened(raw, files, path, meta, capfd):
    path = path.format(folder=get_upload_folder())
    value = {"path": path, "meta": {"_type": "gradio.FileData"}} if meta else {"path": path}
    picture = raw.upload(files / "photo.jpg")
    for given in ({"picture": value}, {"picture": picture, "mask": value}):
        assert raw.refused("fill", **given) == NOT_UPLOADED
    assert "Traceback" not in "".join(capfd.readouterr())


@pytest.mark.parametrize("path", ["/etc/passwd", "https://example.com/a.png"])
def test_the_events_of_the_page_open_none_either(address, path):
    """Every event with an input that could be a file is tried, by its number."""
    config = httpx.get(f"{address}/config").json()
    kinds = {part["id"]: part["type"] for part in config["components"]}
    value = {"path": path, "meta": {"_type": "gradio.FileData"}}
    tried = 0
    for event in config["dependencies"]:
        kinds_in = [kinds[part] for part in event["inputs"]]
        if not event["backend_fn"] or "uploadbutton" not in kinds_in or not event["queue"]:
            continue
        data = [value if kind == "uploadbutton" else None for kind in kinds_in]
        told = event_of(address, f"stranger{event['id']}", event["id"], data)
        assert not told["success"] and told["output"]["error"] == NOT_UPLOADED
        tried += 1
    assert tried >= 2


def test_an_uploaded_file_may_be_named_by_its_own_address(raw, files):
    picture, mask = raw.upload(files / "photo.jpg"), raw.upload(files / "mask.png")
    picture["path"] = f"{raw.address}/gradio_api/file={picture['path']}"
    kind, data = raw.call("estimate", picture=picture, mask=mask)[-1]
    assert kind == "complete" and data[0]["regions"] == 1


@pytest.mark.parametrize(
    "path",
    [
        "file=http://example.com/",
        "file=%68ttps://example.com/",
        "file=HTTP://example.com/",
        "proxy=http://127.0.0.1/",
        "process_recording",
        "file=/etc/passwd",
        "file=app.py",
        f"file={HERE}",
        "file={folder}",
        "file={folder}/",
        "file={folder}/../../etc/passwd",
        "run/fill",
    ],
)
def test_other_ways_to_files_and_addresses_are_closed(address, path):
    url = f"{address}/gradio_api/{path.format(folder=get_upload_folder())}"
    for answer in (httpx.get(url), httpx.post(url, json={"data": []})):
        assert answer.status_code in (403, 404, 405)
        assert "root:" not in answer.text


def test_a_large_upload_is_refused(address, raw, tmp_path):
    (tmp_path / "large.png").write_bytes(os.urandom(1_200_000))
    with pytest.raises(httpx.HTTPStatusError, match="413"):
        raw.upload(tmp_path / "large.png")
    body = {"picture": None, "prompt": "x" * 2_200_000}
    answer = httpx.post(f"{address}/gradio_api/call/v2/fill", json=body)
    assert answer.status_code == 413 and answer.json() == {
        "detail": "At most 2 MB can be sent at once."
    }


def test_who_may_log_in_may_use_the_page_and_nobody_else(serve, files, tmp_path):
    (tmp_path / "users").write_text("ada:secret\nbob:pass:word\n")
    address = serve(auth=str(tmp_path / "users"))
    for path in ("/config", "/gradio_api/info", "/gradio_api/file=x"):
        assert httpx.get(address + path).status_code == 401
    for path in ("/upload", "/queue/join", "/call/tasks", "/call/v2/tasks"):
        assert httpx.post(f"{address}/gradio_api{path}", json={"data": []}).status_code == 401
    client = Client(address, auth=("bob", "pass:word"), verbose=False)
    assert client.predict(api_name="/tasks")
    with pytest.raises(Exception, match="Could not login"):
        Client(address, auth=("ada", "wrong"), verbose=False)


def test_old_files_go_and_those_in_use_stay(address, raw, served, files):
    examples = {file for file in uploads()}
    picture, mask = raw.upload(files / "photo.jpg"), raw.upload(files / "mask.png")
    kind, data = raw.call("fill", picture=picture, mask=mask, steps=1)[-1]
    result = Path(data[0]["path"])
    assert kind == "complete" and httpx.get(data[0]["url"]).status_code == 200
    an_hour_ago = time.time() - 3700
    for file in uploads():
        os.utime(file, (an_hour_ago, an_hour_ago))
    raw.call("estimate", picture=picture, mask=mask)  # uses both again
    sweep(served[address], 3600)
    assert not result.exists() and httpx.get(data[0]["url"]).status_code in (403, 404)
    assert Path(picture["path"]).exists() and Path(mask["path"]).exists()
    page = httpx.get(f"{address}/config").json()["components"]
    shelf = next(part for part in page if part["props"].get("elem_id") == "examples")
    shown = [Path(item["image"]["path"]) for item in shelf["props"]["value"]]
    assert shown and all(file.exists() for file in shown)
    assert examples >= {file for file in shown if file.is_relative_to(get_upload_folder())}


def test_files_lie_where_only_the_server_may_read(address):
    assert Path(get_upload_folder()).stat().st_mode & 0o777 == 0o700


def uploads():
    return [file for file in Path(get_upload_folder()).rglob("*") if file.is_file()]


def send(gate, count, method="POST", client="1.2.3.4", body=b""):
    """Pass requests through a gate; returns their status codes."""

    async def work():
        transport = httpx.ASGITransport(app=gate, client=(client, 5))
        async with httpx.AsyncClient(transport=transport, base_url="http://here") as http:
            return [await http.request(method, "/", content=body) for _ in range(count)]

    with start_blocking_portal() as apart:  # the browser tests' thread already has a loop
        return apart.call(work)


def gate(**limits):
    async def app(scope, receive, send):
        await receive()
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"yes"})

    return Gate(app, **{"rate": 3, "largest": 10} | limits)


def test_the_rate_is_limited_for_each_client(monkeypatch):
    door, now = gate(), [0.0]
    monkeypatch.setattr("inpaint.ui.gate.time.monotonic", lambda: now[0])
    assert [answer.status_code for answer in send(door, 4)] == [200, 200, 200, 429]
    assert [answer.status_code for answer in send(door, 1, client="5.6.7.8")] == [200]
    assert [answer.status_code for answer in send(door, 9, method="GET")] == [200] * 9
    refused = send(door, 1)[0]
    assert refused.json()["detail"] == "At most 3 requests a minute are served; wait a little."
    assert refused.headers["retry-after"] == "10"
    now[0] = 61.0
    assert [answer.status_code for answer in send(door, 4)] == [200, 200, 200, 429]
    assert {answer.status_code for answer in send(gate(rate=0), 50)} == {200}


def test_a_long_body_is_cut_off():
    assert send(gate(), 1, body=b"x" * 10)[0].status_code == 200
    assert send(gate(), 1, body=b"x" * 11)[0].status_code == 413


def test_the_gate_forgets_who_was_silent_longest(monkeypatch):
    monkeypatch.setattr("inpaint.ui.gate.CLIENTS", 2)
    door = gate(rate=1)
    for client in ("a", "b", "c"):
        assert send(door, 1, client=client)[0].status_code == 200
    assert [send(door, 1, client=c)[0].status_code for c in ("c", "b", "a")] == [429, 429, 200]
