"""Send results to a server."""

import json
import warnings
from collections.abc import Mapping

import numpy as np

from graphc.keras.callbacks.callback import Callback, Logs

#: How long a server may take to answer, in seconds.
_PATIENCE = 10.0


class RemoteMonitor(Callback):
    """Post the results of each epoch to a server.

    A server that cannot be reached, or does not like what it gets, is a warning and no more.

    Args:
        root: the server's address.
        path: what comes behind it.
        field: the name of the form's field that holds the results as JSON.
        headers: more headers of the request.
        send_as_json: send JSON rather than a form.

    Example:
        >>> monitor = keras.callbacks.RemoteMonitor("http://localhost:9000")
        >>> model.fit(x, y, callbacks=[monitor])  # doctest: +SKIP
    """

    def __init__(
        self,
        root: str = "http://localhost:9000",
        path: str = "/publish/epoch/end/",
        field: str = "data",
        headers: Mapping[str, str] | None = None,
        send_as_json: bool = False,
    ) -> None:
        super().__init__()
        self.root = root
        self.path = path
        self.field = field
        self.headers = headers
        self.send_as_json = send_as_json

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        """Post the epoch's number and results."""
        # Python's own, but it takes longer to load than all of keras.
        from urllib import error, parse, request

        message = {"epoch": epoch, **{name: _plain(x) for name, x in (logs or {}).items()}}
        text = json.dumps(message)
        kind = "application/json"
        if not self.send_as_json:
            text = parse.urlencode({self.field: text})
            kind = "application/x-www-form-urlencoded"
        headers = {"Content-Type": kind, **(self.headers or {})}
        try:
            address = self.root + self.path
            request.urlopen(request.Request(address, text.encode(), headers), timeout=_PATIENCE)
        except (error.URLError, OSError) as problem:
            warnings.warn(
                f"Could not reach RemoteMonitor root server at {self.root} ({problem})",
                stacklevel=2,
            )


def _plain(value: object) -> object:
    return value.item() if isinstance(value, (np.ndarray, np.generic)) else value
