"""The main job: one model in one folder, every step's result a file.

A step is redone only when what it depends on has changed.
"""

from quantune.job.job import Job

__all__ = ["Job"]
