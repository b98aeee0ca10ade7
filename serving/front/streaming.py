"""Step 8 for a stream: relayed from one engine, and from another one where that breaks, as one stream to its client.

A stream of plain text goes on where it broke, see continuation/rules.py; any other ends with an error event. Retries
are not charged for it: engines that die take hundreds of streams with them at once, and each of them was accepted. A
stream that breaks again before it got on is suspected of breaking engines, and ends.
"""

from __future__ import annotations

from serving.errors import RequestError
from serving.front.attempt import POISON_QUOTA, Started
from serving.front.entry import Entry
from serving.front.relay import Client, Stream
from serving.front.route import Endpoint
from serving.front.start import start
from serving.front.steps import Admitted, Steps

# An engine that gave this many tokens since the last break was not broken by what was asked of it then.
_CONVINCING_TOKENS = 16


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
        if stream.conclude():
            return
        going = await _go_on(steps, entry, admitted, stream, going.endpoint)


async def _go_on(steps: Steps, entry: Entry, admitted: Admitted, stream: Stream, broken: Endpoint) -> Started | None:
    """The attempt that continues a broken stream; None when there is none, and the stream has ended."""
    request = admitted.request
    story = stream.story
    got_on = story is not None and story.got_on_by() >= _CONVINCING_TOKENS
    entry.broken = 1 if got_on else entry.broken + 1
    rest = story.rest(steps.fleet.context_length(request.model)) if story is not None else None
    if rest is None or entry.broken >= POISON_QUOTA:
        entry.continuations += ("unsafe" if rest is None else "poison",)
        stream.fail()
        return None
    try:
        started = await start(steps, entry, admitted._replace(request=rest), broken)
    except RequestError:
        started = None
    if started is not None and not started.gives_ids:
        # Another kind of server, whose token ids may mean other words.
        started.give_up()
        started = None
    if entry.offer is not None:
        entry.offer.begun()
    entry.continuations += ("failed" if started is None else "continued",)
    if started is None:
        stream.fail()
    return started
