"""A Dask cluster as an executor: one that runs already, or one of this machine's."""

from __future__ import annotations

import logging
import os
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from archive.errors import InvalidInput, MissingExtra, StoreTrouble
from archive.store.options import normalised, public

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from concurrent.futures import Executor

    from archive.store import Store

__all__ = ["LOCAL", "check_travels", "on_dask"]

LOCAL = "local"
_ANSWER_SECONDS = 15
_COUNT_SECONDS = 1.0  # how long a count of the workers holds


def check_travels(store: Store, source_options: Mapping[str, Any]) -> None:
    """Raise unless tasks can reach workers without a secret in them.

    Raises
    ------
    InvalidInput
        The archive lies in memory, or something that may be a secret was given as an option.
    """
    if not store.travels:
        raise InvalidInput(
            f"{store.url}: workers of a Dask cluster cannot use it: it lies in this process's memory, or its "
            "credentials were given as options, which are never sent; set them in the environment of the workers"
        )
    given = normalised(source_options, s3=True)
    left_behind = sorted(given.keys() - public(given).keys())
    if left_behind:
        raise InvalidInput(
            f"source option {left_behind[0]}: may be a secret and is not sent to the workers of a Dask cluster; "
            "set it in their environment"
        )


@contextmanager
def on_dask(address: str, jobs: int) -> Iterator[tuple[Executor, Callable[[], int]]]:
    """Give an executor on a Dask cluster, and what counts the threads of its workers as they come and go.

    Tasks of a worker that dies or is restarted run again on another. What workers need to reach the store they take
    from their own environment; that of a local cluster is this process's.

    Parameters
    ----------
    address
        Of the scheduler, as in `"tcp://10.0.0.1:8786"`; `"local"` for a process for each job on this machine.

    Raises
    ------
    MissingExtra
        Dask is not installed.
    StoreTrouble
        No scheduler answers.
    """
    try:
        import distributed
    except ImportError as error:
        raise MissingExtra("--dask needs Dask: pip install 'lightkeep[dask]'") from error
    make_client: Any = distributed.Client
    make_cluster: Any = distributed.LocalCluster
    if address != LOCAL:
        with _connected(make_client, address) as client:
            yield _executor(client)
        return
    with (
        make_cluster(
            n_workers=jobs if jobs > 1 else os.cpu_count() or 1,
            threads_per_worker=1,
            processes=True,
            host="127.0.0.1",
            dashboard_address="127.0.0.1:0",  # any free port, of this machine only
            silence_logs=logging.ERROR,
        ) as cluster,
        make_client(cluster, set_as_default=False) as client,
    ):
        yield _executor(client)


def _connected(make: Any, address: str) -> Any:
    try:
        return make(address, timeout=_ANSWER_SECONDS, set_as_default=False)
    except ValueError as error:
        raise InvalidInput(f"--dask {address}: is no address of a scheduler, as tcp://HOST:PORT ({error})") from error
    except OSError as error:
        raise StoreTrouble(
            f"--dask {address}: no scheduler answers there; start one with dask scheduler, or use --dask local"
        ) from error


def _executor(client: Any) -> tuple[Executor, Callable[[], int]]:
    # A task is not pure: its granules have new keys each time, and only those of the result count.
    return client.get_executor(pure=False), _Count(client)


class _Count:
    """How many threads the workers have; asked at most once a second."""

    def __init__(self, client: Any) -> None:
        self._client, self._asked, self._threads = client, float("-inf"), 1

    def __call__(self) -> int:
        if time.monotonic() - self._asked >= _COUNT_SECONDS:
            self._threads = max(sum(self._client.nthreads().values()), 1)
            self._asked = time.monotonic()
        return self._threads
