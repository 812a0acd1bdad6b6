"""`mtbench render`: a video, or a picture of all families."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import tyro

from .common import claim, parse, progress, start_jax


@dataclass(frozen=True)
class Arguments:
    """Write a video of a policy or an expert on a grid of tasks, or a picture of all families, offscreen."""

    source: Annotated[str, tyro.conf.Positional]
    """Folder of a training run or of `mtbench export`, or module:function, which returns a policy; or a suite, a
    suite's file or a family, whose expert is shown."""
    suite: str | None = None
    """Suite, or a suite's file, to play a policy on; by default that of the training."""
    out: Path | None = None
    """File to write: .mp4, .gif, .webp, or .png (last frame); by default video.mp4 in the folder, or NAME.mp4 here."""
    stills: Path | None = None
    """Write a picture instead (.png or .jpg): for each family the start beside the first moment of success."""
    policy: str = "auto"
    """auto (the policy, or the expert of a suite), expert, or random."""
    split: str = "iid"
    """Which tasks."""
    families: tuple[str, ...] = ()
    """Which of the suite's families to show, by default all."""
    rows: int = 2
    """Rows of the grid."""
    columns: int = 5
    """Columns of the grid."""
    seconds: float = 2.5
    """Length, in simulated seconds."""
    width: int = 320
    """Width of one picture, pixels; of the stills, each is half as large."""
    height: int = 240
    """Height of one picture, pixels."""
    fps: int = 20
    """Frames per second of the video."""
    force: bool = False
    """Overwrite the file."""


def run(argv: list[str]) -> int:
    """Runs the command."""
    arguments = parse(Arguments, "render", argv)
    from .. import render

    render.choose_gl()
    start_jax()
    from .. import stored
    from .. import suite as suites
    from ..errors import UsageError, unknown_name
    from ..policy import RandomPolicy

    known = suites.catalogue()
    folder = Path(arguments.source)
    own_file = folder.suffix == ".toml"
    name = arguments.source if arguments.source in known or own_file else f"MT1/{arguments.source}"
    policy: Any
    if name in known or own_file:
        suite = suites.load(name)
        suite.task_ids(arguments.split)
        envs = suite.envs("mujoco")
        default, out = "expert", Path(f"{folder.stem if own_file else arguments.source.replace('/', '-')}.mp4")
    elif folder.exists() or stored.is_function(arguments.source):
        from .policies import open_policies

        opened = open_policies(arguments.source, arguments.suite, "mujoco")
        suite, envs = opened.suite, opened.envs
        default, out = "trained", opened.folder / "video.mp4"
    else:
        raise unknown_name("run folder, suite or family", arguments.source, known)
    chosen = default if arguments.policy == "auto" else arguments.policy
    if chosen == "expert":
        policy = suite.expert()
    elif chosen == "random":
        policy = RandomPolicy(next(iter(envs.values())).action_size)
    elif chosen == "trained":
        policy = next(iter(opened.policies.values()))
    else:
        raise unknown_name("policy", chosen, ("auto", "expert", "random"))
    if min(arguments.rows, arguments.columns, arguments.width, arguments.height, arguments.fps) < 1:
        raise UsageError("--rows, --columns, --width, --height and --fps must be at least 1")
    target = claim(arguments.stills or arguments.out or out, force=arguments.force)
    allowed = (".png", ".jpg") if arguments.stills else (".mp4", ".gif", ".webp", ".png")
    if target.suffix not in allowed:
        raise UsageError(f"{target}: the file's name must end in {', '.join(allowed[:-1])} or {allowed[-1]}")
    size = (arguments.width, arguments.height)
    with progress("rendering") as on_progress:
        if arguments.stills:
            render.stills(
                envs,
                suite,
                policy,
                target,
                split=arguments.split,
                columns=arguments.columns,
                size=(size[0] // 2, size[1] // 2),
                families=arguments.families,
                on_progress=on_progress,
            )
        else:
            render.grid_video(
                envs,
                suite,
                policy,
                target,
                split=arguments.split,
                rows=arguments.rows,
                columns=arguments.columns,
                seconds=arguments.seconds,
                size=size,
                families=arguments.families,
                fps=arguments.fps,
                on_progress=on_progress,
            )
    print(f"{'stills' if arguments.stills else 'video'} {target}")
    return 0
