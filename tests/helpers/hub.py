"""A model hub on loopback that takes what is pushed to it and keeps the files."""

import base64
import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self

import huggingface_hub
import pytest
import transformers


class Hub:
    """Answers what huggingface_hub asks when a folder is uploaded.

    Attributes:
        files: Content by path of all that was committed.
        created: What repositories were made, as it was asked.
        url: Of the hub.
        refuses: Answer every request with this status; None for none.
    """

    def __init__(self) -> None:
        self.files: dict[str, bytes] = {}
        self.created: list[dict[str, Any]] = []
        self.refuses: int | None = None
        hub = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, *_: Any) -> None:
                pass

            def do_GET(self) -> None:
                self.reply({"sha": "0" * 40, "id": "org/name", "siblings": []})

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
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

            def reply(self, payload: Any) -> None:
                data = json.dumps(payload).encode()
                self.send_response(hub.refuses or 200)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_port}"

    def stand_in(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Let huggingface_hub and transformers take this for the hub."""
        monkeypatch.setattr(huggingface_hub.constants, "ENDPOINT", self.url)
        monkeypatch.setattr(transformers.utils.hub, "_hf_api", huggingface_hub.HfApi(self.url))

    def __enter__(self) -> Self:
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()
