"""What a run's streams show: tokens per second while all decode, however the server bundles them into events."""

from __future__ import annotations

import pytest

from autoscale.profile.client import EngineClient
from autoscale.profile.marks import ApartError, Mark, ProfileError, decoded
from autoscale.profile.runs import Kind, Run

RUN = Run(Kind.DECODE, 2, 16, 64)


def stream(begin: float, gap: float, bundle: int = 1) -> list[Mark]:
    """64 tokens, the first at once; the others come `bundle` at a time."""
    return [Mark(begin + gap * tokens, tokens + 1) for tokens in (0, *range(bundle, 63, bundle), 63)]


@pytest.mark.parametrize("bundle", [1, 3, 9])
def test_bundled_events_are_no_slower_than_single_ones(bundle: int) -> None:
    point = decoded(RUN, [stream(1.0, 0.01), stream(1.0, 0.01, bundle)])

    assert point.seconds == pytest.approx(0.01)
    assert point.context_tokens == pytest.approx(2 * (16 + 32.5))


def test_what_a_stream_does_alone_does_not_count() -> None:
    alone = [Mark(0.002 * tokens, tokens + 1) for tokens in range(20)]
    together = [Mark(0.038 + 0.02 * tokens, 20 + tokens) for tokens in range(1, 45)]

    assert decoded(RUN, [alone + together, stream(0.039, 0.02)]).seconds == pytest.approx(0.02, rel=0.01)


def test_a_stream_that_comes_in_one_burst_tells_nothing() -> None:
    point = decoded(RUN, [stream(1.0, 0.01), stream(1.6, 0.0001)])

    assert point.seconds == pytest.approx(0.01)
    assert point.context_tokens == pytest.approx(2 * (16 + 32.5))


def test_streams_that_hardly_overlap_are_refused() -> None:
    with pytest.raises(ApartError, match="2 streams did not decode together"):
        decoded(RUN, [stream(0.0, 0.01), stream(0.6, 0.01)])


@pytest.mark.parametrize("count", [1, 2])
def test_tokens_that_all_come_at_once_are_refused(count: int) -> None:
    with pytest.raises(ApartError, match="came in bursts"):
        decoded(RUN, [stream(1.0, 0.00002)] * count)


@pytest.mark.parametrize("url", ["127.0.0.1:30000", "", "http://"])
def test_what_is_no_url_is_said_to_be_none(url: str) -> None:
    with pytest.raises(ProfileError, match=r"--url: .* must begin with http:// or https://"):
        EngineClient(url, None, 1)
