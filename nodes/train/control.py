"""What users can ask of a running training: to pause, to resume, to stop, or to save now.

Requests come on the server's threads; the training checks them between two updates. To stop is not
an interrupt: the network is saved as finished, and the graph continues with it.
"""

import threading

ASKS = ("pause", "resume", "stop", "save")


class Control:
    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._paused = self._stops = self._saves = self._holds = False

    def ask(self, what: object) -> None:
        """Ask for one of ASKS, from any thread. Raises ValueError for anything else."""
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
        """The state that requests put the training into; "" if none does.

        "stopping", "pausing" (until the current update is done), or "paused".
        """
        if self._stops or not self._paused:
            return "stopping" if self._stops else ""
        return "paused" if self._holds else "pausing"

    @property
    def stops(self) -> bool:
        return self._stops

    def takes_save(self) -> bool:
        """Was a save asked for? Also clears the request."""
        with self._changed:
            asked, self._saves = self._saves, False
        return asked

    def hold(self, seconds: float) -> bool:
        """Wait for a new request, at most so many seconds. Returns whether a pause begins here."""
        with self._changed:
            begins, self._holds = not self._holds, True
            if not self._saves and not begins:
                self._changed.wait(seconds)
        return begins

    def go_on(self) -> None:
        self._holds = False
