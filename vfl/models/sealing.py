"""The tensors of a part that lie on the arbiter's disk encrypted, for it alone: one tensor `sealed` of bytes."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.numpy import load, save

from protocols.errors import ModelError
from vfl.models.content import CorruptPartError, Head, Tensors
from vfl.transport.identity import Identity


def sealed(tensors: Tensors, identity: Identity, model_id: bytes, what: str) -> Tensors:
    """`tensors` encrypted under the model's name and `what` they are."""
    plain = save({name: np.ascontiguousarray(array) for name, array in tensors.items()})
    return {"sealed": np.frombuffer(identity.seal(plain, f"{what} of {model_id.hex()}"), np.uint8)}


def unsealed(array: NDArray[np.uint8], identity: Identity, head: Head, what: str) -> dict[str, NDArray[Any]]:
    """The same read back.  Raises CorruptPartError, ModelError for a part that another key sealed."""
    plain = identity.unseal(array.tobytes(), f"{what} of {head.name.hex()}")
    if plain is None:
        raise ModelError(
            f"{head.party}: the {what} of the model {head.model_id} were not sealed by this party's key, or "
            f"are damaged",
            remedy="Use the identity that this party had when it trained the model, or restore the model folder "
            "from a copy",
            party=head.party,
        )
    try:
        return load(plain)
    except SafetensorError:
        raise CorruptPartError from None
