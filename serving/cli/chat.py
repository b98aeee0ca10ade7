"""`tidegate chat`: a conversation in the terminal with any OpenAI-compatible server; the wire is `chat_stream`'s."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from serving.cli.options import Subparsers

if TYPE_CHECKING:
    from serving.cli.chat_stream import Endpoint

_PROMPT = "you> "
_HELP = "/reset forgets the conversation, /quit ends (so does Ctrl-D), Ctrl-C stops an answer"


def add(subparsers: Subparsers) -> None:
    parser = subparsers.add_parser(
        "chat",
        help="chat in the terminal with any OpenAI-compatible server",
        description=f"Chat in the terminal. {_HELP}. From a pipe, each line is one question.",
    )
    parser.add_argument(
        "--base-url",
        metavar="URL",
        help="with /v1 where the server wants it (default: $OPENAI_BASE_URL, else a running `tidegate up`)",
    )
    parser.add_argument("--api-key", metavar="KEY", help="default: $OPENAI_API_KEY, else that of the running `up`")
    parser.add_argument("--model", help="default: the first model that the server lists")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    from serving.cli.chat_stream import ChatFailed

    try:
        endpoint = _endpoint(args, os.environ)
    except ChatFailed as error:
        print(f"tidegate: error: {error}", file=sys.stderr)
        return 1
    interactive = sys.stdin.isatty()
    if interactive:
        # Line editing and history for input(), where this Python has them.
        import readline  # noqa: F401

        print(f"{endpoint.model} at {endpoint.base_url}. {_HELP}.", file=sys.stderr)
    return Conversation(endpoint).hold(_typed_line if interactive else _piped_line)


class Conversation:
    """The messages so far; each question is asked with all of them."""

    def __init__(self, endpoint: Endpoint) -> None:
        self._endpoint = endpoint
        self._messages: list[dict[str, str]] = []

    def hold(self, next_line: Callable[[], str | None]) -> int:
        """Answer lines until there are no more; 1 if a question was left without its answer."""
        status = 0
        while (line := next_line()) is not None:
            question = line.strip()
            if question in ("/quit", "/exit"):
                break
            if question == "/reset":
                self._messages.clear()
                print("(forgotten)", file=sys.stderr)
            elif question and not self._answer(question):
                status = 1
        return status

    def _answer(self, question: str) -> bool:
        from serving.cli.chat_stream import ChatFailed, ask

        pieces: list[str] = []

        def show(text: str) -> None:
            pieces.append(text)
            print(text, end="", flush=True)

        messages = [*self._messages, {"role": "user", "content": question}]
        failure = None
        try:
            outcome = ask(self._endpoint, messages, show).line()
        except ChatFailed as error:
            failure = outcome = f"error: {error}"
        except KeyboardInterrupt:
            outcome = "stopped"
        print()
        print(f"({outcome})", file=sys.stderr)
        if pieces:
            # Also a stopped or broken answer was read, so it belongs to what the next question is about.
            self._messages = [*messages, {"role": "assistant", "content": "".join(pieces)}]
        return failure is None


def _endpoint(args: argparse.Namespace, environ: Mapping[str, str]) -> Endpoint:
    """From the flags, else OpenAI's variables, else a running `tidegate up` on this machine."""
    from serving.cli.chat_stream import ChatFailed, Endpoint
    from serving.cli.probe import first_model
    from serving.cli.state import running

    given = args.base_url or environ.get("OPENAI_BASE_URL")
    here = None if given else running(environ)
    base_url = given or (here.base_url if here else "http://127.0.0.1:8000/v1")
    key = args.api_key or (here.api_key if here else None) or environ.get("OPENAI_API_KEY")
    model = args.model or first_model(base_url, key)
    if not model:
        raise ChatFailed(f"{base_url} lists no models; is it the base URL, and is the key right? --model skips this")
    return Endpoint(base_url.rstrip("/"), key, model)


def _typed_line() -> str | None:
    while True:
        try:
            return input(_PROMPT)
        except EOFError:
            print(file=sys.stderr)
            return None
        except KeyboardInterrupt:
            print(f"\n({_HELP})", file=sys.stderr)


def _piped_line() -> str | None:
    return sys.stdin.readline() or None
