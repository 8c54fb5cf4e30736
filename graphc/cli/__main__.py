"""``python -m graphc.cli``: the command, where its script is not on the path."""

import sys

from graphc.cli.main import main

if __name__ == "__main__":
    sys.exit(main())
