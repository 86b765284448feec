"""Downloads, by the hub's own client from a small server that answers as the hub does."""

import hashlib
import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import unquote

import huggingface_hub
import pipelines
import pytest

from inpaint import hub
from inpaint.catalog import ModelError, load
from inpaint.devices import pick

COMMIT = "0123456789abcdef0123456789abcdef01234567"
CPU = pick("cpu")


class Hub(ThreadingHTTPServer):
    """Serves the files of one repository, or an error."""

    daemon_threads = True

    def __init__(self, files):
        super().__init__(("127.0.0.1", 0), Answer)
        self.files, self.error, self.asked = files, None, []


class Answer(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *args):
        pass

    def do_HEAD(self):
        self.do_GET()

    def do_GET(self):
        path = unquote(self.path.split("?")[0])
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
            about = {"id": "some/model", "sha": COMMIT, "siblings": []}
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
            self.wfile.write(content)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("upload")
    pipelines.save("sd", folder)
    return folder


@pytest.fixture
def server(folder, tmp_path, monkeypatch):
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
    assert hub.cached("some/model") and not hub.cached("some/other")


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
    hub.fetch("some/model")
    assert set(server.asked) == wanted


def test_a_variant_comes_alone(server):
    server.files["unet/diffusion_pytorch_model.fp16.safetensors"] = b"x"
    server.files["vae/diffusion_pytorch_model.fp16-00001-of-00002.safetensors"] = b"y"
    hub.fetch("some/model", variant="fp16")
    weights = {name for name in server.asked if name.endswith(".safetensors")}
    assert weights == {name for name in server.files if ".fp16" in name}


def test_named_files_come_alone(server):
    server.files["pytorch_lora_weights.safetensors"] = b"x"
    folder = hub.fetch("some/model", files=("pytorch_lora_weights.safetensors",))
    assert [file.name for file in folder.iterdir()] == ["pytorch_lora_weights.safetensors"]


def test_offline_is_one_sentence_and_the_current_model_stays(server):
    current = load("self", CPU)
    server.shutdown()
    server.server_close()
    with pytest.raises(ModelError) as caught:
        load("ours", CPU)
    assert str(caught.value) == (
        "some/model is not on this machine, and the hub could not be reached to download it "
        "(about 1.5 GB); check the connection and try again."
    )
    assert load("self", CPU) is current


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
