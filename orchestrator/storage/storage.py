"""The storage: groups of methods, one for each noun, on one database."""

from __future__ import annotations

from pathlib import Path
from types import TracebackType
from typing import Self

from orchestrator.storage._database import Database
from orchestrator.storage.answers.answers import Answers
from orchestrator.storage.audit import Audit
from orchestrator.storage.beginnings import Beginnings
from orchestrator.storage.campaigns import Campaigns
from orchestrator.storage.cost_models import CostModels
from orchestrator.storage.device_checks import DeviceChecks
from orchestrator.storage.device_classes import DeviceClasses
from orchestrator.storage.devices import Devices
from orchestrator.storage.extractions import Extractions
from orchestrator.storage.insides import Insides
from orchestrator.storage.layouts import Layouts
from orchestrator.storage.leases import Leases
from orchestrator.storage.measurements import Measurements
from orchestrator.storage.models import Models
from orchestrator.storage.profiles import Profiles
from orchestrator.storage.searches import Searches
from orchestrator.storage.seeds import Seeds
from orchestrator.storage.submissions import Submissions
from orchestrator.storage.tasks import Tasks
from orchestrator.storage.tokens import Tokens
from orchestrator.storage.toolchains import Toolchains
from orchestrator.storage.trials import Trials
from orchestrator.storage.upkeep import Upkeep
from orchestrator.storage.verifications import Verifications
from orchestrator.storage.workloads import Workloads

__all__ = ["Storage"]


class Storage:
    """Tuning campaigns and their trials in a SQL database. Made by :meth:`open`.

    The contract:

    - Any number of threads may share one storage, and any number of processes one database. A process that
      was forked must open its own.
    - Every method is one transaction: it happened whole when it returns, not at all when it raises. What is
      returned is plain data as of that transaction and never changes.
    - What was recorded is there after ``kill -9`` and after a power cut.
    - Instants are UTC, by the database's clock.
    - Only the owner of a campaign's lease writes its state, tasks, trials, measurements, beginnings,
      searches and decisions. The catalogue (models, extractions, workloads, device classes, devices),
      toolchains, verifications and what kernels take inside their models may be written by
      anyone. Requests are for everyone.
    - A trial is stored once, and so is each of its measurements. What it is judged by is written in the
      transaction that brings a measurement, or another toolchain.
    - Besides what a method names, each may raise :class:`~orchestrator.errors.StorageError`: the database is
      locked (after ``patience_s`` of waiting and retrying), read-only, full, damaged, gone or closed. The
      text says which. Any call may be repeated after it; but where a connection to a server broke during a
      commit, :meth:`.Campaigns.create`, :meth:`.Campaigns.add_active_time` and :meth:`.Verifications.put`
      may then happen twice.

    Parameters
    ----------
    url, patience_s : str or None, float
        As for :meth:`open`. Nothing is connected to yet.

    Attributes
    ----------
    models, extractions, workloads : Models, Extractions, Workloads
        What is tuned.
    device_classes, devices, device_checks : DeviceClasses, Devices, DeviceChecks
        What it is tuned on, and whether that was as fast as before.
    campaigns, leases, tasks : Campaigns, Leases, Tasks
        Campaigns, who runs them, and what they consist of.
    searches : Searches
        When was searched for them, and where.
    beginnings : Beginnings
        How fast models were when campaigns began with them.
    layouts : Layouts
        Which of two layouts a model has, where both were tried out.
    trials, measurements, seeds : Trials, Measurements, Seeds
        What was tried, what came of measuring it, and what of it a new search starts from.
    cost_models : CostModels
        What searches learned, for the next campaign.
    toolchains : Toolchains
        What was measured with, and what that makes stale.
    verifications : Verifications
        Built models, compared with the reference.
    profiles : Profiles
        Where their time goes.
    insides : Insides
        What their kernels take where they run.
    answers : Answers
        What people ask.
    upkeep : Upkeep
        How much there is, and what may go.
    tokens, submissions, audit : Tokens, Submissions, Audit
        Who may do what through the service, whose a campaign is, and what was done.
    database : Database
        What all of them read and write; for those who look at SQL itself.
    """

    def __init__(self, url: str | None = None, *, patience_s: float = 30.0) -> None:
        self.database = database = Database(url, patience_s=patience_s)
        self.models = Models(database)
        self.extractions = Extractions(database)
        self.workloads = Workloads(database)
        self.device_classes = DeviceClasses(database)
        self.devices = Devices(database)
        self.device_checks = DeviceChecks(database)
        self.campaigns = Campaigns(database)
        self.searches = Searches(database)
        self.beginnings = Beginnings(database)
        self.layouts = Layouts(database)
        self.leases = Leases(database)
        self.tasks = Tasks(database)
        self.trials = Trials(database)
        self.measurements = Measurements(database)
        self.toolchains = Toolchains(database)
        self.seeds = Seeds(database)
        self.cost_models = CostModels(database)
        self.verifications = Verifications(database)
        self.profiles = Profiles(database)
        self.insides = Insides(database)
        self.answers = Answers(database)
        self.upkeep = Upkeep(database)
        self.tokens = Tokens(database)
        self.submissions = Submissions(database)
        self.audit = Audit(database)

    @classmethod
    def open(cls, url: str | None = None, *, create: bool = True, patience_s: float = 30.0) -> Self:
        """Open a database.

        Parameters
        ----------
        url : str or None
            ``sqlite:///PATH``, ``postgresql://USER@HOST/NAME`` or the path of a SQLite file. None is
            ``tunefleet.db`` in the user's data folder.
        create : bool
            Whether a file that isn't there, or a database without tables, gets this release's tables.
        patience_s : float
            How long a call waits for others that hold the database, in seconds, before it raises.

        Raises
        ------
        SchemaError
            The schema is older (the text names the command that upgrades it), newer, or something else's.
        UsageError
            The URL can't be read.
        """
        storage = cls(url, patience_s=patience_s)
        storage.database.connect(create=create)
        return storage

    @staticmethod
    def upgrade(url: str | None = None, *, patience_s: float = 30.0) -> tuple[str, str]:
        """Bring a database to this release's schema: whole, or not at all.

        Returns
        -------
        tuple of str
            The revision before (empty where the database had no tables) and the one after.
        """
        return Database(url, patience_s=patience_s).upgrade()

    @staticmethod
    def check(url: str | None = None, *, patience_s: float = 30.0) -> str:
        """Return the revision of a database that is sound and of this release's schema; raise otherwise."""
        return Database(url, patience_s=patience_s).check()

    @property
    def url(self) -> str:
        """The URL, for people: a password in it is hidden."""
        return self.database.url

    @property
    def path(self) -> Path | None:
        """The SQLite file; None where the database is on a server."""
        return self.database.path

    def close(self) -> None:
        """Close every connection; calls after this raise. May be called twice."""
        self.database.dispose()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
