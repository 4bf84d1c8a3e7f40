"""Independent jobs: in this process one after another, or side by side by Dask; one that fails stops no other."""

import os
import pickle
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import chdir, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Annotated, Any, NamedTuple

from vtssi_pyro.config import Declared, Range
from vtssi_pyro.errors import Argument, OutOfResources, UsageError, VtssiError
from vtssi_pyro.system import forks
from vtssi_pyro.system.extras import extra
from vtssi_pyro.system.machine import MOST_THREADS, prepare
from vtssi_pyro.train.reporting import Reporter, Silent

MOST_WORKERS = 1024  # processes: no machine has as many cores
Processes = Annotated[int | None, Range(1, MOST_WORKERS)]
NEEDED = "jobs on several workers need Dask"
SIGNALLED = 128  # exit codes above it are of processes that a signal ended
# A worker may have several threads, but Pyro's handlers, the random state and the working folder are the process's.
_ALONE = threading.Lock()


class Job(NamedTuple):
    """A piece of work that needs no other, and that finds by itself what of it was done before.

    Dask may give it to a second worker if the first one dies.
    """

    name: str  # for people
    work: Callable[[Reporter], Any]  # can be pickled, as a partial of a function of a module can


class Outcome(NamedTuple):
    """The end of a job."""

    number: int  # of the job, from 0
    name: str
    value: Any = None
    error: Exception | None = None


@dataclass(frozen=True)
class Workers(Declared):
    """Where jobs are done; without a number and a scheduler in this process, one after another.

    Args:
        number: processes of a Dask cluster on this machine, which lasts as long as the jobs.
        scheduler: address of the scheduler of a Dask cluster that runs already, such as ``tcp://10.0.0.1:8786``; its
            workers see the same files by the same names.
        threads: CPU threads of each worker; None: 1, since workers share the cores.

    Raises:
        UsageError: both a number and a scheduler.
    """

    number: Processes = None
    scheduler: str | None = None
    threads: Annotated[int | None, Range(1, MOST_THREADS)] = None

    def __post_init__(self) -> None:
        """Refuse two clusters."""
        super().__post_init__()
        if self.number is not None and self.scheduler is not None:
            raise UsageError(
                Argument("workers"), ": the cluster of ", Argument("scheduler"), " has workers; leave it out"
            )

    @property
    def each(self) -> int | None:
        """CPU threads of the process that does a job; None: as many as it chooses."""
        alone = self.number is None and self.scheduler is None
        return self.threads if alone else self.threads or 1

    def do(self, jobs: Sequence[Job], report: Reporter) -> Iterator[Outcome]:
        """Do jobs, and yield the outcome of each as it comes; errors are outcomes, signals are not.

        Args:
            jobs: the jobs.
            report: receives the messages of each job; those of a worker come when its job has ended.

        Raises:
            UsageError: Dask is not installed, or there is no cluster at the address.
            Interrupted: a signal ended a training in this process, after it was saved.
        """
        if self.number is None and self.scheduler is None:  # in this process
            for number, job in enumerate(jobs):
                yield _attempted(number, job, report)
            return
        with self._client(jobs) as (distributed, client):
            futures = {
                client.submit(_in_a_worker, number, job, self.each, os.getcwd(), pure=False): number
                for number, job in enumerate(jobs)
            }
            for future in distributed.as_completed(list(futures)):
                number = futures.pop(future)
                outcome, messages = _fetched(distributed, number, jobs[number], future)
                messages.tell(report)
                yield outcome

    @contextmanager
    def _client(self, jobs: Sequence[Job]) -> Iterator[tuple[Any, Any]]:
        """Dask's module, and a client of the cluster."""
        distributed = extra("distributed", "dask", NEEDED)
        if self.scheduler is not None:
            try:
                # first, since a client of no address takes a minute to close
                distributed.comm.get_address_host_port(self.scheduler)
                client = distributed.Client(self.scheduler, set_as_default=False)
            except (OSError, ValueError) as error:
                raise UsageError(
                    Argument("scheduler"), f" {self.scheduler}: no Dask cluster answers there ({error})"
                ) from error
            with client, client.as_current():
                yield distributed, client
            return
        forks.ready(["distributed", *sorted({_module(job.work) for job in jobs})])
        number = min(self.number or 1, max(len(jobs), 1))
        settings = {
            "distributed.worker.multiprocessing-method": forks.METHOD,
            "distributed.worker.profile.enabled": False,  # it takes some percent of the time, and nobody looks at it
        }
        # No dashboard: its port may be another program's. A fork has the variables of its server's beginning.
        with (
            extra("dask.config", "dask", NEEDED).set(settings),
            distributed.LocalCluster(
                number,
                threads_per_worker=1,
                dashboard_address=None,
                silence_logs="CRITICAL",
                env=dict(os.environ),
            ) as cluster,
            distributed.Client(cluster, set_as_default=False) as client,
            client.as_current(),
        ):
            yield distributed, client


HERE = Workers()  # in this process


class Messages(Silent):
    """Messages of a job in a worker, told later; a job's progress is not among them."""

    def __init__(self) -> None:
        self._told: list[tuple[str, Any]] = []

    def say(self, message: str) -> None:
        """Keep a message."""
        self._told.append(("say", message))

    def warn(self, message: str) -> None:
        """Keep a warning."""
        self._told.append(("warn", message))

    def wrote(self, path: Path) -> None:
        """Keep the path."""
        self._told.append(("wrote", path))

    def found(self, what: Mapping[str, Any]) -> None:
        """Keep findings."""
        self._told.append(("found", dict(what)))

    def tell(self, report: Reporter) -> None:
        """Tell all that was kept, in its order."""
        for kind, told in self._told:
            getattr(report, kind)(told)


def _module(work: Callable[..., Any]) -> str:
    """The module of a function, or of that which is given some arguments."""
    return _module(work.func) if isinstance(work, partial) else work.__module__


def _attempted(number: int, job: Job, report: Reporter) -> Outcome:
    """Do a job; its error is its outcome, unless it is a signal's."""
    try:
        return Outcome(number, job.name, job.work(report))
    except Exception as error:
        if isinstance(error, VtssiError) and error.exit_code > SIGNALLED:
            raise
        return Outcome(number, job.name, error=error)


def _in_a_worker(number: int, job: Job, threads: int | None, folder: str) -> tuple[Outcome, Messages]:
    """Do a job in the folder in which it was asked for, alone in the process."""
    with _ALONE, chdir(folder):
        prepare(threads)
        messages = Messages()
        outcome = _attempted(number, job, messages)
        return outcome._replace(error=_portable(outcome.error)), messages


def _portable(error: Exception | None) -> Exception | None:
    """An error that another process can read: itself, without its traceback, or its text."""
    try:
        pickle.loads(pickle.dumps(error))
    except Exception:  # of a class with arguments of its own
        return RuntimeError(f"{type(error).__name__}: {error}")
    return error


def _fetched(distributed: Any, number: int, job: Job, future: Any) -> tuple[Outcome, Messages]:
    """The outcome of a job's future, which fails itself only if workers die of it, or cannot do it at all."""
    error = future.exception()
    if error is None:
        outcome, messages = future.result()
        future.release()
        return outcome, messages
    if isinstance(error, distributed.KilledWorker):
        error = OutOfResources(
            f"{job.name}: every worker that took it was ended, as those are that need too much memory: take fewer "
            "workers, or give them more"
        )
    return Outcome(number, job.name, error=error), Messages()
