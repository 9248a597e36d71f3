"""Why an assertion failed: which layer broke, where, and what to do about it."""
