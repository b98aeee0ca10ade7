"""How an exchange can fail on the wire, as one exception with the word for its record; it knows no socket."""

from __future__ import annotations

from loadtest.slo import Fault


class WireFault(Exception):
    """A request that did not get its answer. It never leaves the client: `Client.ask` gives it as a value.

    fault `ERROR`: connect, connect_timeout, tls, closed, reset, broke_off, bad_http · fault `TIMEOUT`: first, end
    """

    def __init__(self, detail: str, fault: Fault = Fault.ERROR) -> None:
        super().__init__(detail)
        self.detail, self.fault = detail, fault


class ClientError(Exception):
    """What a person has to mend before a run can begin; the text says what."""
