"""``python -m training`` is ``rasd``; so ``torchrun --nproc-per-node 2 -m training train`` trains on two processes."""

from __future__ import annotations

import sys

from inference.cli import main

sys.exit(main())
