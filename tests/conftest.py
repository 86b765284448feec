"""What all tests share: what programs remember of this machine is kept apart from the user's."""

import os
import tempfile

_cache = tempfile.TemporaryDirectory()
os.environ["XDG_CACHE_HOME"] = _cache.name
