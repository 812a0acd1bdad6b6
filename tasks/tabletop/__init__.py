"""The tabletop arena: a gripper hand over a table, and Meta-World's manipulation families."""
