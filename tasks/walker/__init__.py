"""The walker arena: a planar biped on a floor, and the locomotion families played with it."""
