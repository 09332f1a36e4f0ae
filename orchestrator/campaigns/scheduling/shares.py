"""Who is next at what several campaigns share: by priority, then evenly. No clock of its own.

What is shared are *resources*: the cores to search and build on, and the devices of each model. Of those that
wait for one, the campaign of the highest priority is next, and of one priority the one that had least of it.
This is start-time fair queueing (Goyal, Vin and Cheng, 1996): each resource has a virtual time for each
priority, the account of who was served last, and who comes or comes back begins near it. So one that waited,
for its round to end say, left its share to the others, and one that joins late doesn't get all until it has
had as much as they.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

__all__ = ["Shares"]

#: Seconds of a resource by which one that waited may be behind the others when it comes back.
CREDIT_SECONDS = 10.0
# What a piece of work is taken to cost before any has ended (seconds), and how fast that follows the facts.
_FIRST_GUESS, _FOLLOW = 1.0, 0.2


@dataclass
class _Account:
    spent: float
    guess: float


class Shares:
    """The accounts of those who share.

    Parameters
    ----------
    credit_s : float, optional
        See :data:`CREDIT_SECONDS`.
    """

    def __init__(self, *, credit_s: float = CREDIT_SECONDS) -> None:
        self._credit = credit_s
        self._priorities: dict[int, int] = {}
        self._accounts: dict[tuple[int, str], _Account] = {}
        self._now: dict[tuple[str, int], float] = {}
        self._guesses: dict[str, float] = {}

    def join(self, member: int, priority: int = 0) -> None:
        """Take a campaign in."""
        self._priorities[member] = priority

    def leave(self, member: int) -> None:
        """Forget a campaign."""
        self._priorities.pop(member, None)
        self._accounts = {key: account for key, account in self._accounts.items() if key[0] != member}

    def rank(self, member: int, priority: int) -> None:
        """Give a campaign another priority: among its new equals it begins as one that joins."""
        if self._priorities.get(member, priority) != priority:
            self.leave(member)
            self.join(member, priority)

    def priority(self, member: int) -> int:
        """Return a campaign's priority."""
        return self._priorities[member]

    def order(self, resource: str, waiting: Iterable[int]) -> list[int]:
        """Sort those that could use a resource now: who is to have it next comes first."""
        return sorted(waiting, key=lambda m: (-self._priorities[m], self._spent(m, resource).spent, m))

    def begin(self, member: int, resource: str) -> float:
        """Note that a campaign is given a piece of a resource, and return what it is charged for now.

        What it costs is known at its end. Until then it counts as much as its others did, or one campaign
        would be given all that is idle at once.
        """
        account = self._spent(member, resource)
        level = (resource, self._priorities[member])
        self._now[level] = max(self._now.get(level, 0.0), account.spent)
        account.spent += account.guess
        return account.guess

    def end(self, member: int, resource: str, charged: float, seconds: float) -> None:
        """Note that the piece that :meth:`begin` charged for took `seconds`."""
        guess = self._guesses.get(resource, seconds)
        self._guesses[resource] = guess + _FOLLOW * (seconds - guess)
        account = self._accounts.get((member, resource))
        if account is not None:
            account.spent += seconds - charged
            account.guess += _FOLLOW * (seconds - account.guess)

    def _spent(self, member: int, resource: str) -> _Account:
        now = self._now.get((resource, self._priorities[member]), 0.0)
        account = self._accounts.get((member, resource))
        if account is None:
            account = _Account(now, self._guesses.get(resource, _FIRST_GUESS))
            self._accounts[member, resource] = account
        account.spent = max(account.spent, now - self._credit)
        return account
