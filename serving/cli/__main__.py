"""`python -m serving.cli`: how a command starts another one with the same interpreter."""

import sys

from serving.cli import main

sys.exit(main())
