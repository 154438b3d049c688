"""Folders of video files: decoded, described and scored (``artv-eval score`` and ``sensitivity``)."""
