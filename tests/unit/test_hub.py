"""Downloads, by the hub's own client from a small server that answers as the hub does."""

import errno
import hashlib
import json
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import unquote

import diffusers
import huggingface_hub
import numpy as np
import pytest
from models import tiny_unet

from inpaint import hub
from inpaint.catalog import ModelError, listed, load
from inpaint.devices import pick
from inpaint.editing import Moment, Stopped, edit, estimate
from inpaint.ui import serving, studio
from inpaint.ui.controls import model_tip, offered
from inpaint.ui.job import Job
from inpaint.ui.options import Options
from inpaint.ui.turns import Line

COMMIT = "0123456789abcdef0123456789abcdef01234567"
CPU = pick("cpu")


class Hub(ThreadingHTTPServer):
    """Serves the files of one repository, or an error."""

    daemon_threads = True

    def __init__(self, files):
        super().__init__(("127.0.0.1", 0), Answer)
        self.files, self.error, self.asked, self.pause, self.calls = files, None, [], 0.0, 0


class Answer(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *args):
        pass

    def do_HEAD(self):
        self.do_GET()

    def do_GET(self):
        path = unquote(self.path.split("?")[0])
        self.server.calls += 1
        if self.server.error:
            status, code = self.server.error
            return self.answer(b"{}", status, {"X-Error-Code": code, "X-Error-Message": "no"})
        if path.startswith("/api/models/") and "/tree/" in path:
            tree = [
                {
                    "type": "file",
                    "path": name,
                    "size": len(content),
                    "oid": hashlib.sha1(content).hexdigest(),
                }
                for name, content in self.server.files.items()
            ]
            return self.answer(json.dumps(tree).encode())
        if path.startswith("/api/models/"):
            listed = [{"rfilename": n, "size": len(c)} for n, c in self.server.files.items()]
            about = {"id": "some/model", "sha": COMMIT, "siblings": listed}
            return self.answer(json.dumps(about).encode())
        name = path.split(f"/resolve/{COMMIT}/")[-1]
        if name not in self.server.files:
            return self.answer(b"", 404, {"X-Error-Code": "EntryNotFound"})
        content = self.server.files[name]
        if self.command == "GET":
            self.server.asked.append(name)
        tag = {"ETag": f'"{hashlib.sha1(content).hexdigest()}"', "X-Repo-Commit": COMMIT}
        return self.answer(content, 200, tag)

    def answer(self, content, status=200, headers=()):
        self.send_response(status)
        self.send_header("Content-Length", str(len(content)))
        for key, value in dict(headers).items():
            self.send_header(key, value)
        self.end_headers()
        if self.command == "GET":
            for start in range(0, len(content), 1000):
                self.wfile.write(content[start : start + 1000])
                time.sleep(self.server.pause)


@pytest.fixture
def server(saved, tmp_path, monkeypatch):
    folder = saved / "sd"
    files = {
        str(file.relative_to(folder)): file.read_bytes()
        for file in folder.rglob("*")
        if file.is_file()
    }
    server = Hub(files)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    constants = huggingface_hub.constants
    monkeypatch.setattr(constants, "ENDPOINT", f"http://127.0.0.1:{server.server_port}")
    url = constants.ENDPOINT + "/{repo_id}/resolve/{revision}/{filename}"
    monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", url)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv(hub.WHERE, "all")
    monkeypatch.setattr(hub, "_away", hub._Absence())
    rows = {"ours": {"repository": "some/model", "size": 32, "download": 1.5}}
    (tmp_path / "rows.json").write_text(json.dumps(rows))
    monkeypatch.setenv("INPAINT_MODELS", str(tmp_path / "rows.json"))
    load("self", CPU)  # lets go of what another test loaded by the same name
    yield server
    server.shutdown()
    server.server_close()
    thread.join()


def test_a_model_is_downloaded_once_with_progress_and_revision(server):
    told = []
    loaded = load("ours", CPU, lambda done, total: told.append((done, total)))
    assert loaded.revision == COMMIT and loaded.filler.size == 32
    done, total = told[-1]
    assert done == total == sum(len(content) for content in server.files.values())
    assert [done for done, _ in told] == sorted(done for done, _ in told)
    count = len(server.asked)
    load("self", CPU)
    assert load("ours", CPU).digest == loaded.digest and len(server.asked) == count
    assert hub.Source("some/model").here() and not hub.Source("some/other").here()


