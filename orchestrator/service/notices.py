"""Telling people elsewhere that a campaign has ended, or that a device was quarantined."""

from __future__ import annotations

import logging
from collections.abc import Callable

from orchestrator.documents.devices import device_state
from orchestrator.documents.snapshot import read_snapshot
from orchestrator.documents.text import latency, plural
from orchestrator.errors import StorageError, UsageError
from orchestrator.service.onlookers import Onlooker
from orchestrator.storage import ENDED_STATES, CampaignState, Storage

__all__ = ["Notices", "Send", "sender"]

_LOOK_SECONDS = 5.0
# Campaigns that are looked at: more than this never end between two looks.
_NEWEST = 200

#: Takes a title and a text.
Send = Callable[[str, str], None]


def sender(urls: tuple[str, ...]) -> Send:
    """Return what sends to these addresses, which are Apprise's: mail, chats, a JSON hook.

    Raises
    ------
    UsageError
        Apprise isn't there, or can't read an address; that isn't repeated, for it may hold a password.
    """
    try:
        import apprise
    except ImportError:
        raise UsageError("--notify takes apprise: pip install 'tunefleet[notify]'") from None
    found = apprise.Apprise()
    for number, url in enumerate(urls, 1):
        if not found.add(url):
            kind = url.partition(":")[0][:20]
            raise UsageError(
                f"--notify number {number} ({kind}:...) is no address that Apprise knows: mailto://, json://"
            )

    def send(title: str, text: str) -> None:
        if not found.notify(title=title, body=text):
            logging.getLogger(__name__).warning("a notice could not be sent: %s", title)

    return send


class Notices(Onlooker):
    """A thread that looks at the store, and sends what is news; from entering to leaving.

    What had ended before is no news. Whoever runs the campaigns, and where, plays no part.
    """

    def __init__(self, store: Storage, send: Send) -> None:
        super().__init__("tunefleet-notices", _LOOK_SECONDS)
        self._store = store
        self._send = send
        self._states: dict[int, CampaignState] | None = None
        self._devices: dict[tuple[str, str], str] = {}
        self._failing = False

    def look(self) -> None:
        """Compare the store with what it was at the last look, and send what is new."""
        states = {row.id: row.state for row in self._store.campaigns.newest(limit=_NEWEST)}
        rows = self._store.devices.all()
        devices = {(row.key, row.host): device_state(row) for row in rows}
        if self._states is None:
            self._states, self._devices = states, devices
            return
        for number, state in sorted(states.items()):
            # One that was submitted since then, and has ended already, was never seen under way.
            if state in ENDED_STATES and self._states.get(number, CampaignState.QUEUED) is not state:
                self._send(*self._about_campaign(number))
            # What couldn't be sent is news at the next look still.
            self._states[number] = state
        for row in rows:
            key = (row.key, row.host)
            if devices[key] == "quarantined" and self._devices.get(key) != "quarantined":
                self._send(f"tunefleet: device {row.key} on {row.host} is quarantined", row.message)
            self._devices[key] = devices[key]
        self._states, self._devices = states, devices

    def _about_campaign(self, number: int) -> tuple[str, str]:
        snapshot = read_snapshot(self._store, number)
        row = snapshot.campaign
        models = ", ".join(snapshot.model_names)
        lines = [row.message, f"{models}: {plural(snapshot.measured, 'trial')} measured"]
        if snapshot.expected_s is not None:
            lines.append(f"estimated {latency(snapshot.expected_s)} for one run")
        lines += [
            f"{one.device_class}: {latency(one.tuned_s)} tuned, onnxruntime {latency(one.reference_s)}"
            for one in self._store.verifications.after_campaign(number)
        ]
        return f"tunefleet: campaign {row.id} ({row.name}) is {row.state.value}", "\n".join(
            filter(None, lines)
        )

    def try_to_look(self) -> None:
        """Look once; the first of several failures is logged."""
        try:
            self.look()
            self._failing = False
        except StorageError:
            pass  # who asks for a page is told; what was missed meanwhile is sent when it is back
        except Exception as error:
            # Whatever Apprise and what carries it may raise: the service goes on, and this tries again.
            if not self._failing:
                logging.getLogger(__name__).warning("a notice could not be sent: %s", error)
            self._failing = True
