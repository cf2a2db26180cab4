"""The durable queue: jobs that carry ids and wake somebody. What a job means is in the rows it names (docs/decisions/0002)."""

from asoe.queue.jobs import ID_KEYS, FailedJob, Queue, depth, failed, requeue

__all__ = ["ID_KEYS", "FailedJob", "Queue", "depth", "failed", "requeue"]
