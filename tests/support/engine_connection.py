"""One connection of the scripted engine: reads requests, plays the script's bytes, notices who leaves and when."""

from __future__ import annotations

import asyncio
import socket
import struct
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from tests.support import vllm_wire
from tests.support.engine_framing import document, head, parsed, take_body
from tests.support.script import BEFORE_HEAD, Script
from tests.support.token_ids import Output, Refused, detokenized, generated

if TYPE_CHECKING:
    from tests.support.scripted_engine import ScriptedEngine

_RESET = struct.pack("ii", 1, 0)


@dataclass
class Seen:
    """A generation request as the engine saw it. Times are time.monotonic()."""

    path: str
    headers: dict[str, str]
    raw: bytes
    body: Any
    at: float
    connection: int
    events: list[bytes] = field(default_factory=list)
    bytes_sent: int = 0
    finished_at: float | None = None
    left_at: float | None = None
    released: asyncio.Event = field(default_factory=asyncio.Event)
    loop: asyncio.AbstractEventLoop | None = None

    def release(self) -> None:
        """End a hang."""
        assert self.loop is not None
        self.loop.call_soon_threadsafe(self.released.set)


class Died(Exception):
    """The script ended the connection."""


class EngineConnection(asyncio.Protocol):
    transport: asyncio.Transport

    def __init__(self, engine: ScriptedEngine) -> None:
        self.engine = engine
        self.buffer = b""
        self.served = 0
        self.number = 0
        self.current: Seen | None = None
        self.task: asyncio.Task[None] | None = None
        self.writable = asyncio.Event()
        self.writable.set()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport
        self.engine.connections += 1
        self.number = self.engine.connections
        self.engine.open.add(self)
        transport.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if self.engine.reset_on_accept > 0:
            self.engine.reset_on_accept -= 1
            self.reset()
        if self.engine.is_dead:
            # Accepted just before it died.
            self.reset()

    def connection_lost(self, exc: Exception | None) -> None:
        self.engine.open.discard(self)
        self._client_left()
        if self.task is not None:
            self.task.cancel()

    def eof_received(self) -> bool:
        self._client_left()
        return False

    def pause_writing(self) -> None:
        self.writable.clear()

    def resume_writing(self) -> None:
        self.writable.set()

    def data_received(self, data: bytes) -> None:
        self.buffer += data
        if self.current is None:
            self._take_request()

    def reset(self) -> None:
        self.transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
        self.transport.abort()

    def _client_left(self) -> None:
        seen = self.current
        if seen is not None and seen.finished_at is None and seen.left_at is None:
            seen.left_at = time.monotonic()

    def _take_request(self) -> None:
        asked, separator, rest = self.buffer.partition(b"\r\n\r\n")
        if not separator:
            return
        line, *fields = asked.decode("latin-1").split("\r\n")
        method, target, _ = line.split(" ")
        headers = {name.strip().lower(): value.strip() for name, _, value in (part.partition(":") for part in fields)}
        taken = take_body(headers, rest)
        if taken is None:
            return
        body, self.buffer = taken
        path = target.partition("?")[0]
        self.served += 1
        if method == "GET":
            self._answer_document(*self.engine.document(path))
        elif self.engine.drop_reused and self.served > 1:
            self.transport.close()
        else:
            self._answer_generation(Seen(path, headers, body, parsed(body), time.monotonic(), self.number))

    def _answer_document(self, status: int, content: bytes) -> None:
        self.transport.write(head(status, [b"content-length: %d" % len(content)]) + content)
        self._take_request()

    def _answer_generation(self, seen: Seen) -> None:
        seen.loop = asyncio.get_running_loop()
        self.current = seen
        script = self.engine.choose(seen)
        self.engine.seen.append(seen)
        self.task = seen.loop.create_task(self._play(seen, script))

    async def _play(self, seen: Seen, script: Script) -> None:
        try:
            await asyncio.sleep(script.head_delay)
            if script.at == BEFORE_HEAD:
                await self._fault(seen, script)
            if seen.path == "/detokenize":
                text = detokenized(script.tokens, seen.body["tokens"])
                await self._write(seen, document(200, vllm_wire.dump({"prompt": text}), script))
            elif seen.path not in vllm_wire.DOCUMENTS:
                await self._write(seen, document(404, b'{"detail":"Not Found"}', script))
            elif script.status != 200 or script.body is not None:
                await self._write(seen, document(script.status, script.body or b"", script))
            else:
                await self._generate(seen, script)
        except Died:
            return
        seen.finished_at = time.monotonic()
        self.current = None
        if script.close != "keep" or script.framing == "close":
            self.transport.close()
        else:
            self._take_request()

    async def _generate(self, seen: Seen, script: Script) -> None:
        try:
            whole = Output(script.tokens, script.finish, per_event=script.tokens_per_event)
            output = generated(seen.path, seen.body, whole)
        except Refused as refused:
            refusal = vllm_wire.error_body(400, str(refused), "BadRequestError", refused.param)
            await self._write(seen, document(400, refusal, script))
            return
        if _is_stream(seen):
            await self._stream(seen, script, output)
        else:
            await self._json(seen, script, output)

    async def _json(self, seen: Seen, script: Script, output: Output) -> None:
        await asyncio.sleep(script.first_delay)
        content = vllm_wire.DOCUMENTS[seen.path](self._answer(seen, script, output), seen.body)
        seen.events.append(content)
        whole = document(200, content, script)
        if script.fault is not None and script.at >= 0:
            half = len(whole) - len(content) // 2
            await self._write(seen, whole[:half])
            await self._fault(seen, script)
            whole = whole[half:]
        await self._write(seen, whole, script)

    async def _stream(self, seen: Seen, script: Script, output: Output) -> None:
        framing = [] if script.framing == "close" else [b"transfer-encoding: chunked"]
        extra = [b"x-vllm: 1", *(f"{name}: {value}".encode() for name, value in script.headers.items())]
        closing = [b"connection: close"] if script.close == "announced" else []
        kind = b"content-type: text/event-stream; charset=utf-8"
        await self._write(seen, head(200, [kind, *framing, *extra, *closing]))
        await self._chunk(seen, script.comment, script)
        await asyncio.sleep(script.first_delay)
        await self._events(seen, script, output)
        if script.framing == "chunked":
            await self._write(seen, b"0\r\n\r\n")

    async def _events(self, seen: Seen, script: Script, output: Output) -> None:
        pending = b""
        answer = self._answer(seen, script, output)
        for position, event in enumerate(vllm_wire.STREAMS[seen.path](answer, seen.body)):
            if script.fault is not None and position == script.at:
                await self._chunk(seen, pending, script)
                pending = b""
                if await self._fault(seen, script):
                    return
            if script.fault == "no_done" and event == vllm_wire.DONE:
                break
            seen.events.append(event.replace(b"\n", b"\r\n") if script.crlf else event)
            pending += seen.events[-1]
            if (position + 1) % script.events_per_write == 0:
                await self._chunk(seen, pending, script)
                pending = b""
                if script.gap:
                    await asyncio.sleep(script.gap)
        await self._chunk(seen, pending, script)

    async def _fault(self, seen: Seen, script: Script) -> bool:
        """Strike. True: the stream ends here, cleanly framed; False: it goes on."""
        await self._chunk(seen, script.tail, script)
        if script.fault == "rst":
            await asyncio.sleep(0.02)  # an RST throws away what its receiver has not read yet
            self.reset()
            raise Died
        if script.fault == "kill":
            self.engine.die()
            raise Died
        if script.fault == "fin":
            self.transport.close()
            raise Died
        if script.fault == "hang":
            await seen.released.wait()
            return False
        if script.fault in ("no_done", "clean_end"):
            return script.fault == "clean_end"
        last = [vllm_wire.error_event()] if script.fault == "error_event" else []
        for event in [*last, vllm_wire.DONE]:
            seen.events.append(event)
            await self._chunk(seen, event, script)
        return True

    async def _chunk(self, seen: Seen, content: bytes, script: Script) -> None:
        size = script.bytes_per_chunk or len(content) or 1
        for start in range(0, len(content), size):
            piece = content[start : start + size]
            framed = piece if script.framing == "close" else b"%x\r\n%s\r\n" % (len(piece), piece)
            await self._write(seen, framed, script)

    async def _write(self, seen: Seen, content: bytes, script: Script | None = None) -> None:
        """At once, or as the script cuts it; waits while the kernel takes no more."""
        size = (script and script.bytes_per_write) or len(content) or 1
        for start in range(0, len(content), size):
            await self.writable.wait()
            part = content[start : start + size]
            self.transport.write(part)
            seen.bytes_sent += len(part)
            if script and script.bytes_per_write:
                await asyncio.sleep(script.write_gap)

    def _answer(self, seen: Seen, script: Script, output: Output) -> vllm_wire.Answer:
        name = f"chatcmpl-{len(self.engine.seen)}"
        ids = self.engine.gives_token_ids and isinstance(seen.body, dict) and seen.body.get("return_token_ids") is True
        told = {"usage": script.usage, "start": output.start, "ids": ids, "per_event": output.per_event}
        return vllm_wire.Answer(name, self.engine.model, output.tokens, output.finish, **told)


def _is_stream(seen: Seen) -> bool:
    return isinstance(seen.body, dict) and seen.body.get("stream") is True and seen.path in vllm_wire.STREAMS
