"""Linux networking itself: namespaces by file descriptor, and netlink."""
