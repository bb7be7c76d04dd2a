"""From an image as Pillow has decoded it to gray or sRGB planes."""

from __future__ import annotations

import numpy as np
from PIL import Image

from lossylab.data.formats import kinds, profiles

_ALPHA = ("LA", "La", "RGBA", "RGBa", "PA")
_STRIP = 2**22  # pixels that are converted at a time: copies of large images would fill the memory
_GAMMA, _NEAR = 1 / 2.2, 0.02  # of sRGB's as PNG files say it
_WHITE = 255
CONVERTED = "its colors are converted to sRGB by its profile"


class Planes:
    """One opened image, and what becomes of its pixels.

    Attributes:
      notes: what is lost or passed over, by kind.
      kept_profile: the profile that the pixels are of, if it is kept.
    """

    def __init__(self, image: Image.Image, keep_profile: bool) -> None:
        """Looks at the header of an image that is not loaded yet."""
        mode = image.mode
        self._image, self._kind = image, image.format
        self.notes: dict[str, str] = {}
        self.kept_profile: bytes | None = None
        self._deep = mode.startswith("I")
        # Pillow opens 16-bit gray with transparency as RGBA.
        self._gray = mode in ("1", "L", "LA", "La") or self._deep or kinds.is_gray_png(image)
        if kinds.reduced(image):
            self.notes["deep"] = "16 bits a sample are reduced to 8"
        if image.format != "MPO" and getattr(image, "is_animated", False):
            self.notes["frames"] = "it has several frames or pages, of which the first counts"
        self._key = _transparent_color(image)
        self._convert = self._conversion(keep_profile)

    def pixels(self) -> np.ndarray:
        """The image, which is loaded by now, as uint8 [H, W, 1 or 3].

        Raises:
          UnsupportedError: if gray values are beyond 16 bits.
        """
        image = self._image
        if self._key is not None:
            image.info["transparency"] = self._key
        if self._kind == "BMP" and image.mode == "RGBA" and _alpha_range(image) == (0, 0):
            # Written by programs that know no transparency.
            self.notes["alpha"] = "its transparency is 0 everywhere, which is taken as opaque"
            image = image.convert("RGB")
        result = np.empty((image.height, image.width, 1 if self._gray else 3), np.uint8)
        rows = max(1, _STRIP // image.width)
        for top in range(0, image.height, rows):
            bottom = min(top + rows, image.height)
            whole = bottom - top == image.height
            strip = image if whole else image.crop((0, top, image.width, bottom))
            shown = self._deep_gray(strip) if self._deep else np.asarray(self._shown(strip))
            result[top:bottom] = (
                shown[..., None] if shown.ndim == 2 else shown[..., : result.shape[2]]
            )
        return result

    def _deep_gray(self, strip: Image.Image) -> np.ndarray:
        values = np.asarray(strip).astype(np.int32)
        if values.min() < 0 or values.max() > 65535:
            raise kinds.UnsupportedError(
                f"integer values outside 0..65535 (Pillow mode {strip.mode})"
            )
        shown = ((values + 128) // 257).astype(np.uint8)
        if self._convert is not None:
            shown = np.array(self._convert(Image.fromarray(shown)))
        if "transparency" in strip.info:
            self._note_transparency()
            shown[values == strip.info["transparency"]] = _WHITE
        return shown

    def _shown(self, strip: Image.Image) -> Image.Image:
        """The strip in mode L or RGB, or RGB where all channels are alike."""
        gray = self._gray
        if strip.mode in _ALPHA or "transparency" in strip.info:
            return self._over_white(strip.convert("RGBA"))
        if self._convert is not None and strip.mode == "CMYK":
            return self._convert(strip)
        wanted = "L" if gray else "RGB"
        strip = strip if strip.mode == wanted else strip.convert(wanted)
        return strip if self._convert is None else self._convert(strip)

    def _over_white(self, strip: Image.Image) -> Image.Image:
        if _alpha_range(strip)[0] == _WHITE:
            opaque = strip.getchannel("R") if self._gray else strip.convert("RGB")
            return opaque if self._convert is None else self._convert(opaque)
        self._note_transparency()
        if self._convert is not None:
            alpha = strip.getchannel("A")
            strip = self._convert(strip.getchannel("R") if self._gray else strip.convert("RGB"))
            strip = strip.convert("RGB")
            strip.putalpha(alpha)
        white = Image.new("RGBA", strip.size, "white")
        return Image.alpha_composite(white, strip).convert("RGB")

    def _note_transparency(self) -> None:
        self.notes["transparency"] = "its transparency is laid over white"

    def _conversion(self, keep: bool) -> profiles.Convert | None:
        """What converts to sRGB, or None where nothing is to be done."""
        image = self._image
        profile = image.info.get("icc_profile")
        if not profile:
            gamma = image.info.get("gamma")
            if gamma and "srgb" not in image.info and abs(gamma - _GAMMA) > _NEAR:
                self.notes["gamma"] = f"its gamma of {gamma:.3g} is passed over, sRGB is assumed"
            return None
        mode = "L" if self._gray else "CMYK" if image.mode == "CMYK" else "RGB"
        try:
            convert = profiles.to_srgb(profile, mode)
        except profiles.ProfileError as error:
            self.notes["profile"] = f"its color profile is passed over: {error}"
            return None
        if convert is None:
            return None
        if keep and mode != "CMYK":
            self.kept_profile = profile
            return None
        self.notes["converted"] = CONVERTED
        return convert


def _alpha_range(image: Image.Image) -> tuple[int, int]:
    low, high = image.getchannel("A").getextrema()
    return int(low), int(high)  # type: ignore[arg-type]


def _transparent_color(image: Image.Image) -> int | None:
    """The transparent value of gray of 2 or 4 bits as Pillow scales the pixels."""
    key, tile = image.info.get("transparency"), getattr(image, "tile", None)
    if image.format != "PNG" or image.mode != "L" or not isinstance(key, int) or not tile:
        return None
    factor = {"L;2": 85, "L;4": 17}.get(str(tile[0][3]), 1)
    return key * factor
