"""Stand-ins for encoders of packages that need not be installed."""

import io
import sys
import types

from PIL import Image

from lossylab.inference.codecs import other_jpegs


def pillow_as_jpegli(monkeypatch):
    """A module in pyjpegli's place that codes by Pillow."""

    def encode(data, width, height, quality):
        if quality == 13:
            raise RuntimeError("unlucky")
        file = io.BytesIO()
        Image.frombytes("RGB", (width, height), data).save(file, "JPEG", quality=quality)
        return file.getvalue()

    monkeypatch.setitem(sys.modules, "pyjpegli", types.SimpleNamespace(encode=encode))
    monkeypatch.setattr(other_jpegs, "_installed", lambda name: "9.9")
