"""evidence.toml: what only the institution can say of its model, in its own words.  Every key is optional; a pack lists
those that are left open."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, TypeAlias

from pydantic import Field

from vfl.evidence.blocks import Entry
from vfl.schema.described import Values
from vfl.schema.section import Section, build, read_toml

Text: TypeAlias = Annotated[str, Values("a text of at most 4,000 characters")]
Meanings: TypeAlias = Annotated[dict[str, str], Values('texts by column, such as age = "age in years"')]


def _text(words: str) -> str:
    """A field that holds a text, "" until it is filled in."""
    found: str = Field(default="", max_length=4000, description=words)
    return found


class Model(Section):
    """What the model is, for whom."""

    purpose: Text = _text("what the model is for, and what is decided by it")
    owner: Text = _text("who owns the model, by name or office")
    users: Text = _text("who uses its scores, and how")
    not_for: Text = _text("what it must not be used for")
    materiality: Text = _text("how much depends on it, and its risk tier")
    version: Text = _text("the institution's own version of it")
    changes: Text = _text("what has changed since the version before")
    alternatives: Text = _text("which simpler alternatives were compared, and why this model was chosen")


class Approval(Section):
    """Who has agreed to it."""

    approved_by: Text = _text("who approved the model for use")
    approved_on: Text = _text("on which day")
    validated_by: Text = _text("who validated it, independently of its developers")
    validated_on: Text = _text("on which day")
    findings: Text = _text("what the validation found, and what became of it")


class Data(Section):
    """Whose data, and on which ground."""

    people: Text = _text("whose data these are, from where and from which period")
    left_out: Text = _text("who is left out, and whether that matters for the use")
    treatment: Text = _text("how values were prepared before this engine read them")
    lawful_basis: Text = _text("the legal ground of the processing")
    necessity: Text = _text("why the processing is necessary and proportionate")
    retention: Text = _text("how long data, model and records are kept")
    rights: Text = _text("how people are informed, and how they object, correct and erase")
    identifiable: Text = _text("for whom, in the institution's view, which data are about identifiable people")
    columns: Meanings = Field(default_factory=dict, description="what each own column means, by its name")


class Risk(Section):
    """Risks, and what is done about them."""

    to_people: Text = _text("risks to the rights and freedoms of people, how likely and how severe")
    measures: Text = _text("measures against these risks, besides those of this engine")
    management: Text = _text("how the risk management system covers this model")
    cybersecurity: Text = _text("how the systems that run it are protected")


class Fairness(Section):
    """Groups of people."""

    groups: Text = _text("which groups were compared, and why these")
    findings: Text = _text("how the model treats them, and what follows")


class Oversight(Section):
    """People above the model."""

    human: Text = _text("who can overrule a score, when and how")
    explanation: Text = _text("how a person is given the reasons for a score")


class Monitoring(Section):
    """After the model is in use."""

    plan: Text = _text("what is monitored, how often and by whom")
    limits: Text = _text("which limits lead to which action")
    retrain: Text = _text("when the model must be trained again or retired")
    post_market: Text = _text("the plan for the time after it is placed on the market, where the law asks for one")


class Incidents(Section):
    """When something goes wrong."""

    contact: Text = _text("whom partners and authorities call")
    partner_leaves: Text = _text("what is done when a partner fails or leaves")
    compromised: Text = _text("what is done when a partner or this institution is compromised")


class Conformity(Section):
    """What a provider declares."""

    provider: Text = _text("who the provider is, and who deploys the system")
    standards: Text = _text("which harmonised standards or other specifications are applied")
    declaration: Text = _text("where the declaration of conformity is")


class About(Section):
    """The whole file."""

    model: Model = Field(default_factory=Model, description="what the model is, and for whom")
    approval: Approval = Field(default_factory=Approval, description="who has agreed to it")
    data: Data = Field(default_factory=Data, description="whose data, and on which ground")
    risk: Risk = Field(default_factory=Risk, description="risks, and what is done about them")
    fairness: Fairness = Field(default_factory=Fairness, description="groups of people")
    oversight: Oversight = Field(default_factory=Oversight, description="people above the model")
    monitoring: Monitoring = Field(default_factory=Monitoring, description="after the model is in use")
    incidents: Incidents = Field(default_factory=Incidents, description="when something goes wrong")
    conformity: Conformity = Field(default_factory=Conformity, description="what a provider declares")

    def entry(self, key: str) -> Entry:
        """One field by its dotted key."""
        section, name = key.split(".")
        holder: Section = getattr(self, section)
        return Entry(key, str(type(holder).model_fields[name].description), str(getattr(holder, name)).strip())

    def entries(self, *keys: str) -> tuple[Entry, ...]:
        """Several fields."""
        return tuple(map(self.entry, keys))

    @property
    def open(self) -> tuple[str, ...]:
        """The keys of all texts that nobody filled in."""
        return tuple(key for key in keys() if not self.entry(key).text)


def keys() -> tuple[str, ...]:
    """The dotted keys of all texts, in the order of the file."""
    return tuple(
        f"{section}.{name}"
        for section, holder in About.model_fields.items()
        for name, field in holder.annotation.model_fields.items()  # type: ignore[union-attr]
        if field.annotation is str
    )


def load_about(path: Path | None) -> About:
    """The file's content; without one, every field is open.  Raises ConfigError."""
    if path is None:
        return About()
    text, content = read_toml(path)
    return build(About, content, path.name, text=text)
