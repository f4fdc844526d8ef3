"""What each stage of a rollout may reach, and the box that follows from it.

Building is the user's own act and may use the host's network. What an agent does or what its patch
does may not, in any configuration: a policy that says otherwise is refused when it is made, and no
flag overrules that. An agent reaches a package index or a model through a door, or not at all.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from types import MappingProxyType
from typing import Literal

from pydantic import BaseModel, ConfigDict

from regreen.core.errors import UsageError
from regreen.guard.completions import completions_only
from regreen.guard.doors.door import Grant
from regreen.sandbox.base import BoxSpec

__all__ = ["DEFAULT_POLICIES", "Stage", "WallPolicy", "completions_only", "spec_for"]

Stage = Literal["build", "act", "verify"]
"""``build`` makes environments, ``act`` is the agent's, ``verify`` judges its patch."""
_DOORS = {"index": "proxy", "gateway": "completions"}


class WallPolicy(BaseModel):
    """What the boxes of one stage may reach."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    network: Literal["none", "host"] = "none"
    """``none`` is a network namespace with loopback only."""
    index: Literal["none", "proxy"] = "none"
    """``proxy`` is a package index that refuses the target and what is younger than the task."""
    gateway: Literal["none", "completions"] = "none"
    """``completions`` is the model's service without anything but completions."""


DEFAULT_POLICIES: Mapping[Stage, WallPolicy] = MappingProxyType(
    {"build": WallPolicy(network="host"), "act": WallPolicy(), "verify": WallPolicy()}
)
"""What holds unless a task or a user asks for more."""


def _refuse(what: str, stage: str, mend: str) -> UsageError:
    return UsageError(what, where=f"the walls of the stage {stage}", mend=mend)


def spec_for(
    stage: Stage, spec: BoxSpec, policy: WallPolicy | None = None, *grants: Grant
) -> BoxSpec:
    """The description of a stage's box: its network set, its doors bound in.

    Args:
        stage: whose box it is.
        spec: the box otherwise; its own ``network`` is overruled.
        policy: what it may reach; the stage's default when None.
        grants: one for each door that the policy opens.

    Raises:
        UsageError: the policy would let an agent or its patch reach a network, or the grants are
            not those it opens.
    """
    if stage not in DEFAULT_POLICIES:
        what = f"there is no stage {stage}"
        raise _refuse(what, stage, "name build, act or verify")
    policy = policy or DEFAULT_POLICIES[stage]
    if stage != "build" and policy.network != "none":
        what = f"the stage {stage} may not have the host's network"
        raise _refuse(what, stage, 'set network = "none"; index = "proxy" serves packages')
    if stage == "verify" and (policy.index != "none" or policy.gateway != "none"):
        what = "a patch is judged without any way out"
        raise _refuse(what, stage, 'set index = "none" and gateway = "none"')
    if stage != "build" and spec.writable_binds:
        what = f"the stage {stage} may not write to directories of the host"
        raise _refuse(what, stage, "use mounts, whose changes stay in the box")
    if stage != "build" and (sockets := [str(path) for path, _ in spec.binds if path.is_socket()]):
        what = f"the stage {stage} may not reach a service of the host: {', '.join(sockets)}"
        raise _refuse(what, stage, "leave the bind out")
    opened = sorted(name for name, value in _DOORS.items() if getattr(policy, name) == value)
    given = sorted(grant.name for grant in grants)
    if opened != given:
        what = f"the policy opens the doors [{', '.join(opened)}], granted are [{', '.join(given)}]"
        raise _refuse(what, stage, "grant exactly the doors that the policy opens")
    binds = dict.fromkeys((*spec.binds, *(bind for grant in grants for bind in grant.binds)))
    variables = {name: value for grant in grants for name, value in grant.env.items()}
    return replace(
        spec,
        network=policy.network,
        binds=tuple(binds),
        env={**spec.env, **variables},
    )
