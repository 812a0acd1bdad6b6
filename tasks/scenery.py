"""What the pictures of all arenas share: colours, sky, and the light that comes with the camera."""

from __future__ import annotations

import mujoco

COLOURS = {
    "steel": (0.62, 0.65, 0.70, 1.0),
    "ink": (0.16, 0.19, 0.25, 1.0),
    "coral": (0.91, 0.36, 0.29, 1.0),
    "amber": (0.95, 0.69, 0.25, 1.0),
    "teal": (0.16, 0.62, 0.61, 1.0),
    "sky": (0.31, 0.56, 0.86, 1.0),
    "cream": (0.93, 0.90, 0.83, 1.0),
    "walnut": (0.45, 0.31, 0.22, 1.0),
}
"""By name, in an order that never changes: a row of the tabletop stores the index."""


def add_scenery(
    spec: mujoco.MjSpec, *, shadows: int, ambient: list[float], diffuse: float, zenith: list[float]
) -> None:
    """Adds sky and headlight, and sets how large and how finely pictures are drawn.

    Args:
      spec: the model.
      shadows: texels of the shadow map.
      ambient: colour of the headlight's ambient part.
      diffuse: grey of its diffuse part.
      zenith: colour of the sky above.
    """
    spec.visual.global_.offwidth, spec.visual.global_.offheight = 1280, 960
    spec.visual.quality.shadowsize = shadows
    spec.visual.headlight.ambient = ambient
    spec.visual.headlight.diffuse = [diffuse] * 3
    spec.visual.headlight.specular = [0.1, 0.1, 0.1]
    spec.add_texture(
        name="sky",
        type=mujoco.mjtTexture.mjTEXTURE_SKYBOX,
        builtin=mujoco.mjtBuiltin.mjBUILTIN_GRADIENT,
        rgb1=[0.86, 0.90, 0.95],
        rgb2=zenith,
        width=256,
        height=1536,
    )
