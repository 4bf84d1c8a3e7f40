"""The process itself: the signals that end it, and its standard descriptors."""

import os
import signal
import sys


def endings() -> tuple[int, ...]:
    """The signals, beside Ctrl-C, that ask to end: SIGTERM, and SIGHUP unless it is ignored, as under nohup."""
    hangup = getattr(signal, "SIGHUP", None)  # Windows has none
    heard = hangup is not None and signal.getsignal(hangup) != signal.SIG_IGN
    return (signal.SIGTERM, *((hangup,) if heard else ()))


def open_descriptors() -> None:
    """Open standard input, output and error on the null device if the caller closed them.

    Otherwise the next file that is opened gets the number, and all that the process, or a library of it, prints there
    lands in that file.
    """
    for number, (name, mode) in enumerate((("stdin", "r"), ("stdout", "w"), ("stderr", "w"))):
        try:
            os.fstat(number)
        except OSError:
            opened = os.open(os.devnull, os.O_RDWR)
            if opened != number:
                os.dup2(opened, number)
                os.close(opened)
        if getattr(sys, name) is None:
            setattr(sys, name, open(number, mode, closefd=False))
