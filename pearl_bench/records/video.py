"""Films as files: GIF, which is shown everywhere, and MP4, a fraction of its size."""

from __future__ import annotations

import io
import math
import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from pearl_bench.config.types import ConfigError
from pearl_bench.records.files import write_atomic

KINDS = (".mp4", ".gif")
COLOURS = 96
"""Of a GIF, the same in all pictures."""
GIF_FPS = 10
"""Pictures per second of a GIF at most, which keeps two tasks below 1 MiB."""
QUALITY = 5
"""Of MP4, from 1 to 10: text stays sharp."""
H264 = ["-preset", "slow", "-movflags", "+faststart"]
"""Small, and with the index in front, for pages."""


def require_encoder(path: Path) -> None:
    """Refuse a file of a kind that cannot be written here.

    Raises:
        ConfigError: its name has another ending, or MP4's encoder is not installed.
    """
    kind = path.suffix.lower()
    if kind not in KINDS:
        endings = " or ".join(KINDS)
        raise ConfigError(f"{path}: a film is a file that ends in {endings}")
    if kind == ".mp4":
        try:
            import imageio_ffmpeg  # noqa: PLC0415  (an extra)

            imageio_ffmpeg.get_ffmpeg_exe()
        except (ImportError, RuntimeError) as error:
            raise ConfigError(
                f"{path}: an MP4 needs ffmpeg ({error}): pip install "
                "'pearl-bench[clips]', or in a clone pip install -e '.[clips]'; or "
                "take a name that ends in .gif"
            ) from error


def save(path: Path, frames: Sequence[Image.Image], fps: int) -> None:
    """Write a film that starts again at its end, where what shows it can do so.

    Args:
        path: of a kind that ``require_encoder`` accepts.
        frames: pictures of one size; for MP4 both sides are even.
        fps: pictures per second.

    Raises:
        RecordError: the file cannot be written.
    """
    encode = _mp4 if path.suffix.lower() == ".mp4" else _gif
    write_atomic(path, encode(frames, fps))


def _gif(frames: Sequence[Image.Image], fps: int) -> bytes:
    every = math.ceil(fps / GIF_FPS)
    frames = frames[::every]
    some = [frames[i] for i in np.linspace(0, len(frames) - 1, 5).astype(int)]
    palette = Image.fromarray(np.concatenate([np.asarray(one) for one in some]))
    palette = palette.quantize(COLOURS)
    first, *others = (
        frame.quantize(palette=palette, dither=Image.Dither.NONE) for frame in frames
    )
    file = io.BytesIO()
    first.save(
        file,
        "GIF",
        save_all=True,
        append_images=others,
        duration=round(1000 * every / fps),
        loop=0,
    )
    return file.getvalue()


def _mp4(frames: Sequence[Image.Image], fps: int) -> bytes:
    import imageio_ffmpeg  # noqa: PLC0415  (an extra)

    with tempfile.TemporaryDirectory(prefix="pearl-bench-") as folder:
        path = Path(folder, "film.mp4")
        writer = imageio_ffmpeg.write_frames(
            path,
            frames[0].size,
            fps=fps,
            quality=QUALITY,
            macro_block_size=2,
            output_params=H264,
            ffmpeg_log_level="error",
        )
        writer.send(None)
        for frame in frames:
            writer.send(frame.tobytes())
        writer.close()
        return path.read_bytes()
