"""How a peer's process talks over its standard input and output.

    in    a JSON line    {"families": ["reach", "push", ...], ...}: the family of each lane, and what else a script asks
    out   a JSON line    {"lanes": 2, "versions": {...}}, or {"error": "..."} and the end
    in    a frame        numbers of all lanes
    out   a frame        the answer

and so on, frame by frame, until the input ends. A frame is its length in bytes, in 4 bytes, and then float64 numbers
lane by lane, all of it little-endian.
"""

from __future__ import annotations

import json
import os
import platform
import struct
import sys
import warnings
from collections.abc import Callable
from importlib.metadata import version
from typing import Any

import numpy as np

FRAME = struct.Struct("<I")


def versions() -> dict[str, str]:
    """Of Python and the peers' packages."""
    packages = {name: version(name) for name in ("metaworld", "mujoco", "numpy")}
    return {"python": platform.python_version(), **packages}


def serve(start: Callable[[dict[str, Any]], Callable[[np.ndarray], np.ndarray]]) -> None:
    """Serves over standard input and output until the input ends.

    Args:
      start: what was asked for to what answers a frame [lanes, n], or an empty one.
    """
    warnings.simplefilter("ignore")
    # Whatever a library prints goes to standard error: the pipe carries frames only.
    source, sink = sys.stdin.buffer, os.fdopen(os.dup(sys.stdout.fileno()), "wb")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())

    def greet(greeting: dict[str, Any]) -> None:
        sink.write(json.dumps(greeting).encode() + b"\n")
        sink.flush()

    request = json.loads(source.readline())
    try:
        answer = start(request)
    except (ImportError, ValueError) as error:
        return greet({"error": str(error)})
    lanes = len(request["families"])
    greet({"lanes": lanes, "versions": versions()})
    while header := source.read(FRAME.size):
        (size,) = FRAME.unpack(header)
        body = bytearray(source.read(size))
        if len(body) < size:
            return None
        # What answers may write into a frame: it is its own to spoil.
        message = np.frombuffer(body, "<f8").reshape((lanes, -1) if size else (0, 0))
        sent = np.ascontiguousarray(answer(message), "<f8").tobytes()
        sink.write(FRAME.pack(len(sent)) + sent)
        sink.flush()
    return None
