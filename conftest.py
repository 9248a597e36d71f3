"""What every test here may use."""

import signal

from hypothesis import settings

pytest_plugins = ["pytester"]

# A shell that starts us in the background has SIGINT ignored, and so would be every run that a
# test interrupts.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

# How long an example takes says something about the machine alone.
settings.register_profile("multinet", deadline=None)
settings.load_profile("multinet")
