"""Ids: `MT1/<family>` gives `mtbench/<family>`, any other suite `mtbench/<suite>`. The suites' files alone are read."""

from __future__ import annotations

import gymnasium

from ... import suite as suites

NAMESPACE = "mtbench"


def register() -> None:
    """Registers an id for every suite; what is registered already stays."""
    for name, path in suites.catalogue().items():
        identifier = f"{NAMESPACE}/{name.removeprefix('MT1/').replace('/', '-')}"
        if identifier in gymnasium.registry:
            continue
        suite = suites.read(path)
        gymnasium.register(
            identifier,
            entry_point=f"{__package__}:FamilyEnv" if len(suite.families) == 1 else None,
            vector_entry_point=f"{__package__}:SuiteVectorEnv",
            # The limit is gymnasium's to enforce and the user's to change, also beyond the suite's horizon. Where
            # arenas have horizons of their own, one limit for all lanes is the user's alone to set.
            max_episode_steps=None if suite.horizons else suite.horizon,
            kwargs={"suite": name},
        )
