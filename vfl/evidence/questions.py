"""The twelve questions that a pack answers, each as one section of its entry page."""

from __future__ import annotations

from vfl.evidence import after_answers, attack_answer, model_answers, reasons, run_answers
from vfl.evidence.blocks import Block
from vfl.evidence.subject import Subject

QUESTIONS = (
    "What is the model for, who owns it, who approved the job?",
    "Which columns of which party, what do they mean, how were they treated?",
    "Which people are in it, how were they matched, who was left out?",
    "How good is it, on which rows, with which uncertainty, against which simpler alternative?",
    "Is it stable over time and across groups?",
    "Why does one person score as she does?",
    "Who received what, how often, and what could they conclude, alone and together?",
    "Which attacks were tried, with which result?",
    "What privacy budget was spent, and what is left?",
    "What happens when a partner fails, leaves or is compromised?",
    "How is it monitored and when must it be retrained?",
    "How can each number here be produced again?",
)
ANSWERS = (
    model_answers.purpose,
    model_answers.columns,
    model_answers.people,
    model_answers.quality,
    model_answers.stable,
    reasons.person,
    run_answers.received,
    attack_answer.attacks,
    after_answers.budget,
    after_answers.partner,
    after_answers.monitored,
    run_answers.again,
)


def answers(subject: Subject) -> tuple[Block, ...]:
    """All twelve, in order."""
    return tuple(answer(subject, f"q{k}", f"{k} · {QUESTIONS[k - 1]}") for k, answer in enumerate(ANSWERS, 1))
