"""An OpenAI-compatible endpoint on loopback, and the faults that real ones have."""

import json
import random
import threading
import time
from collections import Counter
from collections.abc import Callable
from contextlib import nullcontext
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, Self

Answer = Callable[[list[dict[str, str]], dict[str, Any]], str]


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128  # callers that connect at the same moment


class Endpoint:
    """Serves chat completions that `answer` writes; counts and keeps what it was asked.

    Args:
        answer: From messages and the whole request to the answer's text.
        fault_rate: Share of calls that get a fault instead.
        delay: Seconds before each answer.
        pause: Seconds that an injected time-out lasts.
        limit: How many calls it works on at once; others wait. None for no limit.
    """

    FAULTS = ("429", "500", "time-out", "cut", "garbage", "no choices")

    def __init__(
        self, answer: Answer, fault_rate: float = 0.0, delay: float = 0.0, pause: float = 2.0,
        limit: int | None = None,
    ) -> None:  # fmt: skip
        self.answer = answer
        self.fault_rate = fault_rate
        self.delay = delay
        self.pause = pause
        self.answered: Counter[str] = Counter()
        self.faults: Counter[str] = Counter()
        self.requests: list[dict[str, Any]] = []
        self.headers: list[dict[str, str]] = []
        self.at_once = self.most_at_once = 0
        self._random = random.Random(0)
        self._lock = threading.Lock()
        self._free = threading.BoundedSemaphore(limit) if limit else nullcontext()
        endpoint = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            disable_nagle_algorithm = True  # it would hold each answer's text back

            def log_message(self, *_: Any) -> None:
                pass

            def do_GET(self) -> None:
                self.reply(200, {"object": "list", "data": [{"id": "served", "object": "model"}]})

            def do_POST(self) -> None:
                data = self.rfile.read(int(self.headers["Content-Length"]))
                if not data:  # the client was killed in between
                    return
                body = json.loads(data)
                with endpoint._lock:
                    endpoint.requests.append(body)
                    endpoint.headers.append({k.lower(): v for k, v in self.headers.items()})
                    endpoint.at_once += 1
                    endpoint.most_at_once = max(endpoint.most_at_once, endpoint.at_once)
                    faulty = endpoint._random.random() < endpoint.fault_rate
                    fault = endpoint._random.choice(endpoint.FAULTS) if faulty else ""
                    endpoint.faults[fault] += 1
                try:
                    with endpoint._free:
                        self.respond(body, fault)
                except (BrokenPipeError, ConnectionResetError):
                    self.close_connection = True
                finally:
                    with endpoint._lock:
                        endpoint.at_once -= 1

            def respond(self, body: dict[str, Any], fault: str) -> None:
                time.sleep(endpoint.delay)
                if fault == "429":
                    return self.reply(429, {"error": {"message": "slow"}}, {"Retry-After": "0.05"})
                if fault == "500":
                    return self.reply(500, {"error": {"message": "broken"}})
                if fault == "time-out":
                    time.sleep(endpoint.pause)
                    self.close_connection = True
                    return None
                if fault == "garbage":
                    return self.reply(200, None)
                if fault == "no choices":
                    return self.reply(200, {"id": "x", "object": "chat.completion", "choices": []})
                text = endpoint.answer(body["messages"], body)
                payload = {
                    "id": "x", "object": "chat.completion", "created": 0, "model": body["model"],
                    "choices": [{"index": 0, "finish_reason": "stop",
                                 "message": {"role": "assistant", "content": text}}],
                    "usage": {"prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 15},
                }  # fmt: skip
                if fault != "cut":
                    with endpoint._lock:
                        endpoint.answered[json.dumps(body, sort_keys=True)] += 1
                return self.reply(200, payload, cut=fault == "cut")

            def reply(
                self, status: int, payload: Any, headers: dict[str, str] | None = None,
                cut: bool = False,
            ) -> None:  # fmt: skip
                data = b"<html>not what you asked for" if payload is None else b""
                data = data or json.dumps(payload).encode()
                self.send_response(status)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(data)))
                for name, value in (headers or {}).items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(data[: len(data) // 2] if cut else data)
                self.close_connection = self.close_connection or cut

        self._server = _Server(("127.0.0.1", 0), Handler)
        self.base_url = f"http://127.0.0.1:{self._server.server_port}/v1"

    def __enter__(self) -> Self:
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._server.shutdown()
        self._server.server_close()
