"""Serves the actions of Meta-World's own scripted policies, unchanged, to a process that cannot import them.

Runs in the peers' environment; client.py starts it and speaks to it over its standard input and output:

    in    a JSON line    ["reach", "push", ...]: the family of each lane
    out   a JSON line    {"lanes": 2, "versions": {...}}, or {"error": "..."} and the end
    in    a frame        float64 [lanes, 39], Meta-World's observations
    out   a frame        float64 [lanes, 4], the policies' actions, which may exceed [-1, 1]

and so on, frame by frame, until the input ends. A frame is its length in bytes, in 4 bytes, and then the
numbers row by row, all of it little-endian.
"""

from __future__ import annotations

import json
import os
import platform
import struct
import sys
import warnings
from importlib.metadata import version
from typing import Any, BinaryIO

import numpy as np

OBSERVATION = 39
ACTION = 4
FRAME = struct.Struct("<I")


def policies(families: list[str]) -> list[Any]:
    """Meta-World's policy for each lane; lanes of a family share one, since policies keep no state."""
    from metaworld.policies import ENV_POLICY_MAP

    unknown = sorted({name for name in families if f"{name}-v3" not in ENV_POLICY_MAP})
    if unknown:
        known = sorted(name.removesuffix("-v3") for name in ENV_POLICY_MAP)
        raise ValueError(f"Meta-World has no policy for {', '.join(unknown)}; it has {', '.join(known)}")
    made = {name: ENV_POLICY_MAP[f"{name}-v3"]() for name in set(families)}
    return [made[name] for name in families]


def act(lanes: list[Any], observations: np.ndarray) -> np.ndarray:
    """One action per lane. Policies may write into what they are given: it is theirs to spoil."""
    actions = np.empty((len(lanes), ACTION), "<f8")
    for lane, policy in enumerate(lanes):
        actions[lane] = policy.get_action(observations[lane])
    return actions


def serve(source: BinaryIO, sink: BinaryIO) -> None:
    """Answers until the source ends.

    Args:
      source: the family names, then frames of observations.
      sink: the greeting, then frames of actions.
    """

    def greet(greeting: dict[str, Any]) -> None:
        sink.write(json.dumps(greeting).encode() + b"\n")
        sink.flush()

    try:
        lanes = policies(json.loads(source.readline()))
    except (ImportError, ValueError) as error:
        return greet({"error": str(error)})
    packages = {name: version(name) for name in ("metaworld", "mujoco", "numpy")}
    greet({"lanes": len(lanes), "versions": {"python": platform.python_version(), **packages}})
    expected = len(lanes) * OBSERVATION * 8
    while header := source.read(FRAME.size):
        (size,) = FRAME.unpack(header)
        if size != expected:
            raise ValueError(f"a frame of {size} bytes: expected {expected}, for {len(lanes)} lanes")
        body = bytearray(source.read(size))
        if len(body) < size:
            return None
        actions = act(lanes, np.frombuffer(body, "<f8").reshape(len(lanes), OBSERVATION)).tobytes()
        sink.write(FRAME.pack(len(actions)) + actions)
        sink.flush()
    return None


def main() -> None:
    """Serves over standard input and output."""
    warnings.simplefilter("ignore")
    # Whatever a library prints goes to standard error: the pipe carries frames only.
    sink = os.fdopen(os.dup(sys.stdout.fileno()), "wb")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    serve(sys.stdin.buffer, sink)


if __name__ == "__main__":
    main()
