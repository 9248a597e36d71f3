"""Questions asked of a network stack, and the ways to ask them."""
