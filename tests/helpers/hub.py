"""A hub on loopback: takes models that are pushed to it, gives out datasets."""

import base64
import hashlib
import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Self
from urllib.parse import parse_qs, unquote, urlparse

import datasets
import huggingface_hub
import pytest
import transformers

SHA = "0" * 40


def entry(file: Path, folder: Path) -> dict[str, Any]:
    """Return what the hub says of a file of a dataset, or of a folder in it."""
    path = str(file.relative_to(folder))
    if file.is_dir():
        return {"type": "directory", "path": path, "oid": SHA, "size": 0}
    return {"type": "file", "path": path, "oid": SHA, "size": file.stat().st_size}


class Hub:
    """Answers what huggingface_hub asks when a folder is uploaded, or a dataset loaded.

    Attributes:
        files: Content by path of all that was committed.
        created: What repositories were made, as it was asked.
        url: Of the hub.
        datasets: Folder of each dataset that it has, by `org/name`.
        gated: Datasets whose files it gives to nobody.
        refuses: Answer every request with this status; None for none.
    """

    def __init__(self) -> None:
        self.files: dict[str, bytes] = {}
        self.created: list[dict[str, Any]] = []
        self.datasets: dict[str, Path] = {}
        self.gated: set[str] = set()
        self.refuses: int | None = None
        hub = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, *_: Any) -> None:
                pass

            def do_GET(self) -> None:
                path = unquote(urlparse(self.path).path)
                if not hub.datasets:
                    return self.reply({"sha": SHA, "id": "org/name", "siblings": []})
                name = "/".join(path.removeprefix("/api").split("/")[2:4])
                folder = hub.datasets.get(name)
                if "datasets" not in path.split("/")[1:3] or folder is None:
                    return self.reply({"error": "none"}, 404, {"X-Error-Code": "RepoNotFound"})
                _, _, rest = path.partition(f"/{name}")
                if not path.startswith("/api/"):
                    if name in hub.gated:
                        return self.reply({"error": "gated"}, 403, {"X-Error-Code": "GatedRepo"})
                    return self.give(folder / "/".join(rest.split("/")[3:]))
                if rest.startswith("/tree/"):
                    within = folder / "/".join(rest.split("/")[3:])
                    return self.reply([entry(f, folder) for f in sorted(within.rglob("*"))])
                files = [e["path"] for f in folder.rglob("*") if (e := entry(f, folder))["size"]]
                siblings = [{"rfilename": path} for path in files]
                return self.reply({"sha": SHA, "id": name, "siblings": siblings})

            def do_HEAD(self) -> None:
                self.do_GET()

            def give(self, file: Path) -> None:
                if not file.is_file():
                    return self.reply({"error": "none"}, 404, {"X-Error-Code": "EntryNotFound"})
                data = file.read_bytes()
                etag = hashlib.sha256(data).hexdigest()
                return self.reply(data, 200, {"ETag": f'"{etag}"', "X-Repo-Commit": SHA})

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                if "/paths-info/" in self.path:
                    name = "/".join(self.path.split("/")[3:5])
                    asked = parse_qs(body.decode()).get("paths", [])
                    found = [hub.datasets[name] / path for path in asked]
                    return self.reply(
                        [entry(file, hub.datasets[name]) for file in found if file.exists()]
                    )
                if self.path == "/api/repos/create":
                    hub.created.append(json.loads(body))
                    name = "/".join(
                        part
                        for part in (hub.created[-1].get("organization"), hub.created[-1]["name"])
                        if part
                    )
                    return self.reply({"url": f"{hub.url}/{name}"})
                if "/preupload/" in self.path:
                    files = [
                        {"path": f["path"], "uploadMode": "regular", "shouldIgnore": False}
                        for f in json.loads(body)["files"]
                    ]
                    return self.reply({"files": files})
                if "/commit/" in self.path:
                    for line in map(json.loads, body.splitlines()):
                        if line["key"] == "file":
                            content = base64.b64decode(line["value"]["content"])
                            hub.files[line["value"]["path"]] = content
                    url = f"{hub.url}/org/name/commit/{'1' * 40}"
                    return self.reply({"success": True, "commitUrl": url, "commitOid": "1" * 40})
                return self.reply({"errors": [], "warnings": []})

            def reply(
                self, payload: Any, status: int = 200, headers: dict[str, str] | None = None
            ) -> None:
                data = payload if isinstance(payload, bytes) else json.dumps(payload).encode()
                self.send_response(hub.refuses or status)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(data)))
                for key, value in (headers or {}).items():
                    self.send_header(key, value)
                self.end_headers()
                if self.command != "HEAD":
                    self.wfile.write(data)

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_port}"

    def stand_in(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Let huggingface_hub and transformers take this for the hub."""
        monkeypatch.setattr(huggingface_hub.constants, "ENDPOINT", self.url)
        template = f"{self.url}/{{repo_id}}/resolve/{{revision}}/{{filename}}"
        monkeypatch.setattr(huggingface_hub.constants, "HUGGINGFACE_CO_URL_TEMPLATE", template)
        monkeypatch.setattr(datasets.config, "HF_ENDPOINT", self.url)
        monkeypatch.setattr(transformers.utils.hub, "_hf_api", huggingface_hub.HfApi(self.url))

    def __enter__(self) -> Self:
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()
