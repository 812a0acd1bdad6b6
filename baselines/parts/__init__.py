"""What two or more algorithms share: networks, advantages, normalisers."""
