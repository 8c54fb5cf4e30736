"""Printing that reaches every terminal."""

import sys


def print_msg(message: object, line_break: bool = True) -> None:
    """Print a message to standard output at once.

    A terminal that cannot show the bar character gets ``=`` instead, and nothing in place of
    other characters it lacks.

    Args:
        message: what to print; ``str`` of it is.
        line_break: whether to end the line.
    """
    text = f"{message}\n" if line_break else str(message)
    try:
        sys.stdout.write(text)
    except UnicodeEncodeError:
        encoding = sys.stdout.encoding or "utf-8"
        plain = text.replace("━", "=").encode(encoding, errors="ignore")
        sys.stdout.write(plain.decode(encoding))
    sys.stdout.flush()
