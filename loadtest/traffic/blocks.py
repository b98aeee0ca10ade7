"""Which requests of a trace continue a conversation or share a prefix, told by their block hashes alone.

A hash stands for its block and all before it, as in Mooncake's traces: equal hashes are equal beginnings.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

BLOCK_TOKENS = 512
_CONVERSATION_SUCCESSORS = 2


def grouped(
    blocks: Sequence[Sequence[int]], input_tokens: Sequence[int], output_tokens: Sequence[int]
) -> tuple[list[int], list[int], list[int]]:
    """Per request, in order of arrival: its session, the prefix that it shares (-1: none) and that prefix's tokens.

    A request continues the one whose last full block it holds, if it is longer than that one and its answer. A block
    that more than two different ones follow is a prefix of many conversations, and continues none.
    """
    shared = _followed_by_many(blocks)
    context = [asked + answered for asked, answered in zip(input_tokens, output_tokens, strict=True)]
    last_of: dict[int, int] = {}
    sessions: list[int] = []
    prefixes: list[int] = []
    prefix_tokens: list[int] = []
    names: dict[int, int] = {}
    for request, held in enumerate(blocks):
        full = held[: input_tokens[request] // BLOCK_TOKENS]
        depth = next((depth for depth in range(len(full), 0, -1) if full[depth - 1] in shared), 0)
        # A prompt of whole blocks alone keeps a token of its own.
        prefix_tokens.append(min(depth * BLOCK_TOKENS, input_tokens[request] - 1))
        prefixes.append(names.setdefault(full[depth - 1], len(names)) if depth else -1)
        end = next((block for block in reversed(full[depth:]) if block in last_of), None)
        if end is not None and input_tokens[request] > context[last_of[end]]:
            sessions.append(sessions[last_of.pop(end)])
        else:
            sessions.append(request)
        if len(full) > depth:
            last_of[full[-1]] = request
    return sessions, prefixes, prefix_tokens


def _followed_by_many(blocks: Sequence[Sequence[int]]) -> set[int]:
    """The hashes after which the requests go more than two different ways."""
    followers: dict[int, set[int]] = {}
    for held in blocks:
        for block, follower in pairwise(held):
            followers.setdefault(block, set()).add(follower)
    return {block for block, after in followers.items() if len(after) > _CONVERSATION_SUCCESSORS}
