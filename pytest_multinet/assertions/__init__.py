"""Assertions about interfaces, routes and reachability; they raise plain ``AssertionError``."""
