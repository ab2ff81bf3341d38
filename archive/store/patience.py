"""How often and how long a failed request is repeated."""

from __future__ import annotations

import random
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from archive.store.backend import Transient

__all__ = ["Limits", "Patience"]

_FIRST_PAUSE = 0.1
_LONGEST_PAUSE = 8.0
# What hardly ever passes (a name that does not resolve) is tried so often all the same.
_HOPELESS_RETRIES = 2
# Bytes a second that the first try of a PUT is expected to make; each later one a quarter of it.
_SLOWEST_PUT = 512 * 1024
_GIVEN_UP_PUT = 32 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """When a store is given up.

    Parameters
    ----------
    max_retries
        Repeats of one request.
    retry_seconds
        No repeat starts later than this after the first failure.
    stall_seconds
        Time without a byte of progress after which a connection counts as dead.
    """

    max_retries: int = 8
    retry_seconds: float = 60.0
    stall_seconds: float = 25.0

    def seconds_for_put(self, size: int, retry: int) -> float:
        """Return how long a PUT of `size` bytes may take.

        A PUT shows no progress before its answer, so its limit grows with its size, and with each
        repeat, so that a slow line costs a repeat rather than the write.
        """
        rate = max(_SLOWEST_PUT >> (2 * retry), _GIVEN_UP_PUT)
        return self.stall_seconds + size / rate


@dataclass(slots=True)
class Patience:
    """What is left of the limits for one request."""

    limits: Limits
    retries: int = 0
    until: float | None = field(default=None)

    def pause(self, failure: Transient) -> float | None:
        """Return the seconds to wait before the next try, or `None` to give up.

        The pauses grow exponentially and are drawn at random ("full jitter"), so that a thousand
        workers that were turned away together do not come back together.

        References
        ----------
        M. Brooker, "Exponential Backoff And Jitter", AWS Architecture Blog, 2015.
        """
        now = time.monotonic()
        if self.until is None:
            self.until = now + self.limits.retry_seconds
        allowed = self.limits.max_retries
        if failure.hopeless:
            allowed = min(allowed, _HOPELESS_RETRIES)
        if self.retries >= allowed or now >= self.until:
            return None
        longest = min(_FIRST_PAUSE * 2**self.retries, _LONGEST_PAUSE)
        self.retries += 1
        return min(random.uniform(longest / 4, longest), self.until - now)  # noqa: S311 -- jitter, not a secret
