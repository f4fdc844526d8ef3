"""Every file format: tasksets, run directories, trajectories, exports; nowhere else."""

from regreen.store.jsonl import JsonlWriter, read_jsonl
from regreen.store.run import RunDirectory
from regreen.store.taskset import (
    TasksetWriter,
    load_tasks,
    read_tasks,
    taskset_digest,
    write_tasks,
)

__all__ = [
    "JsonlWriter",
    "RunDirectory",
    "TasksetWriter",
    "load_tasks",
    "read_jsonl",
    "read_tasks",
    "taskset_digest",
    "write_tasks",
]
