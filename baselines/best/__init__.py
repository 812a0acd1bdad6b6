"""The best policies trained here, as `mtbench export` writes them."""
