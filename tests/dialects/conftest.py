"""Tables and drawn orders that several test files of this room share."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
