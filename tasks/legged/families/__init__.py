"""The legged families, by robot."""

from mtbench.task import Family

from .biped import BIPED
from .parkour import PARKOUR
from .quadruped import GAITS
from .things import THINGS

FAMILIES: tuple[Family, ...] = (*GAITS, *PARKOUR, *THINGS, *BIPED)
