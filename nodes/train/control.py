"""What people ask of a running training: to pause, to go on, to end with what it has, to save now.

They ask on the server's threads; the training looks between two updates. Ending this way is no
interrupt: the network is saved as a finished one, and the graph goes on with it.
"""

import threading

ASKS = ("pause", "resume", "stop", "save")


class Control:
    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._paused = self._stops = self._saves = self._holds = False

    def ask(self, what: object) -> None:
        """From any thread. Raises ValueError for a wish that is not known."""
        if what not in ASKS:
            raise ValueError(f'"{what}" cannot be asked of a training. Ask: {", ".join(ASKS)}.')
        with self._changed:
            if what in ("pause", "resume"):
                self._paused = what == "pause"
            self._stops |= what == "stop"
            self._saves |= what == "save"
            self._changed.notify_all()

    @property
    def is_paused(self) -> bool:
        return self._paused and not self._stops

    @property
    def state(self) -> str:
        """What becomes of a training because of this, "" for nothing: "stopping", "pausing", until
        the update is over, or "paused"."""
        if self._stops or not self._paused:
            return "stopping" if self._stops else ""
        return "paused" if self._holds else "pausing"

    @property
    def stops(self) -> bool:
        return self._stops

    def takes_save(self) -> bool:
        """Was a save asked for? It counts as done from here on."""
        with self._changed:
            asked, self._saves = self._saves, False
        return asked

    def hold(self, seconds: float) -> bool:
        """Wait until something new is asked, or so long at most. Does a pause begin with it?"""
        with self._changed:
            begins, self._holds = not self._holds, True
            if not self._saves and not begins:
                self._changed.wait(seconds)
        return begins

    def go_on(self) -> None:
        self._holds = False
