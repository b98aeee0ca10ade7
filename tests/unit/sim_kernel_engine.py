"""One replica, slow and plain: each step by itself, each figure counted afresh. It shares no code with the kernel."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

from autoscale.engine_profile import EngineProfile


@dataclass(eq=False)
class Job:
    """A request."""

    number: int
    at: float
    prompt: int
    output: int
    group: int
    prefix: int
    emitted: int = 0
    left: int = 0
    prefilling: bool = False
    hit: int = 0
    """Blocks that it runs on and the cache holds."""
    kv_tokens: int = 0
    """In the KV cache, those of the step under way included."""
    first: float = math.nan
    last: float = math.nan
    rejected: bool = False
    held_since: float = 0.0

    @property
    def context(self) -> int:
        return self.prompt + self.emitted


@dataclass(eq=False)
class Cached:
    """What the prefix cache holds of a group."""

    group: int
    blocks: int
    users: list[Job] = field(default_factory=list)


@dataclass(eq=False)
class Engine:
    """A replica; `end` is that of its step under way."""

    profile: EngineProfile
    running: list[Job] = field(default_factory=list)
    waiting: list[Job] = field(default_factory=list)
    cache: list[Cached] = field(default_factory=list)
    """Least recently used first."""
    chunks: dict[Job, int] = field(default_factory=dict)
    end: float = math.inf
    draining: bool = False

    @property
    def total(self) -> int:
        return self.profile.kv_cache_tokens // self.profile.block_tokens

    @property
    def in_flight(self) -> int:
        return len(self.running) + len(self.waiting)

    def blocks(self, tokens: int) -> int:
        return math.ceil(tokens / self.profile.block_tokens)

    def used(self) -> int:
        own = sum(self.blocks(job.kv_tokens) - job.hit for job in self.running)
        return own + sum(entry.blocks for entry in self.cache if entry.users)

    def idle(self) -> int:
        return sum(entry.blocks for entry in self.cache if not entry.users)

    def entry(self, group: int) -> Cached | None:
        return next((entry for entry in self.cache if entry.group == group >= 0), None)

    def backlog(self) -> int:
        return sum(job.left for job in self.running) + sum(job.context for job in self.waiting)

    def hit_blocks(self, job: Job) -> int:
        entry = self.entry(job.group)
        usable = min(job.prefix, job.prompt - 1) // self.profile.block_tokens
        if entry is None or (entry.users and usable < entry.blocks):
            return 0
        return min(entry.blocks, usable)

    def offer(self, job: Job, now: float) -> None:
        self.waiting.append(job)
        if self.end == math.inf:
            self.begin(now)

    def begin(self, now: float) -> None:
        preempted = False
        for job in self.running:
            job.kv_tokens = job.context
        while self.used() > self.total:
            self.waiting.insert(0, self.leave(self.running[-1]))
            preempted = True
        self.evict()
        budget = self.profile.max_batched_tokens - sum(not job.prefilling for job in self.running)
        while not preempted and self.waiting and len(self.running) < self.profile.max_num_seqs:
            if sum(job.left for job in self.running) >= budget or not self.admitted(self.waiting[0]):
                break
        self.chunks = {}
        for job in self.running:
            if job.prefilling:
                self.chunks[job] = min(job.left, budget - sum(self.chunks.values()))
        decoding = [job for job in self.running if not job.prefilling]
        profile = self.profile
        seconds = profile.base_seconds + profile.prefill_seconds * sum(self.chunks.values())
        for job, chunk in self.chunks.items():
            before = job.context - job.left
            seconds += profile.attention_seconds * sum(before + place + 0.5 for place in range(chunk))
        seconds += profile.sequence_seconds * len(decoding)
        seconds += profile.context_seconds * sum(job.context for job in decoding)
        self.end = now + seconds if self.running else math.inf

    def admitted(self, job: Job) -> bool:
        entry, hit = self.entry(job.group), self.hit_blocks(job)
        own = self.blocks(job.context) - hit
        shared = hit if entry and not entry.users else 0
        if self.used() + own + shared > self.total:
            return False
        self.running.append(self.waiting.pop(0))
        job.kv_tokens = job.context
        job.hit, job.left, job.prefilling = hit, job.context - hit * self.profile.block_tokens, True
        if hit and entry:
            if not entry.users:
                entry.blocks = hit
            entry.users.append(job)
        self.evict()
        return True

    def evict(self) -> None:
        while self.used() + self.idle() > self.total:
            self.cache.remove(next(entry for entry in self.cache if not entry.users))

    def step(self) -> list[Job]:
        """Ends the step; those that are done. The next one is not begun."""
        now, ended = self.end, []
        for job in list(self.running):
            if job.prefilling:
                job.left -= self.chunks[job]
                if job.left:
                    continue
                job.prefilling = False
            job.emitted += 1
            if math.isnan(job.first):
                job.first = now + self.profile.request_seconds
            if job.emitted == job.output:
                job.last = now + self.profile.request_seconds
                ended.append(job)
        for job in sorted(ended, key=lambda one: (one in self.chunks, self.order(one))):
            self.keep(self.leave(job))
        return ended

    def order(self, job: Job) -> int:
        """Those of one step leave by number, that is by arrival; newly prefilled ones in the order of the queue."""
        return self.running.index(job) if job in self.chunks else job.number

    def leave(self, job: Job) -> Job:
        self.running.remove(job)
        for entry in list(self.cache):
            if job in entry.users:
                entry.users.remove(job)
                if not entry.users:
                    self.cache.remove(entry)
                    self.cache.append(entry)
        job.hit, job.left, job.prefilling = 0, 0, False
        return job

    def keep(self, job: Job) -> None:
        blocks = (job.prompt + job.output - 1) // self.profile.block_tokens
        if job.group < 0 or not blocks:
            return
        entry = self.entry(job.group)
        if entry is None:
            self.cache.append(Cached(job.group, blocks))
        elif not entry.users:
            entry.blocks = max(entry.blocks, blocks)
            self.cache.remove(entry)
            self.cache.append(entry)
        self.evict()
