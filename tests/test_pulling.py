from __future__ import annotations

import contextlib
import hashlib
import json
import os
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from filelock import FileLock

from lposs_geo import models, pulling
from lposs_geo.errors import ModelError

SOURCE = "timm:vit_tiny_patch16_224.augreg_in21k"
REPOSITORY = "timm/vit_tiny_patch16_224.augreg_in21k"
WEIGHTS = bytes(range(256)) * 50


@pytest.fixture
def hub():
    """A small model hub on this machine; `sha256` is what it claims of its one file."""

    class Hub(BaseHTTPRequestHandler):
        sha256 = hashlib.sha256(WEIGHTS).hexdigest()
        sending = threading.Event()  # the first half has gone
        going_on = threading.Event()  # the second half may go
        going_on.set()

        def _head(self) -> bool:
            known = self.path == f"/{REPOSITORY}/resolve/main/model.safetensors"
            self.send_response(200 if known else 404)
            body = WEIGHTS if known else b"{}"
            if known:
                self.send_header("ETag", f'"{self.sha256}"')
                self.send_header("X-Repo-Commit", "a" * 40)
            else:
                self.send_header("X-Error-Code", "EntryNotFound")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            return known

        def do_HEAD(self) -> None:
            self._head()

        def do_GET(self) -> None:
            if not self._head():
                self.wfile.write(b"{}")
                return
            self.wfile.write(WEIGHTS[:5000])
            self.wfile.flush()
            self.sending.set()
            if self.going_on.wait(60):
                with contextlib.suppress(ConnectionError):
                    self.wfile.write(WEIGHTS[5000:])

        def log_message(self, *_) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Hub)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield Hub, f"http://127.0.0.1:{server.server_port}"
    server.shutdown()


def _pulling(source: str, endpoint: str, cache) -> subprocess.Popen:
    # the hub library reads HF_ENDPOINT when it is imported: a process of its own
    environment = {key: value for key, value in os.environ.items() if key != "HF_HUB_OFFLINE"}
    environment |= {"HF_ENDPOINT": endpoint, "LPOSS_GEO_CACHE": str(cache), "HF_HOME": str(cache / "hf")}
    command = [sys.executable, "-c", f"from lposs_geo.cli import main; main(['models', 'pull', {source!r}])"]
    return subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def _pull(source: str, endpoint: str, cache) -> subprocess.CompletedProcess:
    process = _pulling(source, endpoint, cache)
    out, err = process.communicate(timeout=120)
    return subprocess.CompletedProcess(process.args, process.returncode, out, err)


def test_pull_fetches_checks_and_remembers(hub, tmp_path, monkeypatch):
    _, endpoint = hub
    done = _pull(SOURCE, endpoint, tmp_path)
    assert done.returncode == 0, done.stderr
    monkeypatch.setenv("LPOSS_GEO_CACHE", str(tmp_path))
    file = models.checkpoint(models.Source.parse(SOURCE))
    assert done.stdout.strip() == str(file)
    assert file.read_bytes() == WEIGHTS
    manifest = json.loads((file.parent / "manifest.json").read_text())
    assert manifest["sha256"] == hashlib.sha256(WEIGHTS).hexdigest()
    # a second pull needs no network
    assert _pull(SOURCE, "http://127.0.0.1:9", tmp_path).stdout == done.stdout
    # a truncated file counts as not installed
    file.write_bytes(WEIGHTS[:-1])
    with pytest.raises(ModelError, match="not installed"):
        models.checkpoint(models.Source.parse(SOURCE))


def test_a_damaged_download_is_refused_and_leaves_nothing(hub, tmp_path):
    server, endpoint = hub
    server.sha256 = "0" * 64
    done = _pull(SOURCE, endpoint, tmp_path)
    assert done.returncode == 1
    assert "damaged" in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1
    assert not [path for path in (tmp_path / "models").rglob("*") if path.is_file()]


