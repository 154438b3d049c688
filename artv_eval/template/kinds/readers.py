"""A reader opens a video file and gives the frames that are asked for."""

from artv.data.readers import PyAvReader


class Reader(PyAvReader):
    """PyAV under another name: replace it by your decoder.

    It is made with the file's path and has ``fps``, ``len()`` and ``frames(indices)`` → uint8 RGB (n, H, W, 3). It must
    raise an error for a file that is no video.
    """
