"""What all tests share: what programs remember of this machine is kept apart from the user's."""

import os
import tempfile

_cache = tempfile.TemporaryDirectory()
os.environ["XDG_CACHE_HOME"] = _cache.name
# Another process tries it for every new network, which takes seconds; test_graph.py has it do so.
os.environ["INPAINT_OPENVINO"] = "0"
