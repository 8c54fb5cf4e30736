"""Printing that reaches every terminal, or the log."""

import sys

from graphc.config import config


def enable_interactive_logging() -> None:
    """Let messages and progress go to standard output, as they do from the start."""
    config.interactive_logging = True


def disable_interactive_logging() -> None:
    """Let messages and progress go to the logger ``graphc`` of Python's `logging`, as infos.

    Example:
        >>> logging.basicConfig(filename="training.log", level=logging.INFO)  # doctest: +SKIP
        >>> keras.utils.disable_interactive_logging()  # doctest: +SKIP
    """
    config.interactive_logging = False


def is_interactive_logging_enabled() -> bool:
    """Whether messages and progress go to standard output."""
    return config.interactive_logging


def print_msg(message: object, line_break: bool = True) -> None:
    """Print a message to standard output at once; without interactive logging, log it.

    A terminal that cannot show the bar character gets ``=`` instead, and nothing in place of
    other characters it lacks.

    Args:
        message: what to print; ``str`` of it is.
        line_break: whether to end the line.
    """
    if not config.interactive_logging:
        import logging

        logging.getLogger("graphc").info(str(message))
        return
    text = f"{message}\n" if line_break else str(message)
    try:
        sys.stdout.write(text)
    except UnicodeEncodeError:
        encoding = sys.stdout.encoding or "utf-8"
        plain = text.replace("━", "=").encode(encoding, errors="ignore")
        sys.stdout.write(plain.decode(encoding))
    sys.stdout.flush()
