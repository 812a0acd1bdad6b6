"""How every arena's model begins: the solver, and the flags that the backends demand."""

from __future__ import annotations

import mujoco


def begin_spec(name: str, *, timestep: float, iterations: int, line_search: int) -> mujoco.MjSpec:
    """An empty model with the options that all arenas share.

    Args:
      name: of the model.
      timestep: of one substep, seconds.
      iterations: of the Newton solver.
      line_search: iterations of its line search.
    """
    spec = mujoco.MjSpec()
    spec.modelname = name
    spec.compiler.degree = False
    option = spec.option
    option.timestep = timestep
    option.integrator = mujoco.mjtIntegrator.mjINT_IMPLICITFAST
    option.solver = mujoco.mjtSolver.mjSOL_NEWTON
    option.cone = mujoco.mjtCone.mjCONE_PYRAMIDAL
    option.iterations, option.ls_iterations, option.tolerance = iterations, line_search, 1e-8
    # The callers of physics want a diverged lane to stay visible, and edits leave the midphase's volumes behind.
    option.disableflags |= int(mujoco.mjtDisableBit.mjDSBL_AUTORESET) | int(mujoco.mjtDisableBit.mjDSBL_MIDPHASE)
    # MJX looks, for each two types of geom, at the 24 pairs whose bounding spheres are nearest, and keeps the 16
    # nearest contacts; the C engine ignores both. benchmarks/contacts.py measures what that changes.
    spec.add_numeric(name="max_geom_pairs", size=1, data=[24])
    spec.add_numeric(name="max_contact_points", size=1, data=[16])
    return spec
