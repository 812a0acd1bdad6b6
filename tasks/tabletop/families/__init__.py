"""One file per family; each says what Meta-World v3 family it rebuilds and where it differs."""

from __future__ import annotations

from . import button_press_topdown, drawer_open, pick_place, push, reach

FAMILIES = (reach.FAMILY, push.FAMILY, pick_place.FAMILY, drawer_open.FAMILY, button_press_topdown.FAMILY)
