"""Who may reach whom by a release's NetworkPolicies; it knows peers by labels and ports by number."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from tests.support.helm import Obj, Rendered


@dataclass(frozen=True)
class Peer:
    """A pod, in the release's namespace or in another one; `labels` None is an address outside the cluster."""

    labels: Mapping[str, str] | None
    namespace: str = "prod"


OUTSIDE = Peer(None, "")


@dataclass(frozen=True)
class Network:
    """The policies of one release in the namespace `prod`."""

    policies: list[Obj] = field(default_factory=list)

    @classmethod
    def of(cls, rendered: Rendered) -> Network:
        return cls(rendered.of("NetworkPolicy"))

    def allows(self, source: Peer, target: Peer, port: int) -> bool:
        """TCP, both ends' rules taken together."""
        return self._passes(source, "Egress", "to", target, port) and self._passes(
            target, "Ingress", "from", source, port
        )

    def covers(self, pod: Peer, direction: str) -> bool:
        """Whether what no rule allows is denied."""
        return bool(self._about(pod, direction))

    def _about(self, pod: Peer, direction: str) -> list[Obj]:
        if pod.labels is None or pod.namespace != "prod":
            return []
        return [
            policy["spec"]
            for policy in self.policies
            if direction in policy["spec"]["policyTypes"] and _selects(policy["spec"]["podSelector"], pod.labels)
        ]

    def _passes(self, pod: Peer, direction: str, end: str, other: Peer, port: int) -> bool:
        about = self._about(pod, direction)
        rules = [rule for spec in about for rule in spec.get(direction.lower()) or ()]
        return not about or any(_rule_allows(rule, end, other, port) for rule in rules)


def _rule_allows(rule: Obj, end: str, other: Peer, port: int) -> bool:
    ports, peers = rule.get("ports"), rule.get(end)
    if ports and not any(one["port"] == port and one["protocol"] == "TCP" for one in ports):
        return False
    return not peers or any(_is_peer(peer, other) for peer in peers)


def _is_peer(peer: Obj, other: Peer) -> bool:
    assert peer.keys() <= {"podSelector", "namespaceSelector"}, peer
    if other.labels is None:
        return False
    if "namespaceSelector" in peer:
        named = {"kubernetes.io/metadata.name": other.namespace}
        return _selects(peer["namespaceSelector"], named) and _selects(peer.get("podSelector") or {}, other.labels)
    return other.namespace == "prod" and _selects(peer["podSelector"], other.labels)


def _selects(selector: Obj, labels: Mapping[str, str]) -> bool:
    assert selector.keys() <= {"matchLabels"}, selector
    return (selector.get("matchLabels") or {}).items() <= labels.items()
