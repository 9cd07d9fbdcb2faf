"""The rank of this process in a distributed job, as its launcher says it."""

from __future__ import annotations

from steplog import settings
from steplog.exceptions import MlflowException

NONE = -1
"""The rank of a process that is no part of a distributed job."""
_LAUNCHERS: tuple[settings.IntName, ...] = ("RANK", "SLURM_PROCID", "OMPI_COMM_WORLD_RANK")
"""torchrun and its like, SLURM's srun, Open MPI's mpirun; the first that is set is believed."""
_MOST = 2**31 - 1


def own_rank() -> int:
    """Return the rank of this process; NONE where no launcher gave it one.

    A variable that holds something else than a rank stops no training: it counts as not set.
    """
    for name in _LAUNCHERS:
        try:
            rank = settings.get(name)
        except MlflowException:
            continue
        if NONE < rank <= _MOST:
            return rank
    return NONE
