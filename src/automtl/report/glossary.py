"""One sentence for each term of a report, which a page shows where the term is first used and in a list at its end."""

from __future__ import annotations

from markupsafe import Markup, escape

TERMS = {
    "AUC": "The probability that a row with label 1 gets a higher score than one with label 0: 0.5 is a guess, 1 is "
    "perfect.",
    "GAUC": "The AUC within each group, such as the rows of one user, as a mean over groups that have both labels.",
    "log loss": "Minus the mean logarithm of the probability that was given to what happened; smaller is better.",
    "PR-AUC": "The area under precision over recall; a guess has the share of positive labels.",
    "calibration error": "How far mean scores and label rates are apart, as a mean over bins of rows of similar score.",
    "normalized entropy": "Log loss over that of always guessing the base rate; 1 is no better than that.",
    "NDCG": "How near to the top of their group the positive rows are ranked; 1 is the best order.",
    "RMSE": "The root of the mean squared error, in units of the label; smaller is better.",
    "MAE": "The mean absolute error, in units of the label; smaller is better.",
    "MTL-Loss": "The weighted mean of the tasks' losses: log loss, or squared error.",
    "validation rows": "Rows by which models and settings were chosen; no model had been trained on them by then.",
    "test rows": "Rows that neither training nor any choice has seen; they were read once.",
    "base rate": "The share of positive labels; a model that always answers it has an AUC of 0.5.",
    "loss": "Over that of always guessing the base rate, as a mean of the tasks; below 1 is better than guessing.",
    "bootstrap": "Rows are drawn again and again with replacement; how much a figure varies tells how sure it is.",
    "ensemble": "Several models whose logits are summed with weights, which were chosen on validation rows.",
    "boosted trees": "Many small decision trees, each of which corrects those before it.",
    "logit": "The logarithm of the odds of a probability: 0 is one half, +1 makes the odds 2.7 times as great.",
    "FLOPs per row": "Multiplications and additions that the score of one row takes.",
    "parameters": "Numbers that training sets: weights, or the thresholds and leaves of trees.",
    "latency": "The time that the score of one row takes in one thread, once the row is encoded.",
    "peak memory": "The most memory that the process held.",
    "stage": "The step of the fit in which a model was trained.",
    "expert": "A part of the network that every task may read; tasks weigh experts by their gates.",
    "gate": "What gives each expert a weight for a task, row by row.",
    "tower": "The last layers of one task.",
    "pooling": "How an expert makes one vector of the embeddings of all fields.",
    "feature interaction": "What lets the embeddings of fields act on each other before the experts read them.",
    "target encoding": "An id becomes the label rates of the rows that share it.",
    "histories": "What earlier rows of the log with the same id tell: how many, with what labels, how long ago.",
    "supernet": "A network that holds all candidates of the search at once.",
    "skip": "A layer that hands on what it gets.",
    "candidate": "A model that was trained, and could have been chosen.",
    "ROC": "The share of positive rows above a score, over the share of negative rows above it, for all scores.",
    "calibration": "Whether labels are as often positive as the scores say.",
    "permutation importance": "How much worse a model is on rows in which one column is shuffled.",
    "stability index": "How far a distribution moved (population stability index); 0 is not at all.",
    "Jensen-Shannon": "A distance between two distributions, from 0 to 1.",
    "Shapley value": "The mean change of the output when a column of the row takes the place of another row's, over "
    "all orders in which columns may do so.",
    "seed": "The number from which everything random is drawn; another one gives another training.",
    "p over seeds": "How often chance alone would give such a difference between trainings (paired t-test).",
    "p over rows": "How often chance alone would give such a difference between test rows (paired bootstrap).",
}
PLURALS = {f"{term}s": term for term in ("expert", "gate", "tower", "skip", "candidate", "logit", "seed")}
SMALL = {term.lower(): term for term in TERMS}


class Glossary:
    """The terms that a page has used so far.

    >>> from automtl.report.glossary import Glossary
    >>> page = Glossary()
    >>> page.mark("AUC")
    Markup('<a class="term" href="#term-1" title="The probability that a row with label 1 gets ...>AUC</a>')
    >>> page.mark("AUC"), page.mark("user_id")
    ('AUC', 'user_id')
    """

    def __init__(self) -> None:
        self.used: list[str] = []

    def mark(self, text: str) -> str:
        """Return a term with its sentence and a link to the list at its first use, any other text as it is."""
        term = SMALL.get(PLURALS.get(text.lower(), text.lower()))
        if term is None or term in self.used:
            return text
        self.used.append(term)
        place = len(self.used)
        return Markup('<a class="term" href="#term-{}" title="{}">{}</a>').format(place, TERMS[term], escape(text))

    def entries(self) -> list[tuple[int, str, str]]:
        """Return number, term and sentence of all terms that were used, in alphabetical order."""
        found = ((place, term, TERMS[term]) for place, term in enumerate(self.used, 1))
        return sorted(found, key=lambda one: one[1].lower())