def test_what_a_killed_pull_left_goes_with_the_next_one(hub, tmp_path):
    server, endpoint = hub
    server.going_on.clear()
    process = _pulling(SOURCE, endpoint, tmp_path)
    assert server.sending.wait(60)
    process.kill()
    process.communicate()
    server.going_on.set()
    (left,) = (tmp_path / "models").glob(".pull-*")
    older, foreign, running, elsewhere = (
        tmp_path / "models" / "timm" / ".pull-ab12_x9z",  # where earlier releases fetched to
        tmp_path / "models" / ".pull-of last year",
        tmp_path / "models" / ".pull-running1",
        tmp_path / "documents",
    )
    for folder in (older, foreign, running, elsewhere):
        folder.mkdir(parents=True)
        (folder / "file").write_text("x")
    link = tmp_path / "models" / ".pull-linked12"
    link.symlink_to(elsewhere)
    with FileLock(running / "lock"):
        assert _pull(SOURCE, endpoint, tmp_path).returncode == 0
    assert not left.exists()
    assert not older.exists()
    assert {path.name for path in (tmp_path / "models").glob(".pull*")} == {foreign.name, running.name, link.name}
    assert all((folder / "file").read_text() == "x" for folder in (foreign, running, elsewhere))
    assert _pull(SOURCE, "http://127.0.0.1:9", tmp_path).returncode == 0


def test_a_model_is_on_the_disk_before_it_is_called_installed(tmp_path, monkeypatch):
    monkeypatch.setenv("LPOSS_GEO_CACHE", str(tmp_path / "cache"))
    source = models.Source.parse(SOURCE)
    source.folder.mkdir(parents=True)
    for name, text in (("model.safetensors", "old"), ("pytorch_model.bin", "older"), ("manifest.json", "{}")):
        (source.folder / name).write_text(text)
    fetched = tmp_path / "fetched"
    fetched.write_bytes(WEIGHTS)
    done = []
    real_sync, real_replace = os.fsync, os.replace

    def fsync(descriptor):
        done.append(("sync", os.path.realpath(f"/proc/self/fd/{descriptor}")))
        real_sync(descriptor)

    def replace(old, new, **options):
        if str(new).endswith("model.safetensors"):
            assert (source.folder / "model.safetensors").read_text() == "old"  # until the new one is complete
        done.append(("name", str(new)))
        real_replace(old, new, **options)

    monkeypatch.setattr(os, "fsync", fsync)
    monkeypatch.setattr(os, "replace", replace)
    manifest = {"repository": "r", "file": "model.safetensors", "size": str(len(WEIGHTS)), "sha256": "ab"}
    file = pulling._install(source, fetched, manifest)
    folder = str(source.folder)
    first, second = (done.index(("name", f"{folder}/{name}")) for name in ("model.safetensors", "manifest.json"))
    assert done.index(("sync", str(fetched))) < first
    assert ("sync", folder) in done[:first]  # that the old manifest is gone
    for place in (folder, str(source.folder.parent), str(tmp_path / "cache")):
        assert ("sync", place) in done[first:second]
    assert ("sync", f"{folder}/manifest.json.new") in done[first:second]
    assert done[-1] == ("sync", folder)
    assert models.checkpoint(source) == file
    assert file.read_bytes() == WEIGHTS
    assert not (source.folder / "pytorch_model.bin").exists()


def test_a_folder_that_takes_no_model_is_named(hub, tmp_path):
    (tmp_path / "models").write_text("a file")
    done = _pull(SOURCE, hub[1], tmp_path)
    assert done.returncode == 1
    (line,) = done.stderr.strip().splitlines()
    assert f"can't be kept in '{tmp_path / 'models'}'" in line


def test_without_a_hub_one_line_says_what_to_do(tmp_path):
    done = _pull("paper", "http://127.0.0.1:9", tmp_path)
    assert done.returncode == 1
    (line,) = done.stderr.strip().splitlines()
    for said in ("open_clip:ViT-B-16/laion2b_s34b_b88k", "127.0.0.1:9", "HTTPS_PROXY", "HF_ENDPOINT", "--vlm"):
        assert said in line


def test_what_the_library_has_no_weights_for_is_refused():
    with pytest.raises(ModelError, match="no hub weights"):
        pulling.pull("timm:no_such_model")
