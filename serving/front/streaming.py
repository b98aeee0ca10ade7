"""Step 8 for a stream: relayed from one engine, and from another one where that breaks, as one stream to its client.

A stream of plain text goes on where it broke, see continuation/rules.py; any other ends with an error event. Retries
are not charged for it: engines that die take hundreds of streams with them at once, and each of them was accepted. A
stream that breaks again before it got on is suspected of breaking engines, and ends.
"""

from __future__ import annotations

from serving.errors import RequestError
from serving.front.attempt import POISON_QUOTA, Started
from serving.front.continuation.story import Story
from serving.front.entry import Entry
from serving.front.relay import Client, Stream
from serving.front.route import Endpoint
from serving.front.start import start
from serving.front.steps import Admitted, Steps
from serving.metrics import Continuation

# An engine that gave this many tokens was not broken by what it was asked: what breaks engines breaks the next one
# where it broke the last one.
_CONVINCING_TOKENS = 4


async def relay(steps: Steps, entry: Entry, admitted: Admitted, client: Client, started: Started) -> None:
    """Until the stream has ended, whichever way. It ends `started`."""
    stream = Stream(admitted.request, client, steps.clock)
    entry.outcome = stream.outcome
    going: Started | None = started
    while going is not None:
        with going:
            stream.attach(going)
            await stream.done
            if stream.broken_by is not None:
                going.reply.abort()
        if stream.broken_by is None:
            return
        steps.fleet.broke(going.endpoint)
        entry.attempt_outcomes.append((going.endpoint.id, "broken"))
        if stream.conclude():
            return
        going = await _go_on(steps, entry, admitted, stream, going.endpoint)


async def _go_on(steps: Steps, entry: Entry, admitted: Admitted, stream: Stream, broken: Endpoint) -> Started | None:
    """The attempt that continues a broken stream; None when there is none, and the stream has ended."""
    story = stream.story
    got_on = story is not None and story.got_on_by() >= _CONVINCING_TOKENS
    entry.broken = 0 if got_on else entry.broken + 1
    started = None
    if story is None or not story.may_go_on:
        verdict = Continuation.UNSAFE
    elif entry.broken >= POISON_QUOTA:
        verdict = Continuation.POISON
    else:
        started, verdict = await _ask_for_rest(steps, entry, admitted, story, broken)
    entry.continuations += (verdict,)
    if started is None:
        stream.fail()
    elif entry.offer is not None:
        entry.offer.begun()
    return started


async def _ask_for_rest(
    steps: Steps, entry: Entry, admitted: Admitted, story: Story, broken: Endpoint
) -> tuple[Started | None, Continuation]:
    try:
        while (doubt := story.doubt()) is not None:
            with await start(steps, entry, admitted._replace(request=doubt), broken) as asked:
                story.settle(asked.reply.body)
        rest = story.rest(steps.fleet.context_length(admitted.request.model))
        if rest is None:
            return None, Continuation.UNSAFE
        started = await start(steps, entry, admitted._replace(request=rest), broken)
    except RequestError:
        return None, Continuation.FAILED
    if not started.gives_ids:
        # Another kind of server, whose token ids may mean other words.
        started.give_up()
        return None, Continuation.FAILED
    return started, Continuation.CONTINUED
