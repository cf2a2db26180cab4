"""How an outside A2A agent is configured: where its card is, which skills it may serve, with which risk, limits and words."""

from __future__ import annotations

from typing import Annotated, Any, Final, Literal

from pydantic import Field, ValidationError

from asoe.connectors.a2a_tasks import Card
from asoe.connectors.kinds import Config, Opening, problems_of, refused
from asoe.connectors.mapping import Checker
from asoe.connectors.places import origin_of
from asoe.connectors.remote import RemoteConfig, rules_at
from asoe.domain.errors import FieldProblem

CARD_PATH: Final = "/.well-known/agent-card.json"
SkillName = Annotated[str, Field(pattern=r"^[A-Za-z0-9_.-]{1,100}$")]
ActRisk = Literal["reversible", "costly", "irreversible"]
_LARGEST: Final = 256 * 1024


class SkillIn(Config):
    """What an organization says of one skill. `says`: our words with the work, `{names}` are arguments.

    `deadline`: seconds after which the work is called off; `largest_text`: letters that are kept of the answer.
    """

    risk: ActRisk | None = None
    says: str = Field("", max_length=4000)
    arguments: dict[str, Any] = Field(default_factory=lambda: {"type": "object"})
    repeats: Literal["by_key", "naturally", "never"] = "never"
    amount: str | None = None
    undo: SkillName | None = None
    deadline: float = Field(120, gt=0, le=600)
    largest_text: int = Field(20_000, ge=1, le=200_000)


class Reviewed(Config):
    """A skill as its card told of it when it got its risk class."""

    hash: str
    description: str = ""


class A2aConfig(RemoteConfig):
    """The configuration of a connector of this kind; docs/connectors.md explains each field."""

    url: str
    card: str = Field(CARD_PATH, pattern=r"^/[!-~]*$", max_length=500)
    risks: dict[SkillName, ActRisk] = Field(default_factory=dict)
    skills: dict[SkillName, SkillIn] = Field(default_factory=dict)
    reviewed: dict[SkillName, Reviewed] = Field(default_factory=dict)
    offered: tuple[str, ...] = ()
    largest_bytes: int = Field(_LARGEST, ge=1, le=4 * 1024 * 1024)

    def skill(self, name: str) -> SkillIn:
        return self.skills.get(name, SkillIn())

    def risk(self, name: str) -> ActRisk | None:
        return self.skill(name).risk or self.risks.get(name)

    @property
    def classified(self) -> set[str]:
        return {name for name in {*self.risks, *self.skills} if self.risk(name)}

    @property
    def card_url(self) -> str:
        return self.url.rstrip("/") + self.card


def read_config(opening: Opening) -> A2aConfig:
    try:
        config = A2aConfig.model_validate(dict(opening.config))
    except ValidationError as error:
        raise refused(problems_of(error)) from None
    problems = []
    try:
        rules_at(config.url, config, opening)
    except ValueError as error:
        problems.append(FieldProblem("config.url", str(error)))
    for name, skill in config.skills.items():
        place = f"config.skills.{name}"
        try:
            Checker(skill.arguments)
        except ValueError as error:
            problems.append(FieldProblem(f"{place}.arguments", str(error)))
        if skill.undo and config.risk(skill.undo) is None:
            problems.append(FieldProblem(f"{place}.undo", "must name a skill with a risk"))
    if problems:
        raise refused(problems)
    return config


def endpoint_problems(config: A2aConfig, card: Card) -> list[FieldProblem]:
    if card.interface is None:
        return [FieldProblem("config.url", "the agent's card names no JSON-RPC endpoint of A2A 1.x")]
    try:
        origin = origin_of(card.interface.url)
    except ValueError as error:
        return [FieldProblem("config.url", f"the endpoint that the agent's card names {error}")]
    if origin not in {origin_of(config.url), *(origin_of(h if "://" in h else f"https://{h}") for h in config.hosts)}:
        scheme, host, port = origin
        problem = f"the agent's card names an endpoint elsewhere: add {scheme}://{host}:{port} if that is meant"
        return [FieldProblem("config.hosts", problem)]
    return []
