"""`tidegate chat` against a small server of its own."""

import io
import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from serving.cli import main

STREAM = [
    {"choices": [{"delta": {"role": "assistant", "content": ""}}]},
    {"choices": [{"delta": {"content": "Grüß "}}]},
    {"choices": [{"delta": {"content": "Gott"}, "finish_reason": "stop"}]},
    {"choices": [], "usage": {"completion_tokens": 7}},
]


class Server(ThreadingHTTPServer):
    """Lists one model and answers every chat with `events`, then `[DONE]` unless it is to break off."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.events: list[dict[str, Any]] = STREAM
        self.done = True
        self.status = 200
        self.asked: list[dict[str, Any]] = []
        self.keys: list[str | None] = []
        threading.Thread(target=self.serve_forever, args=(0.02,), daemon=True).start()

    @property
    def base_url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/v1"


class Handler(BaseHTTPRequestHandler):
    server: Server

    def do_GET(self) -> None:
        self._send(200, json.dumps({"data": [{"id": "first"}, {"id": "second"}]}).encode())

    def do_POST(self) -> None:
        self.server.asked.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
        self.server.keys.append(self.headers["Authorization"])
        if self.server.status != 200:
            self._send(self.server.status, json.dumps({"error": {"message": "slow down"}}).encode())
            return
        events = [f"data: {json.dumps(event)}\n\n" for event in self.server.events]
        self._send(200, "".join([": hello\n\n", *events, "data: [DONE]\n\n" if self.server.done else ""]).encode())

    def _send(self, status: int, body: bytes) -> None:
        self.send_response(status)
        self.send_header("Retry-After", "3")
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        return


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Server]:
    for name in ("OPENAI_BASE_URL", "OPENAI_API_KEY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    with Server() as made:
        yield made
        made.shutdown()


def chat(monkeypatch: pytest.MonkeyPatch, text: str, *arguments: str) -> int:
    monkeypatch.setattr("sys.stdin", io.StringIO(text))
    return main(["chat", *arguments])


def test_piped_lines_are_questions_and_only_answers_go_to_stdout(
    server: Server, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert chat(monkeypatch, "one\n\ntwo\n", "--base-url", server.base_url, "--api-key", "k") == 0

    out, err = capsys.readouterr()
    assert out == "Grüß Gott\nGrüß Gott\n"
    assert err.count("TTFT") == 2
    assert "7 tokens" in err
    assert server.keys == ["Bearer k"] * 2


def test_each_question_carries_the_conversation_until_a_reset(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    assert chat(monkeypatch, "one\ntwo\n/reset\nthree\n/quit\nfour\n", "--base-url", server.base_url) == 0

    asked = [[message["content"] for message in body["messages"]] for body in server.asked]
    assert asked == [["one"], ["one", "Grüß Gott", "two"], ["three"]]
    assert {body["model"] for body in server.asked} == {"first"}


def test_openai_variables_are_the_defaults(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_BASE_URL", server.base_url + "/")
    monkeypatch.setenv("OPENAI_API_KEY", "from-env")

    assert chat(monkeypatch, "one\n", "--model", "second") == 0
    assert (server.keys, server.asked[0]["model"]) == (["Bearer from-env"], "second")


def test_a_refusal_is_one_readable_line_and_a_failed_exit(
    server: Server, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    server.status = 429

    assert chat(monkeypatch, "one\n", "--base-url", server.base_url) == 1
    assert capsys.readouterr().err == "(error: 429: slow down (try again in 3 s))\n"


@pytest.mark.parametrize(
    ("last", "said"), [([], "broke off"), ([{"error": {"message": "the engine was lost"}}], "the engine was lost")]
)
def test_a_stream_without_its_end_is_an_error_but_what_was_read_stays_in_the_conversation(
    server: Server, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], last: list[Any], said: str
) -> None:
    server.events, server.done = [*STREAM[:2], *last], False

    assert chat(monkeypatch, "one\ntwo\n", "--base-url", server.base_url) == 1
    assert said in capsys.readouterr().err
    assert server.asked[1]["messages"][1] == {"role": "assistant", "content": "Grüß "}


def test_nobody_there_is_said_before_any_question(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert chat(monkeypatch, "one\n", "--base-url", "http://127.0.0.1:9/v1") == 1
    assert "http://127.0.0.1:9/v1 lists no models" in capsys.readouterr().err


def test_ctrl_c_stops_the_answer_and_not_the_program(
    server: Server, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def interrupted(endpoint: Any, messages: Any, on_text: Any) -> None:
        on_text("Grü")
        raise KeyboardInterrupt

    monkeypatch.setattr("serving.cli.chat_stream.ask", interrupted)

    assert chat(monkeypatch, "one\ntwo\n", "--base-url", server.base_url) == 0
    assert capsys.readouterr().err == "(stopped)\n(stopped)\n"
