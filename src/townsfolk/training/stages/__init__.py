"""A dataset, as tokens -> an adapter. Torch lives here and nowhere else.

Nothing is ever fetched from a model hub, nor told to one.
"""

import os

os.environ["HF_HUB_OFFLINE"] = "1"  # read when the libraries are imported: before any module of this package
os.environ["HF_HUB_DISABLE_TELEMETRY"] = "1"
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
# oneDNN keeps the code made for each shape it met, and hardly two packs have the same: enough for one step.
os.environ.setdefault("ONEDNN_PRIMITIVE_CACHE_CAPACITY", "128")
