"""A worker whose parent was killed ends too, instead of working on for nobody."""

import ctypes
import os
import signal
import sys
import threading
from multiprocessing import connection, parent_process

_PR_SET_PDEATHSIG = 1


def end_with_parent() -> None:
    """See to it that this process, started by `multiprocessing`, does not outlive its parent."""
    if sys.platform == "linux":  # the kernel ends even a call that never gives Python its turn
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    threading.Thread(target=_exit_with_parent, daemon=True).start()


def _exit_with_parent() -> None:
    parent = parent_process()
    if parent is not None:
        connection.wait([parent.sentinel])
        os._exit(1)
