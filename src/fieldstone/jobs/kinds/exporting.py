"""What exports have in common: a piece a chunk, one file at the end."""

from __future__ import annotations

import os
from abc import abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

from opaque_keys.edx.keys import UsageKey

from fieldstone.jobs.errors import JobRefusedError
from fieldstone.jobs.export.columns import Columns, Row
from fieldstone.jobs.export.formats import NAMES, format_of
from fieldstone.jobs.export.pieces import Pieces
from fieldstone.jobs.export.together import Whole
from fieldstone.jobs.folders import folder_of
from fieldstone.jobs.kinds.base import Chunk, Kind, Task
from fieldstone.jobs.models import Job, Part
from fieldstone.jobs.outcomes import Done, Outcome, Skip
from fieldstone.store.states import State


@dataclass(frozen=True)
class Export(Kind):
    """Who has no state there is skipped."""

    action_name = "exported"
    scope = "stored"
    closes = True
    writes = False

    stem: ClassVar[str]
    """The name of the file in the job's folder, without its ending."""
    columns: ClassVar[Columns]

    format: str = field(default="jsonl", metadata={"help": f"{', '.join(NAMES)}; the first is the default"})
    file: str = field(default="", metadata={"help": "the whole path of a new file; else one in the job's folder"})

    @abstractmethod
    def rows(self, usage_key: UsageKey, states: Mapping[int, State]) -> Iterator[Row]:
        """The rows of these learners at a block, in the order of their ids, read while they are written."""

    def check(self, usage_keys: Sequence[UsageKey], whose: Sequence[int] | None) -> None:
        format_of(self.format)
        if not self.file:
            return
        path = Path(self.file)
        if not path.is_absolute():
            raise JobRefusedError(f"The file {path} is to be a whole path, from the root: workers run elsewhere.")
        if not path.parent.is_dir():
            raise JobRefusedError(f"There is no folder {path.parent} for the file. Make it first.")
        if not os.access(path.parent, os.W_OK | os.X_OK):
            raise JobRefusedError(f"Nothing may be written into the folder {path.parent}. Name another file.")
        if os.path.lexists(path):
            raise JobRefusedError(f"There is a file {path} already. Move it away, or name another.")

    def outcomes(self, chunk: Chunk, task: Task) -> Iterator[tuple[int, Outcome]]:
        for learner_id, state in chunk.items():
            yield learner_id, Done() if state.revision else Skip()

    def lay_down(self, chunk: Chunk, outcomes: Mapping[int, Outcome], part: Part) -> list[str]:
        states = {
            learner_id: state for learner_id, state in chunk.items() if isinstance(outcomes[learner_id], Done)
        }
        if not states:
            return []
        rows, made = self.rows(chunk.usage_key, states), format_of(self.format)
        pieces = Pieces(folder_of(part.job_id))
        return [pieces.lay_down(part.number, max(states), lambda file: made.write(self.columns, rows, file))]

    def close(self, job: Job, still_here: Callable[[], None]) -> dict[str, Any]:
        folder = folder_of(job.pk)
        file = Path(self.file) if self.file else folder / f"{self.stem}.{self.format}"
        # By block first: which of two blocks comes first is not to hang on how the job was cut.
        kept = job.parts.order_by("usage", "number").values_list("kept", flat=True)
        whole = Whole(Pieces(folder), format_of(self.format), self.columns, file, still_here)
        return whole.put_together(name for names in kept.iterator() for name in names)
