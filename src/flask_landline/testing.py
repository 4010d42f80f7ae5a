"""For tests of a log of your own: see `landline.testing`."""

from landline.testing import *  # noqa: F403
from landline.testing import __all__ as __all__
