"""The text of prompts: its length by the server's tokens, what repeats and what does not, and files of prompts."""

from __future__ import annotations

import json
import time
from itertools import pairwise
from pathlib import Path

import pytest

from loadtest.client.calibrate import measure_scale
from loadtest.client.client import Client
from loadtest.client.faults import ClientError
from loadtest.client.prompts import Prompts, TokenScale, read_prompts
from tests.support.load_server import LoadServer, Step, document, usage

SCALE = TokenScale(characters_per_token=4.5, message_tokens=6)


def text(prompts: Prompts, session: int, turn: int, tokens: int) -> str:
    (message,) = prompts.messages(session, turn, tokens)
    assert message["role"] == "user"
    content: str = message["content"]
    return content


def counted(prompt_tokens: int) -> list[Step]:
    return [document(200, json.dumps({"choices": [], "usage": usage(1, prompt_tokens)}).encode())]


def test_the_same_seed_says_the_same_in_another_process_of_the_run() -> None:
    first, second = Prompts("seed-1", SCALE), Prompts("seed-1", SCALE)
    assert text(first, 3, 1, 500) == text(second, 3, 1, 500)
    assert first.prefix(0, 2, 300) == second.prefix(0, 2, 300)


def test_no_two_messages_share_their_beginning() -> None:
    """A prefix cache works in blocks of 16 tokens: what differs within the first shares nothing."""
    made = [Prompts(salt, SCALE) for salt in ("probe-1", "probe-2")]
    begins = sorted(
        text(prompts, session, turn, 40)[:12] for prompts in made for session in range(300) for turn in range(3)
    )
    assert len(begins) == 1800
    assert all(sooner != later for sooner, later in pairwise(begins))


def test_prefixes_are_shared_by_all_probes_and_differ_by_class_and_number() -> None:
    first, second = Prompts("probe-1", SCALE), Prompts("probe-2", SCALE)
    prefixes = {first.prefix(kind, number, 200) for kind in range(2) for number in range(5)}
    assert len(prefixes) == 10
    assert prefixes == {second.prefix(kind, number, 200) for kind in range(2) for number in range(5)}


@pytest.mark.parametrize("tokens", [1, 2, 7, 30, 757, 20_000])
def test_a_message_is_as_long_as_its_tokens_make_it(tokens: int) -> None:
    found = text(Prompts("s", SCALE), 0, 0, tokens)
    wanted = (tokens - SCALE.message_tokens) * SCALE.characters_per_token
    assert len(found) >= 1
    assert abs(len(found) - max(1, wanted)) <= 2
    assert found == found.strip()


def test_the_scale_of_a_server_is_found_from_its_usage() -> None:
    """A server whose template adds 11 tokens and whose tokens are five characters long."""
    with LoadServer(counted(11 + 400 // 5), counted(11 + 3200 // 5)) as server:
        scale = measure_scale(Client(server.url, "", "tiny"), time.perf_counter)
    assert scale.characters_per_token == pytest.approx(5, rel=0.01)
    assert scale.message_tokens == pytest.approx(11, abs=1)
    bodies = [body for _, body in server.requests]
    assert [body["max_tokens"] for body in bodies] == [1, 1]
    assert [len(body["messages"][0]["content"]) for body in bodies] == [400, 3200]


def test_a_server_without_usage_has_four_characters_per_token() -> None:
    with LoadServer([document(200, b'{"choices":[{"message":{"content":"a"}}]}')]) as server:
        assert measure_scale(Client(server.url, "", "tiny"), time.perf_counter) == TokenScale(4.0, 0.0)


def test_a_server_that_refuses_is_an_error_with_a_hint() -> None:
    with LoadServer([document(404, b"")]) as server, pytest.raises(ClientError, match=r"http_404.*'tiny'"):
        measure_scale(Client(server.url, "", "tiny"), time.perf_counter)


def test_a_file_is_asked_line_by_line_and_begins_again(tmp_path: Path) -> None:
    system = {"role": "system", "content": "Be short."}
    path = tmp_path / "prompts.jsonl"
    path.write_text(
        '{"prompt":"one"}\n\n{"messages":[{"role":"system","content":"Be short."},{"role":"user","content":"two"}]}'
    )
    prompts = Prompts("s", SCALE, read_prompts(path))
    one, two = {"role": "user", "content": "one"}, {"role": "user", "content": "two"}
    assert [prompts.messages(session, 0, 99) for session in range(3)] == [[one], [system, two], [one]]
    assert prompts.messages(0, 1, 99) == [two], "a later turn adds the user's message alone"


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("oops", "prompt"),
        ("[]", "prompt"),
        ('{"text":"a"}', "prompt"),
        ('{"prompt":"a","messages":[]}', "prompt"),
        ('{"prompt":""}', "empty"),
        ('{"prompt":3}', "text"),
        ('{"messages":[]}', "empty"),
        ('{"messages":[{"role":"user"}]}', "content"),
        ('{"messages":[{"role":"assistant","content":"a"}]}', "user's"),
    ],
)
def test_a_bad_line_is_named(tmp_path: Path, line: str, said: str) -> None:
    path = tmp_path / "prompts.jsonl"
    path.write_text(f'{{"prompt":"good"}}\n{line}\n')
    with pytest.raises(ClientError, match=rf"prompts\.jsonl:2: .*{said}"):
        read_prompts(path)


def test_a_file_without_prompts_or_no_file_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "empty.jsonl").write_text("\n")
    with pytest.raises(ClientError, match="holds none"):
        read_prompts(tmp_path / "empty.jsonl")
    with pytest.raises(ClientError, match="No such file"):
        read_prompts(tmp_path / "none.jsonl")
