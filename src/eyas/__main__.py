"""`python -m eyas` is the command, also under torchrun."""

import sys

from eyas.cli import main

sys.exit(main())
