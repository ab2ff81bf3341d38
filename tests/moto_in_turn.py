"""moto's server, with objects put one after the other: `python moto_in_turn.py -p PORT`.

moto 5.2 looks at If-Match and If-None-Match and then writes, without a lock between its threads:
two writers at once can both be told that they were first.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from functools import wraps
from threading import Lock

from moto.s3.responses import S3Response
from moto.server import main


def in_turn[**P, T](method: Callable[P, T]) -> Callable[P, T]:
    """Return the method for one thread at a time."""
    turn = Lock()

    @wraps(method)
    def alone(*args: P.args, **kwargs: P.kwargs) -> T:
        with turn:
            return method(*args, **kwargs)

    return alone


if __name__ == "__main__":
    S3Response.put_object = in_turn(S3Response.put_object)  # type: ignore[method-assign]
    main(sys.argv[1:])
