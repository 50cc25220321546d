"""Which store a block gets: by who is looking, and whether it is to last."""

from fieldstone.runtime.wiring.drafts import AuthorsFields
from fieldstone.runtime.wiring.ephemeral import EphemeralStore
from fieldstone.runtime.wiring.viewers import Mode, Viewer
from fieldstone.runtime.wiring.visitors import Claim, claim_state

__all__ = ["AuthorsFields", "Claim", "EphemeralStore", "Mode", "Viewer", "claim_state"]