def test_only_what_a_pipeline_needs_comes(server):
    unwanted = [
        "model.safetensors",  # a single-file copy
        "unet/diffusion_pytorch_model.bin",
        "unet/diffusion_pytorch_model.fp16.safetensors",
        "unet/diffusion_pytorch_model.fp16-00001-of-00002.safetensors",
        "unet/evil.py",
        "picture.png",
    ]
    wanted = set(server.files)
    server.files.update({name: b"x" for name in unwanted})
    hub.Source("some/model").fetch()
    assert set(server.asked) == wanted


def test_a_variant_comes_alone(server):
    server.files["unet/diffusion_pytorch_model.fp16.safetensors"] = b"x"
    server.files["vae/diffusion_pytorch_model.fp16-00001-of-00002.safetensors"] = b"y"
    hub.Source("some/model", variant="fp16").fetch()
    assert hub.Source("some/model", variant="fp16").here()
    assert not hub.Source("some/model").here(), "the others are not"
    weights = {name for name in server.asked if name.endswith(".safetensors")}
    assert weights == {name for name in server.files if ".fp16" in name}


def test_an_old_network_with_its_weights_at_the_top_comes_and_loads(server, tmp_path):
    diffusers.DDPMPipeline(tiny_unet(), diffusers.DDPMScheduler()).save_pretrained(tmp_path / "n")
    server.files = {
        file.name: file.read_bytes() for file in (tmp_path / "n").rglob("*") if file.is_file()
    }
    weights = server.files["diffusion_pytorch_model.safetensors"]
    server.files["diffusion_pytorch_model.bin"] = b"pickle"
    loaded = load("faces", CPU)
    assert loaded.digest == hashlib.sha256(weights).hexdigest() and loaded.revision == COMMIT
    assert "diffusion_pytorch_model.bin" not in server.asked


def test_named_files_come_alone(server):
    server.files["pytorch_lora_weights.safetensors"] = b"x"
    folder = hub.Source("some/model", files=("pytorch_lora_weights.safetensors",)).fetch()
    assert [file.name for file in folder.iterdir()] == ["pytorch_lora_weights.safetensors"]


def test_offline_is_one_sentence_and_the_current_model_stays(server):
    current = load("self", CPU)
    server.shutdown()
    server.server_close()
    with pytest.raises(ModelError) as caught:
        load("ours", CPU)
    assert str(caught.value) == (
        "some/model is not on this machine, and the hub could not be reached to download it "
        "(about 1.5 GB); check the connection and try again in a minute."
    )
    assert load("self", CPU) is current


def test_a_hub_out_of_reach_is_not_asked_again_for_a_while(server, monkeypatch):
    server.error = 503, "Down"
    for _ in range(3):
        with pytest.raises(ModelError, match="could not be reached"):
            load("ours", CPU)
        asked = server.calls
    assert asked == server.calls > 0
    server.error = None
    with pytest.raises(ModelError, match="try again in a minute"):
        load("ours", CPU)
    assert server.calls == asked
    monkeypatch.setattr(hub.time, "monotonic", lambda now=time.monotonic: now() + hub.PATIENCE)
    assert load("ours", CPU).revision == COMMIT


def test_stop_ends_a_download_and_the_next_one_goes_on(server, monkeypatch):
    monkeypatch.setattr(huggingface_hub.constants, "DOWNLOAD_CHUNK_SIZE", 1000)
    server.pause = 0.02
    current, told = load("self", CPU), []

    def stop(done, total):
        told.append((done, total))
        if done:
            raise Stopped

    with pytest.raises(Stopped):
        load("ours", CPU, stop)
    done, total = told[-1]
    whole = sum(len(content) for content in server.files.values())
    assert 0 < done < total == whole and not listed()["ours"].here()
    assert load("self", CPU) is current
    server.pause = 0
    assert load("ours", CPU).revision == COMMIT and listed()["ours"].here()


