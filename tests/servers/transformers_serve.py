"""The server of transformers, ``transformers serve``, in this process: torch is there already."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

SECONDS = 60.0


@contextmanager
def serving(folder: Path) -> Iterator[str]:
    """Serve a model as long as the block lasts; gives the base URL. The model's name is its folder.

    Parameters
    ----------
    folder : Path
        A checkpoint with a chat template.
    """
    from transformers.cli.serve import Serve

    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    server: Any = Serve(  # Any: published with types that mypy strict does not pass
        force_model=str(folder),
        host="127.0.0.1",
        port=port,
        device="cpu",
        dtype="float32",
        log_level="error",
        non_blocking=True,
    )
    ends_at = time.monotonic() + SECONDS
    while not server.server.started:
        assert time.monotonic() < ends_at, "transformers serve did not start"
        time.sleep(0.01)
    try:
        yield f"http://127.0.0.1:{port}/v1"
    finally:
        server.kill_server()
