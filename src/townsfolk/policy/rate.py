"""How often: one token bucket per villager. Pure: the time is an argument."""

from dataclasses import dataclass

BURST_S = 10.0
"""A villager that has rested may do at once what it may do in this time."""
MAX_VILLAGERS = 10_000


@dataclass
class _Bucket:
    tokens: float
    at: float


class RateLimit:
    """`per_minute` actions for each villager, `burst` of them at once."""

    def __init__(self, per_minute: int) -> None:
        self.per_minute = per_minute
        self.burst = max(1.0, per_minute * BURST_S / 60)
        self._buckets: dict[str, _Bucket] = {}

    def take(self, villager: str, now: float) -> float:
        """Take one token. Returns 0, or the seconds until there is one."""
        bucket = self._filled(villager, now)
        if bucket.tokens < 1:
            return (1 - bucket.tokens) * 60 / self.per_minute
        bucket.tokens -= 1
        return 0.0

    def _filled(self, villager: str, now: float) -> _Bucket:
        if villager not in self._buckets and len(self._buckets) >= MAX_VILLAGERS:
            self._forget_rested(now)
        bucket = self._buckets.setdefault(villager, _Bucket(self.burst, now))
        bucket.tokens, bucket.at = self._level(bucket, now), max(now, bucket.at)
        return bucket

    def _level(self, bucket: _Bucket, now: float) -> float:
        earned = max(0.0, now - bucket.at) * self.per_minute / 60
        return min(self.burst, bucket.tokens + earned)

    def _forget_rested(self, now: float) -> None:
        """A full bucket is as good as none."""
        rested = [key for key, bucket in self._buckets.items() if self._level(bucket, now) >= self.burst]
        for key in rested:
            del self._buckets[key]
