"""What a worker's probes are made of, from the plan: schedule, clients, conversations; it sends nothing by itself."""

from __future__ import annotations

from collections.abc import Sequence

from loadtest.client.client import Client
from loadtest.client.conversation import Conversation
from loadtest.client.faults import ClientError
from loadtest.client.prompts import Messages, Prompts, TokenScale, read_prompts
from loadtest.plan import Plan
from loadtest.probe import Probe
from loadtest.traffic.schedule import schedule, share
from loadtest.traffic.session import Session


class PlannedSupply:
    """One per worker process, for one probe at a time; its clients and their connections serve all."""

    def __init__(self, plan: Plan) -> None:
        """Raises `ClientError` for prompts that cannot be read."""
        self._plan = plan
        self._clients: dict[int, Client] = {}
        self._listed: Sequence[Messages] = read_prompts(plan.workload.prompts) if plan.workload.prompts else ()
        self._prompts = Prompts("", TokenScale(), self._listed)

    def sessions(self, probe: Probe) -> Sequence[Session]:
        """Those of the probe's share. OSError, ValueError: there is no such schedule."""
        # Made now, not by the first turn: it takes a few milliseconds.
        self._prompts = Prompts(f"{probe.run}/{probe.number}", probe.token_scale, self._listed)
        whole = schedule(self._plan.workload, self._plan.arrivals, probe.rate, probe.seconds, probe.seed)
        return share(whole, probe.share, probe.shares)

    def client(self, target: int) -> Client:
        """The one of this process for one of the plan's targets. ValueError: there is none, and why."""
        if target not in self._clients:
            self._clients[target] = self._made(target)
        return self._clients[target]

    def conversation(self, probe: Probe, session: Session) -> Conversation:
        """A new one, of the probe whose sessions were asked for last; no server has met its prompts or its id."""
        session_id = f"{probe.run}-{probe.number}-{session.index}"
        return Conversation(session, self._prompts, self._plan.workload.history, session_id)

    def _made(self, number: int) -> Client:
        target = self._plan.targets[number]
        key = target.api_key.get_secret_value()
        try:
            model = target.model or _first_model(Client(target.base_url, key, ""))
            return Client(target.base_url, key, model)
        except ClientError as error:
            raise ValueError(str(error)) from error


def _first_model(client: Client) -> str:
    try:
        models = client.models()
    finally:
        client.close()
    if not models:
        raise ClientError("the server lists no model: give the target one")
    return str(models[0]["id"])
