"""Robots, each as a description and the bodies that it adds to a model."""

from .humanoid import HUMANOID
from .quadruped import QUADRUPED
from .robot import Robot
from .walker import WALKER

__all__ = ["HUMANOID", "QUADRUPED", "WALKER", "Robot"]