def test_an_edit_tells_of_the_download_and_records_the_revision(server):
    server.pause = 0.002
    moments = []
    pixels = np.zeros((40, 40, 3), np.uint8)
    mask = np.zeros((40, 40), bool)
    mask[10:20, 10:20] = True
    wanted = {"model": "ours", "steps": 1, "device": "cpu", "guidance": 1.0}
    with pytest.raises(ValueError, match="^ours is not on this machine; a first run downloads "):
        estimate((40, 40), mask, **wanted)
    result = edit(pixels, mask, progress=moments.append, **wanted)
    assert result.recipe["model_revision"] == COMMIT
    first, last = moments[0], moments[-1]
    assert first.stage == "downloading the model" and first.preview is None
    assert first.total == sum(len(content) for content in server.files.values()) // 10**6
    assert last.stage == "filling" and last.number == last.total == 1


def test_stop_on_the_page_ends_a_download_without_an_error(server):
    server.pause = 0.02
    mask = np.zeros((40, 40), bool)
    mask[10:20, 10:20] = True
    pixels = np.zeros((40, 40, 3), np.uint8)
    wanted = {"model": "ours", "steps": 1, "device": "cpu"}
    job = Job(lambda progress: edit(pixels, mask, progress=progress, **wanted))
    turn, moments = studio.in_turn(job, Line(1)), []
    with pytest.raises(StopIteration) as ended:
        while True:
            event = next(turn)
            if isinstance(event, Moment):
                moments.append(event)
                job.stop()
    assert ended.value.value is None and moments and not listed()["ours"].here()
    assert studio.views(moments[0]) is None
    assert studio.progress_text(moments[0]).startswith("Downloading the model: 0 of 0 MB")


@pytest.mark.parametrize("policy", ["none", " None "])
def test_an_operator_forbids_downloads(server, monkeypatch, policy):
    monkeypatch.setenv(hub.WHERE, policy)
    with pytest.raises(
        ModelError, match=r"^some/model is not on .* \(about 1.5 GB\), and downloads"
    ):
        load("ours", CPU)
    assert "switched off" in listed()["ours"].absence()
    assert server.calls == 0 and "ours" not in offered() and "self" in offered()
    monkeypatch.setenv(hub.WHERE, "all")
    assert "ours" in offered()
    title = dict(map(reversed, model_tip("model", "self")["choices"]))["ours"]
    assert title == "ours · ↓ 1.5 GB", "its size is told before"
    load("ours", CPU)
    monkeypatch.setenv(hub.WHERE, "none")
    assert "ours" in offered(), "what is here can be used"


@pytest.mark.parametrize(
    "given, may",
    [
        ({}, True),
        ({"host": "0.0.0.0"}, False),
        ({"share": True}, False),
        ({"host": "0.0.0.0", "downloads": "all"}, True),
        ({"downloads": "none"}, False),
    ],
)
def test_who_may_download_where(monkeypatch, given, may):
    monkeypatch.setenv(hub.WHERE, "")
    assert Options(**given).may_download == may
    serving.fitted(Options(**given))
    assert hub.allowed() == may


def test_a_full_disk_is_one_sentence(server, monkeypatch):
    def full(*args, **named):
        raise OSError(errno.ENOSPC, "No space left on device")

    # The last call before bytes are written; there is no small disk to fill here.
    monkeypatch.setattr(huggingface_hub.file_download, "http_get", full)
    with pytest.raises(ModelError, match="^The disk is full: some/model takes about 1.5 GB.$"):
        load("ours", CPU)


def test_a_model_in_the_cache_needs_no_network(server):
    digest = load("ours", CPU).digest
    load("self", CPU)
    server.shutdown()
    server.server_close()
    assert load("ours", CPU).digest == digest


def test_a_gated_model_is_explained(server):
    server.error = 403, "GatedRepo"
    with pytest.raises(ModelError, match="^some/model asks for its licence to be accepted: do so"):
        load("ours", CPU)


def test_a_model_that_is_not_there_is_one_sentence(server):
    server.error = 404, "RepoNotFound"
    with pytest.raises(ModelError, match="^The hub has no model some/model, or hides it.$"):
        load("ours", CPU)


def test_a_revision_is_told_of_snapshots_only(tmp_path):
    assert hub.revision(tmp_path / "snapshots" / COMMIT) == COMMIT
    assert hub.revision(tmp_path / COMMIT) == "" == hub.revision(tmp_path / "snapshots" / "main")
